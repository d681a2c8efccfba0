package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ByteSizeTest {
    private static final String FORMS = "write a whole number of bytes, or a number with B, KiB, MiB, GiB or TiB,"
            + " such as 1073741824, 512MiB or 7.2GiB";

    @ParameterizedTest
    @CsvSource({
        "0, 0",
        "1073741824, 1073741824",
        "17B, 17",
        "17 b, 17",
        "64 KiB, 65536",
        "512MiB, 536870912",
        "512mib, 536870912",
        "7.2GiB, 7730941132", // 7 730 941 132.8 rounded down
        "0.5KiB, 512",
        "0.0001KiB, 0",
        "900TiB, 989560464998400",
        "'  8 GiB  ', 8589934592",
        "007KiB, 7168",
        "9223372036854775807, 9223372036854775807",
        "8388607.9999TiB, 9223372036744824645", // 2^63 - 109 951 162.8,
    })
    void parses(String text, long bytes) {
        assertThat(ByteSize.parse(text)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " ",
                "NaN",
                "Infinity",
                "GiB",
                "7,2GiB",
                "1e9",
                "0x10",
                "+5",
                "1_000",
                ".5GiB",
                "5.GiB",
                "1 2",
                "5 MiB MiB",
                "- 5x",
                "\u0661\u0662KiB",
                "5\u00a0MiB",
                "--5",
            })
    void refusesOtherForms(String text) {
        assertThatThrownBy(() -> ByteSize.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("\"" + text.strip() + "\" ")
                .hasMessageEndingWith(": " + FORMS);
    }

    @ParameterizedTest
    @CsvSource({
        "abc, \"abc\" is not a size",
        "-5MiB, \"-5MiB\" is negative",
        "-.5, \"-.5\" is negative",
        "1.5, \"1.5\" is a fraction of a byte",
        "1.5B, \"1.5B\" is a fraction of a byte",
        "3PiB, \"3PiB\" has the unit PiB",
        "3miles, \"3miles\" has the unit miles",
    })
    void namesTheFault(String text, String fault) {
        String expected = fault.replace("has the unit", "has the unknown unit");
        assertThatThrownBy(() -> ByteSize.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(expected + ": " + FORMS);
    }

    @ParameterizedTest
    @CsvSource({
        "7.2GB, GB, GiB",
        "7.2gb, gb, GiB",
        "64K, K, KiB",
        "64 kB, kB, KiB",
        "512m, m, MiB",
        "1TB, TB, TiB",
    })
    void refusesAmbiguousUnits(String text, String unit, String instead) {
        assertThatThrownBy(() -> ByteSize.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("\"" + text + "\" has the unit " + unit + ", which may mean 1000 or 1024 based: write "
                        + instead + " (1024 based)");
    }

    @ParameterizedTest
    @ValueSource(strings = {"9223372036854775808", "8388608TiB", "99999999999999999999999999TiB"})
    void refusesWhatDoesNotFit(String text) {
        assertThatThrownBy(() -> ByteSize.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("\"" + text + "\" is too large: allowed are 0 to 9223372036854775807 bytes");
    }

    @Test
    void refusesEndlessText() {
        String digits = "1".repeat(1_000_000);
        assertThatThrownBy(() -> ByteSize.parse(digits))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("\"" + "1".repeat(64) + "...\" is not a size (more than 64 characters): " + FORMS);
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "1, 1 B",
        "1023, 1023 B",
        "1024, 1 KiB",
        "1025, 1.00 KiB",
        "1536, 1.50 KiB",
        "65536, 64 KiB",
        "536870912, 512 MiB",
        "7730941132, 7.20 GiB",
        "1048575, 1.00 MiB", // 1023.999 KiB would read 1024.00 KiB
        "1048570, 1023.99 KiB",
        "1073741823, 1.00 GiB",
        "1099511627775, 1.00 TiB",
        "989560464998400, 900 TiB",
        "1125899906842624, 1024 TiB",
        "9223372036854775807, 8388608.00 TiB",
        "-1, -1 B",
        "-1536, -1.50 KiB",
        "-9223372036854775808, -8388608 TiB",
    })
    void formats(long bytes, String text) {
        assertThat(ByteSize.format(bytes)).isEqualTo(text);
    }

    @Test
    void halfRoundsUp() {
        assertThat(ByteSize.format(1024 + 128)).as("1.125").isEqualTo("1.13 KiB");
    }

    @Test
    void wholeUnitsSurviveARoundTrip() {
        for (int shift = 0; shift < 63; shift++) {
            long bytes = 1L << shift;
            assertThat(ByteSize.parse(ByteSize.format(bytes))).isEqualTo(bytes);
        }
    }

    @Test
    void neitherWayDependsOnTheDefaultLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("tr-TR")); // İ and ı: MIB must still be read
            assertThat(ByteSize.parse("5MIB")).isEqualTo(5L << 20);
            assertThat(ByteSize.format(1536)).isEqualTo("1.50 KiB");
        } finally {
            Locale.setDefault(before);
        }
    }
}
