package dev.headroom.memory.sim;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Address ranges that take memory only when touched, so that a large simulated block costs nothing. Where the system
 * has no {@code mmap}, an ordinary allocation stands in.
 */
final class NativePages {

    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_PRIVATE_ANONYMOUS_NORESERVE;
    private static final long SYSTEM_PAGE = 4096;

    static {
        boolean mac = System.getProperty("os.name", "").toLowerCase(Locale.ROOT).contains("mac");
        MAP_PRIVATE_ANONYMOUS_NORESERVE = mac ? 0x02 | 0x1000 | 0x40 : 0x02 | 0x20 | 0x4000;
    }

    private static final @Nullable MethodHandle MMAP =
            find("mmap", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
    private static final @Nullable MethodHandle MUNMAP =
            find("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));

    private NativePages() {}

    /** A segment that lives as long as the arena, aligned as asked. */
    @SuppressWarnings("restricted") // gives the address that mmap returned its size and its end
    static MemorySegment reserve(long byteSize, long byteAlignment, Arena arena) {
        MethodHandle munmap = MUNMAP;
        if (MMAP == null || munmap == null) {
            return arena.allocate(byteSize, byteAlignment);
        }
        long slack = byteAlignment > SYSTEM_PAGE ? byteAlignment : 0;
        long mapped = Math.addExact(byteSize, slack);
        MemorySegment base;
        try {
            base = (MemorySegment) MMAP.invokeExact(
                    MemorySegment.NULL, mapped, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0L);
        } catch (Throwable e) {
            throw new IllegalStateException("mmap could not be called", e);
        }
        if (base.address() == -1) {
            throw new OutOfMemoryError("mmap refused " + mapped + " bytes for a simulated block");
        }
        MemorySegment pages = base.reinterpret(mapped, arena, mapping -> unmap(munmap, mapping));
        long shift = Math.floorMod(-pages.address(), byteAlignment);
        return pages.asSlice(slack == 0 ? 0 : shift, byteSize);
    }

    private static void unmap(MethodHandle munmap, MemorySegment pages) {
        try {
            int _ = (int) munmap.invokeExact(pages, pages.byteSize());
        } catch (Throwable e) {
            throw new IllegalStateException("munmap could not be called", e);
        }
    }

    @SuppressWarnings("restricted") // mmap and munmap of the C library
    private static @Nullable MethodHandle find(String name, FunctionDescriptor descriptor) {
        Linker linker = Linker.nativeLinker();
        SymbolLookup lookup = linker.defaultLookup();
        return lookup.find(name)
                .map(address -> linker.downcallHandle(address, descriptor))
                .orElse(null);
    }
}
