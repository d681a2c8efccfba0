package dev.headroom.memory.cpu;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Set;

/**
 * The C library's side of {@link LinuxMemory}. Addresses travel as {@code long}: they are numbers here, and become
 * memory only in {@link MappedBlocks}.
 */
final class LinuxLibrary implements LinuxMemory {

    /** Where the numbers of {@link LinuxMemory} hold; the kernel has others for some architectures, such as PowerPC. */
    private static final Set<String> ARCHITECTURES = Set.of("amd64", "aarch64", "riscv64", "loongarch64", "s390x");

    /**
     * {@code errno} must be saved with the call itself: by the next line of Java the JVM may have used it for something
     * else.
     */
    private static final Linker.Option SAVE_ERRNO = Linker.Option.captureCallState("errno");

    private static final VarHandle ERRNO =
            Linker.Option.captureStateLayout().varHandle(PathElement.groupElement("errno"));

    private final long pageSize;
    private final MethodHandle mmap;
    private final MethodHandle munmap;
    private final MethodHandle mprotect;
    private final MethodHandle madvise;

    private LinuxLibrary(Linker linker) {
        mmap = function(
                linker,
                "mmap",
                FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
        munmap = function(linker, "munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
        mprotect = function(linker, "mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        madvise = function(linker, "madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        MethodHandle getpagesize = function(linker, "getpagesize", FunctionDescriptor.of(JAVA_INT));
        pageSize = call(state -> (int) getpagesize.invokeExact(state));
    }

    /**
     * Looks for the five calls. Without permission for native calls it does not even try, because an attempt would
     * print a warning.
     *
     * @return the calls; empty on other systems, and where the JVM does not allow them
     */
    static Optional<LinuxMemory> find() {
        if (!System.getProperty("os.name", "").equals("Linux")
                || !ARCHITECTURES.contains(System.getProperty("os.arch", ""))
                || !LinuxLibrary.class.getModule().isNativeAccessEnabled()) {
            return Optional.empty();
        }
        try {
            return Optional.of(new LinuxLibrary(Linker.nativeLinker()));
        } catch (IllegalCallerException | UnsupportedOperationException | NoSuchElementException unavailable) {
            return Optional.empty();
        }
    }

    @SuppressWarnings("restricted")
    private static MethodHandle function(Linker linker, String name, FunctionDescriptor type) {
        MemorySegment symbol = linker.defaultLookup().findOrThrow(name);
        return linker.downcallHandle(symbol, type, SAVE_ERRNO);
    }

    @Override
    public long pageSize() {
        return pageSize;
    }

    @Override
    public long map(long byteSize, int protection, int flags) {
        return call(state -> {
            long address = (long) mmap.invokeExact(state, 0L, byteSize, protection, flags, -1, 0L);
            return address == -1 ? -error(state) : address;
        });
    }

    @Override
    public int unmap(long address, long byteSize) {
        return (int) call(state -> (int) munmap.invokeExact(state, address, byteSize) == 0 ? 0 : error(state));
    }

    @Override
    public int protect(long address, long byteSize, int protection) {
        return (int)
                call(state -> (int) mprotect.invokeExact(state, address, byteSize, protection) == 0 ? 0 : error(state));
    }

    @Override
    public int advise(long address, long byteSize, int advice) {
        return (int) call(state -> (int) madvise.invokeExact(state, address, byteSize, advice) == 0 ? 0 : error(state));
    }

    private static int error(MemorySegment state) {
        return (int) ERRNO.get(state, 0L);
    }

    /** Runs a native call with a place for its error number. */
    private static long call(NativeCall call) {
        try (Arena arena = Arena.ofConfined()) {
            return call.run(arena.allocate(Linker.Option.captureStateLayout()));
        } catch (RuntimeException | Error thrown) {
            throw thrown;
        } catch (Throwable impossible) {
            throw new AssertionError("a native call threw", impossible);
        }
    }

    /** One native call; method handles declare every throwable. */
    @FunctionalInterface
    private interface NativeCall {
        long run(MemorySegment state) throws Throwable;
    }
}
