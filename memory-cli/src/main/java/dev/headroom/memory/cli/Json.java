package dev.headroom.memory.cli;

import java.io.StringWriter;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonWriteFeature;

/** Writes JSON on one line, in ASCII: no terminal or pipe can spoil it. What is unknown is null. */
final class Json {

    private Json() {}

    /** An object on one line. */
    static String object(Consumer<JsonGenerator> fields) {
        StringWriter text = new StringWriter();
        JsonFactory factory =
                JsonFactory.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();
        try (JsonGenerator json = factory.createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            fields.accept(json);
            json.writeEndObject();
        }
        return text.toString();
    }

    /** An array of objects. */
    static <T> void array(JsonGenerator json, String name, Iterable<T> elements, Consumer<T> fields) {
        json.writeArrayPropertyStart(name);
        for (T element : elements) {
            json.writeStartObject();
            fields.accept(element);
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    /** An object within, or null. */
    static <T> void object(JsonGenerator json, String name, Optional<T> value, Consumer<T> fields) {
        if (value.isEmpty()) {
            json.writeNullProperty(name);
            return;
        }
        json.writeObjectPropertyStart(name);
        fields.accept(value.get());
        json.writeEndObject();
    }

    static void text(JsonGenerator json, String name, Optional<String> value) {
        if (value.isPresent()) {
            json.writeStringProperty(name, value.get());
        } else {
            json.writeNullProperty(name);
        }
    }

    static void number(JsonGenerator json, String name, OptionalLong value) {
        if (value.isPresent()) {
            json.writeNumberProperty(name, value.getAsLong());
        } else {
            json.writeNullProperty(name);
        }
    }
}
