package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigPropertiesTest {

    private static final long MIB = 1L << 20;

    @Test
    void nothingGivesTheDefaults() {
        assertThat(MemoryConfig.of(new Properties())).isEqualTo(MemoryConfig.defaults());
    }

    @Test
    void everythingComesBackAsItWas() {
        MemoryConfig odd = MemoryConfig.builder()
                .fraction(0.3)
                .cpuFallback(false)
                .minFreeBytes(5)
                .tracking(TrackingLevel.SAMPLED)
                .reclaimLeaked(true)
                .eventSampling(7)
                .pressureInterval(Duration.ofMillis(29))
                .maxPooled(3)
                .preAllocation(List.of(7L, 9 * MIB))
                .limitBytes(11)
                .fallbackLimitBytes(13)
                .stagingBytes(17 * MIB)
                .waitTimeout(Duration.ofMillis(19))
                .closeTimeout(Duration.ofDays(23))
                .growthBytes(37)
                .releaseThresholdBytes(41)
                .profile(PoolProfile.blockClasses(29))
                .idleTrimAfter(Duration.ofSeconds(31))
                .outOfMemoryReport(Path.of("reports"))
                .build();
        assertThat(MemoryConfig.of(odd.toProperties())).isEqualTo(odd);
        for (MemoryConfig preset : List.of(
                MemoryConfig.defaults(),
                MemoryConfig.forInference(),
                MemoryConfig.forTraining(),
                MemoryConfig.forConstrained())) {
            assertThat(MemoryConfig.of(preset.toProperties())).isEqualTo(preset);
        }
    }

    @Test
    void everyComponentIsAProperty() {
        List<String> components = Arrays.stream(MemoryConfig.class.getRecordComponents())
                .map(component -> "headroom." + component.getName())
                .filter(name -> !name.equals("headroom.preAllocate")) // sizes, or none
                .toList();
        assertThat(MemoryConfig.defaults().toProperties().stringPropertyNames())
                .containsExactlyInAnyOrderElementsOf(components);
    }

    @Test
    void textsOfAFileAreUnderstood() throws IOException {
        MemoryConfig config = MemoryConfig.of(properties("""
                # of another program
                server.port = 80
                headroom.limitBytes = 7.5GiB
                headroom.waitTimeout = PT2M
                headroom.preAllocateSizes = 1MiB, 2MiB
                headroom.profile = blockClasses:256MiB
                headroom.tracking = full
                """));
        assertThat(config.limitBytes()).hasValue(7680 * MIB);
        assertThat(config.waitTimeout()).isEqualTo(Duration.ofMinutes(2));
        assertThat(config.preAllocateSizes()).containsExactly(MIB, 2 * MIB);
        assertThat(config.preAllocate()).isTrue();
        assertThat(config.profile()).isEqualTo(PoolProfile.blockClasses(256 * MIB));
        assertThat(config.tracking()).isEqualTo(TrackingLevel.FULL);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "gpuMemoryFraction | 1.5 | a number from 0.1 to 1.0",
                "gpuMemoryFraction | NaN | a number from 0.1 to 1.0",
                "gpuMemoryFraction | much | a number from 0.1 to 1.0",
                "cpuFallbackEnabled | yes | true or false",
                "minFreeBytes | -1 | a size, 0 or more",
                "minFreeBytes | lots | a size, 0 or more",
                "tracking | loud | one of [off, count, sampled, full]",
                "reclaimLeaked | 1 | true or false",
                "eventSampling | 0 | a number from 1 to 1048576",
                "pressureInterval | PT0S | a duration from PT0.01S to P1D",
                "pressureInterval | 5 seconds | a duration from PT0.01S to P1D",
                "maxPooledPerBucket | -1 | a number, 0 or more",
                "preAllocateSizes | 1MiB,,2MiB | sizes separated by commas, or none",
                "preAllocateSizes | 0 | sizes separated by commas, or none",
                "limitBytes | 0 | a size above 0, or none",
                "fallbackLimitBytes | 0 | a size above 0, or none",
                "stagingBytes | 1 | a size, 1 MiB or more",
                "waitTimeout | P366D | a duration up to P365D",
                "closeTimeout | -PT1S | a duration up to P365D",
                "growthBytes | 2TiB | a size up to 1 TiB",
                "releaseThresholdBytes | -1 | a size, 0 or more",
                "profile | fast | engine or blockClasses:SIZE",
                "profile | blockClasses:0 | engine or blockClasses:SIZE",
                "idleTrimAfter | PT0S | a duration above 0, up to P365D, or none",
            })
    void aValueThatCannotBeIsNamedWithItsRange(String key, String value, String expected) {
        Properties properties = new Properties();
        properties.setProperty("headroom." + key, value);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MemoryConfig.of(properties))
                .withMessageStartingWith("headroom." + key + " is `" + value + "`: expected " + expected);
    }

    @Test
    void anUnknownNameIsRefusedWithThoseThereAre() {
        Properties properties = new Properties();
        properties.setProperty("headroom.maxPooled", "3");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MemoryConfig.of(properties))
                .withMessageStartingWith("headroom.maxPooled is no setting: there are headroom.{gpuMemoryFraction, ")
                .withMessageContaining("maxPooledPerBucket");
    }

    /** Whatever a value is, the answer is a configuration or a refusal that names its key. */
    @Test
    void noValueGetsThroughUnnoticed() {
        List<String> keys = MemoryConfig.defaults().toProperties().stringPropertyNames().stream()
                .sorted()
                .toList();
        String letters = "0123456789-+.eEPTDSMGiBnoetrufalskyc:, \0";
        SplittableRandom random = new SplittableRandom(7);
        for (int round = 0; round < 20_000; round++) {
            String key = keys.get(random.nextInt(keys.size()));
            StringBuilder value = new StringBuilder();
            for (int length = random.nextInt(8); length > 0; length--) {
                value.append(letters.charAt(random.nextInt(letters.length())));
            }
            Properties properties = new Properties();
            properties.setProperty(key, value.toString());
            try {
                MemoryConfig config = MemoryConfig.of(properties);
                assertThat(MemoryConfig.of(config.toProperties())).isEqualTo(config);
            } catch (IllegalArgumentException e) {
                assertThat(e).hasMessageStartingWith(key + " is `");
            }
        }
    }

    private static Properties properties(String text) throws IOException {
        Properties properties = new Properties();
        properties.load(new StringReader(text));
        return properties;
    }
}
