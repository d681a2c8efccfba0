package dev.headroom.examples;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TrackingLevel;

/**
 * Who forgot to close a buffer? {@link TrackingLevel#FULL} remembers the tag, the age and the place of every allocation. The
 * pool reports the same when it closes, as a warning of the logger {@code dev.headroom.memory}.
 */
final class FindTheLeak {

    private FindTheLeak() {}

    public static void main(String[] args) {
        MemoryConfig config =
                MemoryConfig.builder().tracking(TrackingLevel.FULL).build();
        try (GpuMemory memory = GpuMemory.builder().config(config).open()) {
            GpuMemoryPool pool = memory.pool(memory.recommended().orElseThrow());
            answer(pool, "first question");
            answer(pool, "second question");

            AllocationTracker tracker = pool.tracker().orElseThrow();
            System.out.println(tracker.count() + " buffers open, " + tracker.totalBytes() / 1024 + " KiB");
            for (BufferMetadata open : tracker.all()) {
                System.out.println(open.id() + " " + open.tag().orElse("?") + ", allocated in " + caller(open));
            }
        }
    }

    private static void answer(GpuMemoryPool pool, String question) {
        try (DeviceBuffer prompt = pool.allocate(AllocationRequest.of(4096).tagged(question))) {
            prompt.fill(0, prompt.byteSize(), (byte) 0);
        }
        remember(pool, question); // nobody closes what this allocates
    }

    private static void remember(GpuMemoryPool pool, String question) {
        pool.allocate(AllocationRequest.of(64 << 10).zeroed().tagged("history of the " + question));
    }

    /** The first method of ours on the stack. */
    private static String caller(BufferMetadata open) {
        for (StackTraceElement frame : open.site().orElseThrow().getStackTrace()) {
            if (frame.getClassName().equals(FindTheLeak.class.getName())) {
                return frame.getMethodName();
            }
        }
        return "unknown";
    }
}
