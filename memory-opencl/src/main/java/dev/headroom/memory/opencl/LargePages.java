package dev.headroom.memory.opencl;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * Asks Linux to back memory with large pages. It is advice: where it is refused, or nobody can be asked, all is as it was.
 * Thread-safe.
 */
final class LargePages {

    private static final long PAGE_BYTES = 2L << 20;
    private static final int MADV_HUGEPAGE = 14;

    /** Empty on other systems. */
    private static final Optional<MethodHandle> MADVISE = find();

    private LargePages() {}

    @SuppressWarnings("restricted")
    private static Optional<MethodHandle> find() {
        if (!System.getProperty("os.name", "").equals("Linux")) {
            return Optional.empty();
        }
        Linker linker = Linker.nativeLinker();
        FunctionDescriptor type = FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
        return linker.defaultLookup().find("madvise").map(symbol -> linker.downcallHandle(symbol, type));
    }

    /**
     * Asks for the whole large pages within a segment. What lies around it may be somebody else's.
     *
     * @param segment memory of this process, no file's
     * @return whether the system took the advice
     */
    static boolean adviseFor(MemorySegment segment) {
        long begin = (segment.address() + PAGE_BYTES - 1) & -PAGE_BYTES;
        long end = (segment.address() + segment.byteSize()) & -PAGE_BYTES;
        return end > begin
                && MADVISE.map(madvise -> call(madvise, begin, end - begin) == 0)
                        .orElse(false);
    }

    private static int call(MethodHandle madvise, long address, long byteSize) {
        try {
            return (int) madvise.invokeExact(address, byteSize, MADV_HUGEPAGE);
        } catch (RuntimeException | Error thrown) {
            throw thrown;
        } catch (Throwable impossible) {
            throw new AssertionError("a native call threw", impossible);
        }
    }
}
