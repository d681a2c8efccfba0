package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.PoolProfile.BlockClass;
import dev.headroom.memory.PoolProfile.BlockClasses;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PoolProfileTest {

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;

    /** The original: pools of 512, 256 and 128 KiB with blocks of 1 KiB, 64 KiB and 1 MiB. */
    @Test
    void theArithmeticOfTheSeed() {
        BlockClass small = new BlockClass(0, KIB, 512);
        BlockClass medium = new BlockClass(1, 64 * KIB, 4);
        BlockClass large = new BlockClass(2, MIB, 0);
        assertThat(BlockClasses.seedClasses(512 * MIB)).containsExactly(small, medium, large);
        assertThat(BlockClasses.seedClasses(896 * KIB)).containsExactly(small, medium, large);
        assertThat(BlockClasses.seedClasses(896 * KIB - 1)).containsExactly(small, medium);
        assertThat(BlockClasses.seedClasses(768 * KIB - 1)).containsExactly(small);
        assertThat(BlockClasses.seedClasses(512 * KIB - 1)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        // pool MiB, device GiB, cap MiB, blocks of 1 KiB, 64 KiB, 1 MiB
        "512, 8, 512, 299593, 2340, 73",
        "1024, 8, 1024, 599186, 4681, 146",
        "1024, 2, 512, 299593, 2340, 73",
        "512, 1, 256, 149796, 1170, 36",
    })
    void theCapIsShared421(long pool, long device, long cap, long small, long medium, long large) {
        BlockClasses profile = new BlockClasses(pool * MIB);
        assertThat(profile.capBytes(device * GIB)).isEqualTo(cap * MIB);
        assertThat(profile.classes(device * GIB))
                .containsExactly(
                        new BlockClass(0, KIB, small),
                        new BlockClass(1, 64 * KIB, medium),
                        new BlockClass(2, MIB, large));
    }

    @Test
    void sharesAreExactAndNeverAboveTheCap() {
        for (long cap = 1; cap < 50_000; cap += 7) {
            assertThat(new BlockClasses(cap).classes(GIB).getFirst().blocks()).isEqualTo(cap * 4 / 7 / KIB);
        }
        BlockClasses boundless = new BlockClasses(Long.MAX_VALUE);
        assertThat(boundless.classes(Long.MAX_VALUE))
                .allSatisfy(each -> assertThat(each.blocks()).isPositive());
        assertThat(boundless.classes(Long.MAX_VALUE).stream()
                        .mapToLong(each -> each.blocks() * each.blockBytes())
                        .sum())
                .isBetween(boundless.capBytes(Long.MAX_VALUE) - 3 * MIB, boundless.capBytes(Long.MAX_VALUE));
    }

    @Test
    void aDeviceWithoutRoomHasNoBlocks() {
        assertThat(new BlockClasses(GIB).classes(0))
                .allSatisfy(each -> assertThat(each.blocks()).isZero());
    }

    @Test
    void aProfileOfNothingIsRefused() {
        assertThatThrownBy(() -> PoolProfile.blockClasses(0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("maxPoolBytes is 0: must be above 0");
    }

    @Test
    void equalProfilesAreEqual() {
        assertThat(PoolProfile.engine()).isSameAs(PoolProfile.engine()).hasToString("engine");
        assertThat(PoolProfile.blockClasses(7)).isEqualTo(PoolProfile.blockClasses(7));
        assertThat(MemoryConfig.defaults().profile()).isEqualTo(PoolProfile.engine());
    }
}
