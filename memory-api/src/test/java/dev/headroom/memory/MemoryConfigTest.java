package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryConfigTest {

    private static final long MIB = 1L << 20;

    @ParameterizedTest
    @MethodSource("presets")
    void presetsAreThoseOfTheSeed(
            MemoryConfig config,
            double fraction,
            boolean fallback,
            long minFree,
            TrackingLevel tracking,
            int perBucket) {
        assertThat(config.gpuMemoryFraction()).isEqualTo(fraction);
        assertThat(config.cpuFallbackEnabled()).isEqualTo(fallback);
        assertThat(config.minFreeBytes()).isEqualTo(minFree);
        assertThat(config.tracking()).isEqualTo(tracking);
        assertThat(config.maxPooledPerBucket()).isEqualTo(perBucket);
        // The same for all.
        assertThat(config.preAllocate()).isFalse();
        assertThat(config.preAllocateSizes()).isEmpty();
        assertThat(config.limitBytes()).isEmpty();
        assertThat(config.fallbackLimitBytes()).isEmpty();
        assertThat(config.stagingBytes()).isEqualTo(16 * MIB);
        assertThat(config.waitTimeout()).isEqualTo(Duration.ofSeconds(10));
        assertThat(config.closeTimeout()).isEqualTo(Duration.ofSeconds(10));
    }

    static Stream<Arguments> presets() {
        return Stream.of(
                Arguments.of(MemoryConfig.defaults(), 0.90, true, 512 * MIB, TrackingLevel.COUNT, 8),
                Arguments.of(MemoryConfig.forInference(), 0.95, true, 256 * MIB, TrackingLevel.OFF, 4),
                Arguments.of(MemoryConfig.forTraining(), 0.80, false, 1024 * MIB, TrackingLevel.COUNT, 16),
                Arguments.of(MemoryConfig.forConstrained(), 0.70, true, 128 * MIB, TrackingLevel.OFF, 2));
    }

    @Test
    void theBuilderStartsFromTheDefaults() {
        assertThat(MemoryConfig.builder().build()).isEqualTo(MemoryConfig.defaults());
    }

    @ParameterizedTest
    @CsvSource({
        "0.1, 0.1",
        "0.0999999, 0.1",
        "0, 0.1",
        "-0.0, 0.1",
        "-5, 0.1",
        "-1.7976931348623157E308, 0.1",
        "0.5, 0.5",
        "0.9999999, 0.9999999",
        "1, 1",
        "1.0000001, 1",
        "95, 1",
        "1.7976931348623157E308, 1"
    })
    void theFractionIsClamped(double given, double expected) {
        assertThat(MemoryConfig.builder().fraction(given).build().gpuMemoryFraction())
                .isEqualTo(expected);
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
    void aFractionThatIsNoNumberIsRefused(double value) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MemoryConfig.builder().fraction(value))
                .withMessage("fraction is " + value + ": must be a number from 0.1 to 1.0");
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.09, 1.01, 0, -1, Double.NaN, Double.POSITIVE_INFINITY})
    void theRecordItselfDoesNotClamp(double value) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> withFraction(value))
                .withMessage("gpuMemoryFraction is " + value + ": must be from 0.1 to 1.0");
    }

    @ParameterizedTest
    @MethodSource("refused")
    void aRefusalNamesKeyValueAndRange(UnaryOperator<MemoryConfig.Builder> setting, String message) {
        MemoryConfig.Builder builder = setting.apply(MemoryConfig.builder());
        assertThatIllegalArgumentException().isThrownBy(builder::build).withMessage(message);
    }

    static Stream<Arguments> refused() {
        return Stream.of(
                refused(b -> b.minFreeBytes(-1), "minFreeBytes is -1: must be 0 or more"),
                refused(b -> b.minFreeBytes(Long.MIN_VALUE), "minFreeBytes is -9223372036854775808: must be 0 or more"),
                refused(b -> b.eventSampling(0), "eventSampling is 0: must be from 1 to 1048576"),
                refused(b -> b.eventSampling(1048577), "eventSampling is 1048577: must be from 1 to 1048576"),
                refused(
                        b -> b.pressureInterval(Duration.ofMillis(9)),
                        "pressureInterval is PT0.009S: must be from 10 ms to 1 day"),
                refused(
                        b -> b.pressureInterval(Duration.ofSeconds(-1)),
                        "pressureInterval is PT-1S: must be from 10 ms to 1 day"),
                refused(
                        b -> b.pressureInterval(Duration.ofDays(1).plusNanos(1)),
                        "pressureInterval is PT24H0.000000001S: must be from 10 ms to 1 day"),
                refused(b -> b.maxPooled(-1), "maxPooledPerBucket is -1: must be 0 or more"),
                refused(b -> b.stagingBytes(MIB - 1), "stagingBytes is 1048575: must be 1048576 or more"),
                refused(b -> b.limitBytes(0), "limitBytes is 0: must be 1 or more"),
                refused(b -> b.limitBytes(-7), "limitBytes is -7: must be 1 or more"),
                refused(b -> b.fallbackLimitBytes(0), "fallbackLimitBytes is 0: must be 1 or more"),
                refused(b -> b.preAllocation(List.of(1L, 0L)), "preAllocateSizes is 0: must be 1 or more"),
                refused(
                        b -> b.waitTimeout(Duration.ofNanos(-1)),
                        "waitTimeout is PT-0.000000001S: must be from 0 to 365 days"),
                refused(
                        b -> b.waitTimeout(Duration.ofSeconds(Long.MAX_VALUE)),
                        "waitTimeout is PT2562047788015215H30M7S: must be from 0 to 365 days"),
                refused(
                        b -> b.closeTimeout(Duration.ofDays(365).plusNanos(1)),
                        "closeTimeout is PT8760H0.000000001S: must be from 0 to 365 days"),
                refused(b -> b.idleTrimAfter(Duration.ZERO), "idleTrimAfter is PT0S: must be above 0, up to 365 days"),
                refused(
                        b -> b.idleTrimAfter(Duration.ofDays(366)),
                        "idleTrimAfter is PT8784H: must be above 0, up to 365 days"));
    }

    private static Arguments refused(UnaryOperator<MemoryConfig.Builder> setting, String message) {
        return Arguments.of(setting, message);
    }

    @Test
    void theEdgesOfTheRangesAreAllowed() {
        MemoryConfig config = MemoryConfig.builder()
                .minFreeBytes(0)
                .eventSampling(1)
                .pressureInterval(Duration.ofMillis(10))
                .maxPooled(0)
                .stagingBytes(MIB)
                .limitBytes(1)
                .fallbackLimitBytes(1)
                .waitTimeout(Duration.ZERO)
                .closeTimeout(Duration.ofDays(365))
                .idleTrimAfter(Duration.ofNanos(1))
                .build();
        assertThat(config.idleTrimAfter()).contains(Duration.ofNanos(1));
        assertThat(config.minFreeBytes()).isZero();
        assertThat(config.eventSampling()).isEqualTo(1);
        assertThat(config.pressureInterval()).isEqualTo(Duration.ofMillis(10));
        assertThat(config.maxPooledPerBucket()).isZero();
        assertThat(config.stagingBytes()).isEqualTo(MIB);
        assertThat(config.limitBytes()).hasValue(1);
        assertThat(config.fallbackLimitBytes()).hasValue(1);
        assertThat(config.waitTimeout()).isZero();
        assertThat(config.closeTimeout()).isEqualTo(Duration.ofDays(365));
    }

    @Test
    void sizesToPreAllocateSwitchThatOn() {
        List<Long> sizes = new ArrayList<>(List.of(3L, 1L, 2L));
        MemoryConfig config = MemoryConfig.builder().preAllocation(sizes).build();
        sizes.clear();
        assertThat(config.preAllocate()).isTrue();
        assertThat(config.preAllocateSizes()).as("copied, in order").containsExactly(3L, 1L, 2L);
    }

    @Test
    void trackingIsALevelOrASwitch() {
        assertThat(MemoryConfig.builder().tracking(true).build().tracking()).isEqualTo(TrackingLevel.FULL);
        assertThat(MemoryConfig.builder().tracking(false).build().tracking()).isEqualTo(TrackingLevel.COUNT);
        assertThat(MemoryConfig.builder()
                        .tracking(TrackingLevel.SAMPLED)
                        .build()
                        .tracking())
                .isEqualTo(TrackingLevel.SAMPLED);
        assertThatNullPointerException().isThrownBy(() -> MemoryConfig.builder().tracking((TrackingLevel) null));
    }

    @Test
    void aBuilderFromAConfigurationKeepsEverything() {
        MemoryConfig config = MemoryConfig.builder()
                .fraction(0.3)
                .cpuFallback(false)
                .minFreeBytes(5)
                .tracking(TrackingLevel.FULL)
                .reclaimLeaked(true)
                .eventSampling(7)
                .pressureInterval(Duration.ofMillis(29))
                .maxPooled(3)
                .preAllocation(List.of(7L))
                .limitBytes(11)
                .fallbackLimitBytes(13)
                .stagingBytes(17 * MIB)
                .waitTimeout(Duration.ofMillis(19))
                .closeTimeout(Duration.ofMillis(23))
                .growthBytes(37)
                .releaseThresholdBytes(41)
                .profile(PoolProfile.blockClasses(29))
                .idleTrimAfter(Duration.ofSeconds(31))
                .outOfMemoryReport(Path.of("reports"))
                .build();
        assertThat(config.toBuilder().build()).isEqualTo(config);
        assertThat(config)
                .isEqualTo(new MemoryConfig(
                        0.3,
                        false,
                        5,
                        TrackingLevel.FULL,
                        true,
                        7,
                        Duration.ofMillis(29),
                        3,
                        true,
                        List.of(7L),
                        OptionalLong.of(11),
                        OptionalLong.of(13),
                        17 * MIB,
                        Duration.ofMillis(19),
                        Duration.ofMillis(23),
                        37,
                        41,
                        PoolProfile.blockClasses(29),
                        Optional.of(Duration.ofSeconds(31)),
                        Optional.of(Path.of("reports"))));
    }

    private static MemoryConfig withFraction(double fraction) {
        MemoryConfig some = MemoryConfig.defaults();
        return new MemoryConfig(
                fraction,
                some.cpuFallbackEnabled(),
                some.minFreeBytes(),
                some.tracking(),
                some.reclaimLeaked(),
                some.eventSampling(),
                some.pressureInterval(),
                some.maxPooledPerBucket(),
                some.preAllocate(),
                some.preAllocateSizes(),
                some.limitBytes(),
                some.fallbackLimitBytes(),
                some.stagingBytes(),
                some.waitTimeout(),
                some.closeTimeout(),
                some.growthBytes(),
                some.releaseThresholdBytes(),
                some.profile(),
                some.idleTrimAfter(),
                some.outOfMemoryReport());
    }
}
