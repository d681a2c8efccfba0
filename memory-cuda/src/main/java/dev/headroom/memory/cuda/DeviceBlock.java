package dev.headroom.memory.cuda;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.util.concurrent.atomic.AtomicBoolean;

/** Memory of the device, by {@code cuMemAlloc}. */
final class DeviceBlock implements CudaBlock {

    private final PrimaryContext context;
    private final long byteSize;
    private final Alignment.Place place;
    private final Alignment.Source source;
    private final AtomicBoolean freed = new AtomicBoolean();

    private DeviceBlock(PrimaryContext context, long byteSize, Alignment.Place place, Alignment.Source source) {
        this.context = context;
        this.byteSize = byteSize;
        this.place = place;
        this.source = source;
    }

    static DeviceBlock allocate(CudaApi cuda, PrimaryContext context, BlockRequest request) throws DriverException {
        Alignment.Source source = new Source(cuda, context);
        Alignment.Place place = Alignment.take(request.byteSize(), request.byteAlignment(), source);
        return new DeviceBlock(context, request.byteSize(), place, source);
    }

    @Override
    public PrimaryContext context() {
        return context;
    }

    @Override
    public long address() {
        return place.address();
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public MemoryKind kind() {
        return MemoryKind.DEVICE;
    }

    /** Gives it back, the first time. */
    FreeOutcome free() {
        return freed.getAndSet(true)
                ? FreeOutcome.failed(CudaBlock.freedBefore("cuMemFree"))
                : source.giveBack(place.given());
    }

    private record Source(CudaApi cuda, PrimaryContext context) implements Alignment.Source {

        @Override
        public long take(long byteSize) throws DriverException {
            long[] address = new long[1];
            context.run("cuMemAlloc", () -> cuda.allocate(address, byteSize));
            return address[0];
        }

        @Override
        public FreeOutcome giveBack(long address) {
            return context.giveBack("cuMemFree", () -> cuda.free(address));
        }
    }
}
