package dev.headroom.memory.cuda;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;

/** Memory with an address: of the device, of the host where the device reaches it, or a range of addresses. */
sealed interface CudaBlock extends DriverBlock permits DeviceBlock, PinnedBlock, CudaRange {

    /** The context it belongs to. */
    PrimaryContext context();

    /** Where it begins; kernels and copies use the same number, for memory of the host too. */
    long address();

    /** Whether it lies in the host's memory. */
    default boolean isHost() {
        return kind() != MemoryKind.DEVICE;
    }

    /** What a driver says that gives memory back twice. */
    static DriverException freedBefore(String call) {
        return new DriverException(DriverException.Kind.UNEXPECTED, 0, call, "the block was freed before");
    }
}
