package dev.headroom.memory.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/** Functions of a library that JCuda lacks or gets wrong, called directly. All answer with a code. */
final class NativeFunctions {

    private NativeFunctions() {}

    /**
     * Links a function.
     *
     * @throws java.util.NoSuchElementException if the library lacks it
     */
    static MethodHandle function(SymbolLookup library, String name, MemoryLayout... parameters) {
        return link(library.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, parameters));
    }

    @SuppressWarnings("restricted")
    static MethodHandle link(MemorySegment function, FunctionDescriptor type) {
        return Linker.nativeLinker().downcallHandle(function, type);
    }

    /** One native call; method handles declare every throwable. */
    @FunctionalInterface
    interface Call<T> {
        T run() throws Throwable;
    }

    static <T> T call(Call<T> call) {
        try {
            return call.run();
        } catch (RuntimeException | Error thrown) {
            throw thrown;
        } catch (Throwable impossible) {
            throw new AssertionError("a native call threw", impossible);
        }
    }
}
