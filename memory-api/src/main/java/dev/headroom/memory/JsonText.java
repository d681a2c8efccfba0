package dev.headroom.memory;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * Writes JSON (RFC 8259) on one line and in ASCII, so that no log, terminal or pipe can spoil it. What is unknown is null. Not
 * thread-safe.
 */
final class JsonText {

    private static final int FIRST_PRINTABLE = 0x20;
    private static final int LAST_PRINTABLE = 0x7e;

    private final StringBuilder text = new StringBuilder();
    /** Whether the next element follows another. */
    private boolean following;

    private JsonText() {}

    /** An object. */
    static String object(Consumer<JsonText> fields) {
        JsonText json = new JsonText();
        json.braces(fields);
        return json.text.toString();
    }

    JsonText field(String name, long value) {
        name(name).text.append(value);
        return this;
    }

    JsonText field(String name, boolean value) {
        name(name).text.append(value);
        return this;
    }

    /** A finite number. */
    JsonText field(String name, double value) {
        name(name).text.append(value);
        return this;
    }

    JsonText field(String name, String value) {
        name(name).quote(value);
        return this;
    }

    JsonText field(String name, OptionalLong value) {
        return value.isPresent() ? field(name, value.getAsLong()) : unknown(name);
    }

    JsonText field(String name, Optional<String> value) {
        return value.isPresent() ? field(name, value.get()) : unknown(name);
    }

    /** An object in a field. */
    JsonText field(String name, Consumer<JsonText> fields) {
        name(name).braces(fields);
        return this;
    }

    /** A field whose value is JSON already. */
    JsonText raw(String name, String json) {
        name(name).text.append(json);
        return this;
    }

    /** An array of objects. */
    <T> JsonText objects(String name, List<T> elements, BiConsumer<JsonText, T> fields) {
        return array(name, elements, element -> braces(json -> fields.accept(json, element)));
    }

    JsonText strings(String name, List<String> elements) {
        return array(name, elements, this::quote);
    }

    /** An array of values that are JSON already. */
    JsonText raws(String name, List<String> elements) {
        return array(name, elements, text::append);
    }

    private JsonText unknown(String name) {
        name(name).text.append("null");
        return this;
    }

    private <T> JsonText array(String name, List<T> elements, Consumer<T> write) {
        name(name).text.append('[');
        following = false;
        for (T element : elements) {
            separate();
            write.accept(element);
        }
        text.append(']');
        following = true;
        return this;
    }

    private void braces(Consumer<JsonText> fields) {
        text.append('{');
        following = false;
        fields.accept(this);
        text.append('}');
        following = true;
    }

    private JsonText name(String name) {
        separate();
        quote(name);
        text.append(':');
        return this;
    }

    private void separate() {
        if (following) {
            text.append(',');
        }
        following = true;
    }

    private void quote(String value) {
        text.append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '"' || c == '\\') {
                text.append('\\').append(c);
            } else if (c >= FIRST_PRINTABLE && c <= LAST_PRINTABLE) {
                text.append(c);
            } else {
                text.append(String.format("\\u%04x", (int) c));
            }
        }
        text.append('"');
    }
}
