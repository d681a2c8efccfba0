package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AllocationRequestTest {

    @Test
    void aSizeIsEnough() {
        assertThat(AllocationRequest.of(1))
                .isEqualTo(new AllocationRequest(1, 256, MemoryKind.DEVICE, false, true, Optional.empty()));
        assertThat(AllocationRequest.of(Long.MAX_VALUE).byteSize()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void eachRefinementKeepsTheOthers() {
        AllocationRequest request = AllocationRequest.of(64)
                .aligned(4096)
                .ofKind(MemoryKind.UPLOAD)
                .zeroed()
                .withoutFallback()
                .tagged("kv cache");
        assertThat(request)
                .isEqualTo(new AllocationRequest(64, 4096, MemoryKind.UPLOAD, true, false, Optional.of("kv cache")));
        assertThat(request)
                .as("in any order")
                .isEqualTo(AllocationRequest.of(64)
                        .tagged("kv cache")
                        .withoutFallback()
                        .zeroed()
                        .ofKind(MemoryKind.UPLOAD)
                        .aligned(4096));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE})
    void noBytesAreRefused(long bytes) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> AllocationRequest.of(bytes))
                .withMessage("byteSize is " + bytes + ": must be above 0");
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 256, 4096, 1 << 20, 2 << 20})
    void powersOfTwoUpToTwoMebibytesAlign(long alignment) {
        assertThat(AllocationRequest.of(1).aligned(alignment).byteAlignment()).isEqualTo(alignment);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, 3, 255, 257, (2 << 20) + 1, 4 << 20, Long.MIN_VALUE, Long.MAX_VALUE})
    void otherAlignmentsAreRefused(long alignment) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> AllocationRequest.of(1).aligned(alignment))
                .withMessage("byteAlignment is " + alignment + ": must be a power of two from 1 to 2097152");
    }
}
