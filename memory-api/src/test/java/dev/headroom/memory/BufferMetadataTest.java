package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BufferMetadataTest {
    private static final BufferId ID = new BufferId(7);

    private static BufferMetadata allocatedAt(long nanos) {
        return BufferMetadata.of(ID, 1 << 20, 1 << 18, BufferLocation.GPU, nanos);
    }

    @Test
    void attentionScores() {
        Throwable here = new Throwable("allocated here");
        BufferMetadata scores = allocatedAt(5).withTag("attention_scores").withSite(here);
        assertThat(scores)
                .isEqualTo(new BufferMetadata(
                        ID,
                        1_048_576,
                        262_144,
                        BufferLocation.GPU,
                        5,
                        Optional.of("attention_scores"),
                        Optional.of(here)));
        assertThat(scores).hasToString("Buffer#7: 1 MiB, 262144 elements, GPU, tag attention_scores");
    }

    @Test
    void tagAndSiteAreOptional() {
        assertThat(allocatedAt(0).tag()).isEmpty();
        assertThat(allocatedAt(0).site()).isEmpty();
        assertThat(allocatedAt(0)).hasToString("Buffer#7: 1 MiB, 262144 elements, GPU");
    }

    @Test
    void locationsPrintTheirNames() {
        assertThat(BufferLocation.values()).extracting(Object::toString).containsExactly("GPU", "CPU");
    }

    @Test
    void ageIsTheTimeSinceAllocation() {
        assertThat(allocatedAt(1_000).age(1_000)).isEqualTo(Duration.ZERO);
        assertThat(allocatedAt(1_000).age(3_500)).isEqualTo(Duration.ofNanos(2_500));
        assertThat(allocatedAt(-500).age(500)).isEqualTo(Duration.ofNanos(1_000));
    }

    @Test
    void ageSurvivesAWrappingClock() {
        assertThat(allocatedAt(Long.MAX_VALUE - 9).age(Long.MIN_VALUE + 90)).isEqualTo(Duration.ofNanos(100));
    }

    @Test
    void ageIsNeverNegative() {
        assertThat(allocatedAt(1_000).age(999)).isEqualTo(Duration.ZERO);
        assertThat(allocatedAt(Long.MIN_VALUE).age(Long.MAX_VALUE)).isEqualTo(Duration.ZERO);
    }

    @ParameterizedTest
    @CsvSource({"0", "-1", "-9223372036854775808"})
    void refusesEmptyBuffers(long size) {
        assertThatThrownBy(() -> BufferMetadata.of(ID, size, 1, BufferLocation.CPU, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("sizeBytes is " + size + ": allowed are 1 or more");
        assertThatThrownBy(() -> BufferMetadata.of(ID, 1, size, BufferLocation.CPU, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("numElements is " + size + ": allowed are 1 or more");
    }
}
