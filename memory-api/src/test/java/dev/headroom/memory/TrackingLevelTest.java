package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class TrackingLevelTest {
    @Test
    void levelsAreOrderedByWhatTheyCanName() {
        assertThat(TrackingLevel.values())
                .containsExactly(TrackingLevel.OFF, TrackingLevel.COUNT, TrackingLevel.SAMPLED, TrackingLevel.FULL);
    }
}
