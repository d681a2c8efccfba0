package dev.headroom.memory.engine;

import dev.headroom.memory.HostView;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;

/** The host's window on a buffer; holds a use of the buffer, which its caller has begun. */
final class BufferView implements HostView {

    private final DeviceSession session;
    private final Runnable end;
    private final HostMapping mapping;
    private final AtomicBoolean open = new AtomicBoolean(true);

    /** Maps a buffer; {@code end} is run when the view is closed. */
    BufferView(DeviceSession session, Extent buffer, long byteSize, Runnable end) throws DriverException {
        this.session = session;
        this.end = end;
        this.mapping = session.driver().map(buffer.block(), buffer.byteOffset(), byteSize, MapAccess.READ_WRITE);
        boolean visible = false;
        try {
            mapping.invalidate();
            visible = true;
        } finally {
            if (!visible) {
                mapping.close();
            }
        }
    }

    @Override
    public MemorySegment segment() {
        return mapping.segment();
    }

    @Override
    public void close() {
        if (open.getAndSet(false)) {
            try (mapping) {
                if (!session.isLost()) {
                    mapping.flush();
                }
            } catch (DriverException e) {
                throw session.failed("unmapping a buffer", e);
            } finally {
                end.run();
            }
        }
    }
}
