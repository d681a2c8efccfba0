package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class JsonTextTest {

    @Test
    void anEmptyObject() {
        assertThat(JsonText.object(_ -> {})).isEqualTo("{}");
    }

    @Test
    void valuesOfEveryKind() {
        assertThat(JsonText.object(json -> json.field("long", Long.MIN_VALUE)
                        .field("yes", true)
                        .field("share", 0.25)
                        .field("text", "a")
                        .field("some", OptionalLong.of(7))
                        .field("none", OptionalLong.empty())
                        .field("word", Optional.of("b"))
                        .field("nothing", Optional.empty())
                        .raw("raw", "[1]")))
                .isEqualTo("{\"long\":-9223372036854775808,\"yes\":true,\"share\":0.25,\"text\":\"a\",\"some\":7,"
                        + "\"none\":null,\"word\":\"b\",\"nothing\":null,\"raw\":[1]}");
    }

    @Test
    void nesting() {
        assertThat(JsonText.object(json -> json.field(
                                "a", a -> a.field("b", b -> {}).field("c", 1))
                        .objects("d", List.of(1, 2), (each, n) -> each.field("n", n))
                        .strings("e", List.of("x", "y"))
                        .strings("f", List.of())
                        .raws("g", List.of("{}", "{}"))
                        .field("h", 2)))
                .isEqualTo("{\"a\":{\"b\":{},\"c\":1},\"d\":[{\"n\":1},{\"n\":2}],\"e\":[\"x\",\"y\"],\"f\":[],"
                        + "\"g\":[{},{}],\"h\":2}");
    }

    @Test
    void everythingButPrintableAsciiIsEscaped() {
        assertThat(JsonText.object(json -> json.field("\"", "\\ \n \0 \u007f \u00e9 \ud83d\ude00 ~")))
                .isEqualTo("{\"\\\"\":\"\\\\ \\u000a \\u0000 \\u007f \\u00e9 \\ud83d\\ude00 ~\"}");
    }
}
