package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is flushed: whole atoms, or all that is left. */
class AtomRangeTest {

    @ParameterizedTest
    @CsvSource({
        // offset, size, atom, memory, from, how much
        "0,    64,  64, 1024,   0,  64",
        "0,    1,   64, 1024,   0,  64",
        "63,   1,   64, 1024,   0,  64",
        "63,   2,   64, 1024,   0, 128",
        "64,   1,   64, 1024,  64,  64",
        "100,  300, 64, 1024,  64, 384",
        "0,    960, 64, 1024,   0, 960",
        "0,    961, 64, 1024,   0,  -1",
        "0,   1024, 64, 1024,   0,  -1",
        "1023, 1,   64, 1024, 960,  -1",
        "5,    3,    1, 1024,   5,   3",
        "5,    3,    1,    8,   5,  -1",
        "70,   10, 256,  100,   0,  -1",
        "100,  50,  64,  130,  64,  -1"
    })
    void whole_atoms(long offset, long size, long atom, long memory, long from, long much) {
        assertThat(AtomRange.around(offset, size, atom, memory)).isEqualTo(new AtomRange(from, much));
    }

    /** What Vulkan asks of a range, for every range there is. */
    @Test
    void every_range_is_valid_and_covers_what_was_asked() {
        for (long atom : new long[] {1, 4, 64}) {
            for (long memory : new long[] {64, 100, 128, 130}) {
                for (long offset = 0; offset < memory; offset++) {
                    for (long size = 1; offset + size <= memory; size++) {
                        AtomRange range = AtomRange.around(offset, size, atom, memory);
                        long end =
                                range.byteSize() == VkApi.WHOLE_SIZE ? memory : range.byteOffset() + range.byteSize();
                        assertThat(range.byteOffset() % atom).isZero();
                        assertThat(range.byteOffset()).isBetween(Math.max(0, offset - atom + 1), offset);
                        assertThat(end % atom == 0 || end == memory).isTrue();
                        assertThat(end).isBetween(offset + size, Math.min(memory, offset + size + atom - 1));
                    }
                }
            }
        }
    }
}
