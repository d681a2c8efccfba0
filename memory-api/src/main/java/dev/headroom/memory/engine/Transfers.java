package dev.headroom.memory.engine;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;

/**
 * What moves the bytes of one pool: its copies with their staging memory and their futures, and what its users have declared
 * of their own queues. Thread-safe.
 */
final class Transfers {

    private final DeviceSession session;
    private final StagingRing upload;
    private final StagingRing readback;
    private final CompletionPump pump;
    private final CopyEngine copies;
    private final UserFences fences;

    Transfers(DeviceSession session, HeapSet heaps, Waiter waiter, MemoryConfig config) throws DriverException {
        this.session = session;
        this.upload = new StagingRing(
                session, heaps.forStaging(MemoryKind.UPLOAD), config.stagingBytes(), config.waitTimeout(), waiter);
        this.readback = new StagingRing(
                session, heaps.forStaging(MemoryKind.READBACK), config.stagingBytes(), config.waitTimeout(), waiter);
        this.pump = new CompletionPump(session, waiter);
        this.copies = new CopyEngine(session, upload, readback, pump, waiter, config.closeTimeout());
        this.fences = new UserFences(session, waiter);
    }

    CopyEngine copies() {
        return copies;
    }

    CompletionPump pump() {
        return pump;
    }

    UserFences fences() {
        return fences;
    }

    /** Whether no transfer holds staging memory; for tests. */
    boolean isStagingIdle() {
        return upload.isIdle() && readback.isIdle();
    }

    /** Waits until nothing here or on other devices works on the pool's memory. False if something does, or nobody can tell. */
    boolean awaitRest(Duration patience) {
        return awaitDevice(patience) && copies.awaitVisitors(patience);
    }

    /** Lets go of queues, events and staging memory. Nothing is under way. False if staging memory could not be given back. */
    boolean close(Duration patience) {
        copies.close();
        fences.close();
        boolean all = upload.close(patience);
        return readback.close(patience) && all;
    }

    /** Whether the device has come to rest. A failed question proves nothing, so it is asked again. */
    private boolean awaitDevice(Duration patience) {
        for (int round = 1; round <= DeviceSession.ASKED && !session.isGone(); round++) {
            try {
                return session.awaitIdle(patience);
            } catch (DriverException | RuntimeException | Error e) {
                session.doubt(e, round == DeviceSession.ASKED);
            }
        }
        // Nobody can tell whether the device works. Where nothing was left under way, it does not for us.
        return session.isGone() || !(copies.mayBeBusy() || fences.mayBeBusy());
    }
}
