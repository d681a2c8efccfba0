package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class LargePagesTest {

    private static final long MIB = 1L << 20;

    private static final Path MAPPINGS = Path.of("/proc/self/smaps");
    private static final Path SETTING = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");

    @Test
    void wholeLargePagesWithinASegmentAreAskedFor() throws IOException {
        assumeTrue(Files.isReadable(SETTING) && Files.isReadable(MAPPINGS), "no Linux with large pages");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment all = arena.allocate(16 * MIB, 2 * MIB);
            MemorySegment part = all.asSlice(MIB, 6 * MIB);
            assertThat(LargePages.adviseFor(part)).isTrue();
            assertThat(isAsked(all.address())).as("the page it begins in").isFalse();
            assertThat(isAsked(all.address() + 2 * MIB)).isTrue();
            assertThat(isAsked(all.address() + 6 * MIB - 4096)).isTrue();
            assertThat(isAsked(all.address() + 6 * MIB))
                    .as("the page it ends in")
                    .isFalse();
        }
    }

    @Test
    void lessThanALargePageIsLeftAlone() {
        try (Arena arena = Arena.ofConfined()) {
            assertThat(LargePages.adviseFor(arena.allocate(4 * MIB, 2 * MIB).asSlice(MIB, 2 * MIB)))
                    .isFalse();
        }
    }

    /** Whether the mapping an address lies in has the kernel's mark. */
    private static boolean isAsked(long address) throws IOException {
        boolean inside = false;
        for (String line : Files.readAllLines(MAPPINGS)) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                String[] range = line.substring(0, line.indexOf(' ')).split("-", 2);
                inside = Long.compareUnsigned(Long.parseUnsignedLong(range[0], 16), address) <= 0
                        && Long.compareUnsigned(address, Long.parseUnsignedLong(range[1], 16)) < 0;
            } else if (inside && line.startsWith("VmFlags:")) {
                return (line + " ").contains(" hg ");
            }
        }
        throw new AssertionError("no mapping at " + Long.toHexString(address));
    }
}
