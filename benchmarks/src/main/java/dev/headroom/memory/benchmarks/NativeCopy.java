package dev.headroom.memory.benchmarks;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;

/** The C library's {@code memcpy}, and its clock for the processor time of the process. Thread-safe. */
final class NativeCopy {

    /** Of {@code clock_gettime}, on Linux. */
    private static final int CLOCK_PROCESS_CPUTIME_ID = 2;

    private final MethodHandle memcpy = function("memcpy", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS, JAVA_LONG));
    private final MethodHandle clockGettime =
            function("clock_gettime", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));

    @SuppressWarnings("restricted")
    private static MethodHandle function(String name, FunctionDescriptor type) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
    }

    /** Copies all of the source, each thread an equal part in one call. The calling thread is one of them. */
    void copy(MemorySegment source, MemorySegment target, int threads) {
        long size = source.byteSize();
        long part = Math.ceilDiv(size, threads);
        List<Thread> others = new ArrayList<>();
        for (long offset = part; offset < size; offset += part) {
            long at = offset;
            others.add(Thread.ofPlatform().start(() -> copy(source, target, at, Math.min(part, size - at))));
        }
        copy(source, target, 0, Math.min(part, size));
        for (Thread thread : others) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException("interrupted", e);
            }
        }
    }

    private void copy(MemorySegment source, MemorySegment target, long offset, long size) {
        try {
            MemorySegment _ = (MemorySegment)
                    memcpy.invokeExact(target.asSlice(offset, size), source.asSlice(offset, size), size);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    /** Processor time of all threads so far, in nanoseconds. */
    long processorNanos() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment time = arena.allocate(2 * Long.BYTES, Long.BYTES);
            int error = (int) clockGettime.invokeExact(CLOCK_PROCESS_CPUTIME_ID, time);
            return error == 0 ? time.get(JAVA_LONG, 0) * 1_000_000_000L + time.get(JAVA_LONG, Long.BYTES) : 0;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
