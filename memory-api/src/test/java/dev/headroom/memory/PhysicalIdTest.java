package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

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
        "mig-1/a, 1/a, true", // an API that does not know of slices
        "mig-1, mig-1/a, true",
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

    /** What the APIs print for one UUID, and what stays as it is. */
    @ParameterizedTest
    @CsvSource(textBlock = """
            GPU-7B0D2C5A-19f0-11ee-be56-0242ac120002, 7b0d2c5a-19f0-11ee-be56-0242ac120002
            7b0d2c5a-19f0-11ee-be56-0242ac120002,     7b0d2c5a-19f0-11ee-be56-0242ac120002
            7b0d2c5a19f011eebe560242ac120002,         7b0d2c5a-19f0-11ee-be56-0242ac120002
            GPU-7b0d2c5a19f011eebe560242ac120002,     7b0d2c5a-19f0-11ee-be56-0242ac120002
            MIG-7B0D2C5A-19f0-11ee-be56-0242ac120002, mig-7b0d2c5a-19f0-11ee-be56-0242ac120002
            MIG-GPU-7b0d2c5a-19f0-11ee-be56-0242ac120002/1/0, mig-gpu-7b0d2c5a-19f0-11ee-be56-0242ac120002/1/0
            GPU-7b0d2c5a,                             gpu-7b0d2c5a
            7b0d2c5a-19f0-11ee-be56-0242ac12000g,     7b0d2c5a-19f0-11ee-be56-0242ac12000g
            00000000-0000-0000-0000-000000000000,
            00000000000000000000000000000000,
            GPU-00000000-0000-0000-0000-000000000000,
            """)
    void oneFormOfAUuid(String text, String form) {
        assertThat(PhysicalId.ofUuid(text).uuid()).isEqualTo(Optional.ofNullable(form));
    }

    @ParameterizedTest
    @CsvSource(textBlock = """
            0000:65:00.0,     0000:65:00.0
            00000000:65:00.0, 0000:65:00.0
            0000:AF:1F.7,     0000:af:1f.7
            65:00.0,          0000:65:00.0
            0000:65:00,       0000:65:00.0
            0:5:0.0,          0000:05:00.0
            1:65:0.1,         0001:65:00.1
            00010000:65:00.0, 10000:65:00.0
            0000:65:00.8,     0000:65:00.8
            pci 65,           pci 65
            0000:00:00.0,
            0000:00:02.0,     0000:00:02.0
            0001:00:00.0,     0001:00:00.0
            """)
    void oneFormOfAnAddress(String text, String form) {
        assertThat(PhysicalId.ofPci(text).pciAddress()).isEqualTo(Optional.ofNullable(form));
    }

    @Test
    void aUuidOfBytesIsTheSameAsInText() {
        byte[] bytes = new byte[16];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (0xF0 + i);
        }
        assertThat(PhysicalId.uuidOf(bytes)).isEqualTo("f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff");
        assertThat(PhysicalId.ofUuid(PhysicalId.uuidOf(bytes)))
                .isEqualTo(PhysicalId.ofUuid("GPU-F0F1F2F3-F4F5-F6F7-F8F9-FAFBFCFDFEFF"));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> PhysicalId.uuidOf(new byte[15]))
                .withMessage("a UUID of 15 bytes: must be 16");
    }

    /** Where nothing can be told, no identity is the same memory as another, and that is a guess. */
    @ParameterizedTest
    @CsvSource({
        "h, ?, true",
        "?, ?, false",
        "?, u/a, false",
        "u, v, true",
        "u, u, true",
        "u, /a, false",
        "u/a, /a, true",
        "u/a, /b, true",
        "/a, /b, true",
        "mig-1/a, mig-2/a, true",
        "mig-1/a, /a, false", // one of the slices, but which
        "mig-1/a, /b, true",
    })
    void whatCanBeTold(String one, String other, boolean told) {
        assertThat(id(one).comparableWith(id(other))).isEqualTo(told);
        assertThat(id(other).comparableWith(id(one))).as("the other way round").isEqualTo(told);
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
