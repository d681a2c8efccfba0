package dev.headroom.memory.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.NoSuchElementException;
import java.util.Optional;

/**
 * Asks the system why it cannot open a library. Java says only that it cannot, which for a library of another
 * architecture is the wrong half of the truth.
 */
final class DynamicLoader {

    private static final int LAZY = 1;
    private static final long LONGEST_COMPLAINT = 1000;

    private DynamicLoader() {}

    /**
     * The system's own words, where it has some.
     *
     * @param library a name or a path
     * @return such as {@code libcuda.so.1: wrong ELF class: ELFCLASS32}; empty if the system has no such call, or no
     *     objection
     */
    static Optional<String> complaint(String library) {
        try {
            SymbolLookup system = Linker.nativeLinker().defaultLookup();
            MethodHandle open = NativeFunctions.link(
                    system.findOrThrow("dlopen"), FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
            MethodHandle error = NativeFunctions.link(system.findOrThrow("dlerror"), FunctionDescriptor.of(ADDRESS));
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment name = arena.allocateFrom(library);
                // The complaint is kept for each thread, so nothing may come in between that could change it.
                MemorySegment opened = NativeFunctions.call(() -> (MemorySegment) open.invokeExact(name, LAZY));
                MemorySegment text = NativeFunctions.call(() -> (MemorySegment) error.invokeExact());
                return opened.address() != 0 || text.address() == 0 ? Optional.empty() : Optional.of(text(text));
            }
        } catch (NoSuchElementException | UnsupportedOperationException notHere) {
            return Optional.empty();
        }
    }

    @SuppressWarnings("restricted")
    private static String text(MemorySegment address) {
        MemorySegment bytes = address.reinterpret(LONGEST_COMPLAINT);
        long end = 0;
        while (end < LONGEST_COMPLAINT && bytes.get(JAVA_BYTE, end) != 0) {
            end++;
        }
        return new String(bytes.asSlice(0, end).toArray(JAVA_BYTE), StandardCharsets.UTF_8);
    }
}
