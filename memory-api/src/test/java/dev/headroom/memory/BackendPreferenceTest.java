package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BackendPreferenceTest {

    @ParameterizedTest
    @CsvSource({
        "auto, auto",
        "'  AUTO ', auto",
        "cuda, cuda",
        "OpenCL, opencl",
        "cpu, cpu",
        "cuda:1, cuda:1",
        "' Vulkan:0 ', vulkan:0",
        "cuda:2147483647, cuda:2147483647",
    })
    void readsWhatItWrites(String text, String written) {
        BackendPreference preference = BackendPreference.parse(text);
        assertThat(preference).hasToString(written);
        assertThat(BackendPreference.parse(written)).isEqualTo(preference);
    }

    @Test
    void namesAreTheSameInEveryLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("tr"));
            assertThat(BackendPreference.parse("METALLIC").backend()).contains("metallic");
        } finally {
            Locale.setDefault(before);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "  ", ":1", " :"})
    void aBlankBackendIsRefused(String text) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> BackendPreference.parse(text))
                .withMessage("backend '" + text
                        + "' is not understood: write auto, a backend such as cuda, or a device such as cuda:1");
    }

    @ParameterizedTest
    @ValueSource(strings = {"cuda:", "cuda:one", "cuda:1:2", "cuda:0x1", "cuda:2147483648", "cuda:1.5"})
    void anIndexThatIsNoNumberIsRefused(String text) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> BackendPreference.parse(text))
                .withMessage("device '" + text + "' is not understood: write backend and number, such as cuda:1");
    }

    @Test
    void anIndexBelowZeroIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> BackendPreference.parse("cuda:-1"))
                .withMessage("device index is -1: must be 0 or more");
    }

    @Test
    void theRecordRefusesWhatMakesNoSense() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new BackendPreference(Optional.empty(), OptionalInt.of(1)))
                .withMessage("a device index needs a backend");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new BackendPreference(Optional.of(" "), OptionalInt.empty()))
                .withMessage("backend must not be blank: leave it empty to allow all");
        assertThat(new BackendPreference(Optional.of(" CUDA "), OptionalInt.of(0)))
                .isEqualTo(BackendPreference.parse("cuda:0"));
    }

    @ParameterizedTest
    @CsvSource({
        "auto, true, true, true",
        "cuda, true, true, false",
        "cuda:1, false, true, false",
        "cuda:2, false, false, false",
        "opencl, false, false, true",
    })
    void allowsWhatItNames(String text, boolean first, boolean second, boolean other) {
        BackendPreference preference = BackendPreference.parse(text);
        assertThat(preference.isAuto()).isEqualTo(text.equals("auto"));
        assertThat(preference.allows(device("cuda", 0))).isEqualTo(first);
        assertThat(preference.allows(device("cuda", 1))).isEqualTo(second);
        assertThat(preference.allows(device("opencl", 0))).isEqualTo(other);
    }

    private static GpuDevice device(String backend, int index) {
        return GpuDevice.of(backend, index, "card", DeviceClass.DISCRETE, PhysicalId.unknown());
    }
}
