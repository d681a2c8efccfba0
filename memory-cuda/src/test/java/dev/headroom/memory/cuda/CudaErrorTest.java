package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.spi.DriverException.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the codes mean. */
class CudaErrorTest {

    @ParameterizedTest
    @ValueSource(ints = {4, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999})
    void the_device_is_lost(int code) {
        assertThat(CudaError.failed("cuMemAlloc", code).kind()).isEqualTo(Kind.DEVICE_LOST);
    }

    /** A call too early, a wrong context, a busy device: the next call may go well. */
    @ParameterizedTest
    @ValueSource(ints = {1, 3, 46, 100, 101, 201, 304, 400, 600, 704, 800, 901})
    void anything_else(int code) {
        assertThat(CudaError.failed("cuMemAlloc", code).kind()).isEqualTo(Kind.UNEXPECTED);
    }

    @Test
    void memory_and_features_that_are_not_there() {
        assertThat(CudaError.kind(2)).isEqualTo(Kind.OUT_OF_MEMORY);
        assertThat(CudaError.kind(801)).isEqualTo(Kind.UNSUPPORTED);
        assertThat(CudaError.kind(217)).isEqualTo(Kind.UNSUPPORTED);
        assertThat(CudaError.kind(711)).isEqualTo(Kind.UNSUPPORTED);
    }

    @Test
    void the_message_has_call_name_and_code() {
        assertThat(CudaError.failed("cuMemAlloc", 2))
                .hasMessage("cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY (code 2)");
    }

    @Test
    void names_lead_back_to_codes() {
        assertThat(CudaError.codeOf("CUDA_ERROR_ILLEGAL_ADDRESS")).isEqualTo(700);
        assertThat(CudaError.codeOf("CUDA_ERROR_NOT_READY")).isEqualTo(600);
        assertThat(CudaError.codeOf("whatever")).isEqualTo(999);
        assertThat(CudaError.codeOf(null)).isEqualTo(999);
    }
}
