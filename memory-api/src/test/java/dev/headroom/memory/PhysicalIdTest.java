package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PhysicalIdTest {

    /** In the table, h is the host, ? is unknown, and the others are uuid or uuid and address or address. */
    @ParameterizedTest
    @CsvSource({
        "h, h, true",
        "h, ?, false",
        "h, u/a, false",
        "?, ?, false",
        "u, u, true",
        "u, v, false",
        "u/a, u/a, true",
        "u/a, u/b, true", // the UUID decides, addresses may be virtual
        "u/a, v/a, false", // two UUIDs in one place are not one card
        "u/a, u, true",
        "u/a, /a, true",
        "/a, /a, true",
        "/a, /b, false",
        "u, /a, false", // nothing joins them
        "mig-1/a, mig-2/a, false", // slices of one card
        "mig-1/a, mig-1/a, true",
        "mig-1/a, /a, false", // a slice is not its card
        "mig-1/a, u/a, false",
    })
    void sameMemory(String one, String other, boolean same) {
        assertThat(id(one).sameMemoryAs(id(other))).isEqualTo(same);
        assertThat(id(other).sameMemoryAs(id(one))).as("the other way round").isEqualTo(same);
    }

    @ParameterizedTest
    @CsvSource({"h, host", "u, uuid:u", "u/a, uuid:u", "/a, pci:a", "?, "})
    void labels(String text, String label) {
        assertThat(id(text).label()).isEqualTo(Optional.ofNullable(label));
    }

    @Test
    void driversThatWriteDifferentlyAgree() {
        assertThat(PhysicalId.of("  GPU-ABCD ", "0000:3B:00.0")).isEqualTo(PhysicalId.of("gpu-abcd", " 0000:3b:00.0"));
        assertThat(PhysicalId.ofUuid("MIG-7").isSlice()).isTrue();
        assertThat(PhysicalId.ofUuid("gpu-mig-7").isSlice()).isFalse();
        assertThat(PhysicalId.ofPci("mig-7").isSlice()).isFalse();
    }

    @Test
    void aBlankNameSaysNothing() {
        assertThat(PhysicalId.of(" ", "")).isEqualTo(PhysicalId.unknown());
        assertThat(PhysicalId.ofUuid("").sameMemoryAs(PhysicalId.ofUuid(""))).isFalse();
    }

    private static PhysicalId id(String text) {
        if (text.equals("h")) {
            return PhysicalId.ofHost();
        }
        if (text.equals("?")) {
            return PhysicalId.unknown();
        }
        int slash = text.indexOf('/');
        if (slash < 0) {
            return PhysicalId.ofUuid(text);
        }
        String place = text.substring(slash + 1);
        return slash == 0 ? PhysicalId.ofPci(place) : PhysicalId.of(text.substring(0, slash), place);
    }
}
