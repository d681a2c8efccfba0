package dev.headroom.memory.engine;

import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.Verdict;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What happens in the engine, for whoever records it. Each method is a branch and no more while nobody does; but allocations
 * are so cheap that even this is done for some of them only. Called with no lock held. Thread-safe.
 */
interface EngineEvents {

    /** What a transfer does. */
    enum Transfer {
        WRITE,
        READ,
        COPY,
        FILL
    }

    /** Something that takes time and has begun. What fails is dropped, and no event. */
    @FunctionalInterface
    interface Span {
        /** It is done; so many bytes were concerned. */
        void end(long byteSize);
    }

    /** Nobody records. */
    EngineEvents NONE = new EngineEvents() {};

    /** Whether allocations and closes are recorded. */
    default boolean recordsBuffers() {
        return false;
    }

    /** A buffer was allocated; it stands for so many. */
    default void allocated(
            GpuDevice device,
            MemoryKind kind,
            BufferId buffer,
            long byteSize,
            Optional<String> tag,
            boolean hit,
            int oneIn) {}

    /** A buffer whose allocation was recorded was closed. */
    default void freed(GpuDevice device, MemoryKind kind, BufferId buffer, long byteSize) {}

    /** A pool takes memory from its driver. Null if that is not recorded; so it is with the others. */
    default @Nullable Span growing(GpuDevice device, MemoryKind kind) {
        return null;
    }

    /** A pool gives memory back to its driver. */
    default @Nullable Span trimming(GpuDevice device, MemoryKind kind) {
        return null;
    }

    /** Bytes are on their way. */
    default @Nullable Span transferring(GpuDevice device, Transfer transfer, boolean async) {
        return null;
    }

    /** Host memory stood in for a device. */
    default void fellBack(GpuDevice device, GpuDevice host, long byteSize, String reason) {}

    /** The pressure on a device is another. */
    default void pressureChanged(GpuDevice device, MemoryPressure before, MemoryPressure now, double used) {}

    /** A request was refused after everything was tried. */
    default void ranOut(MemoryKind kind, DeviceOutOfMemoryException.Figures figures) {}

    /** A device was looked for. */
    default void selected(long requiredBytes, String preference, Optional<GpuDevice> chosen, List<Verdict> verdicts) {}

    /** A buffer became unreachable without having been closed. */
    default void leaked(GpuDevice device, BufferMetadata buffer, Duration age, String site, boolean reclaimed) {}
}
