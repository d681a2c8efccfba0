package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import tools.jackson.core.JsonToken;

/**
 * A Hugging Face {@code config.json}: the values that a model's memory can depend on, by key.
 *
 * <p>Of a model with several parts (text, vision, sound) the text part counts; its values stand under
 * {@code text_config} and hide those beside it. Keys may stand once on each level that is read. Whole numbers are kept
 * as they are, all other numbers are passed over, so that none is ever read as a double.
 */
final class ConfigFile {

    /** Real ones take 1 KB to 2 MB, most of it names of classes. */
    static final long MAX_BYTES = 16L << 20;

    private static final int MAX_KEYS = 4096;
    private static final int MAX_ELEMENTS = (int) ModelFacts.MAX_LAYERS;

    /** Longer texts are never names of anything asked for here. */
    private static final int MAX_TEXT = 8192;

    /** Objects whose values are read too, and the prefix their keys get; a text part gets none. */
    private static final Map<String, String> PARTS = Map.of(
            "text_config", "",
            "llm_config", "",
            "language_config", "",
            "attn_config", "attn_config.",
            "ffn_config", "ffn_config.",
            "quantization_config", "quantization.",
            "quantization", "quantization.");

    private final Path path;
    private final Map<String, Value> text;
    private final Map<String, Value> top;

    private ConfigFile(Path path, Map<String, Value> text, Map<String, Value> top) {
        this.path = path;
        this.text = text;
        this.top = top;
    }

    /** A value and where it stands. */
    private record Value(long position, Object content) {}

    static ConfigFile read(Path path) throws IOException {
        FileStamp stamp = FileStamp.of(path);
        if (stamp.bytes() > MAX_BYTES) {
            throw new ModelFileException(
                    path, "a configuration of at most " + MAX_BYTES + " bytes", "one of " + stamp.bytes());
        }
        FileStart start = FileStart.of(path);
        if (!start.isJson()) {
            throw start.refuse(path, "JSON text", "JSON");
        }
        try (JsonInput json = JsonInput.open(path, 0, stamp.bytes())) {
            Map<String, Value> top = new HashMap<>();
            Map<String, Value> text = new HashMap<>();
            json.expect(JsonToken.START_OBJECT, "an object");
            object(json, "", top, text, 0);
            json.end();
            stamp.verify(path);
            return new ConfigFile(path, text, top);
        }
    }

    /** Reads an object and the parts in it that count: text parts at the top, others there and in text parts. */
    private static void object(
            JsonInput json, String prefix, Map<String, Value> into, Map<String, Value> text, int depth)
            throws IOException {
        Set<String> keys = new HashSet<>();
        while (json.nextName()) {
            String key = json.name();
            if (!keys.add(key)) {
                throw json.refuse("unique keys", ModelFileException.quote(key) + " a second time");
            }
            if (keys.size() > MAX_KEYS) {
                throw json.refuse("at most " + MAX_KEYS + " keys in an object", "one more");
            }
            JsonToken token = json.next("a value");
            String part = token == JsonToken.START_OBJECT ? PARTS.get(key) : null;
            if (part != null && prefix.isEmpty() && depth <= (part.isEmpty() ? 0 : 1)) {
                object(json, part, part.isEmpty() ? text : into, text, depth + 1);
            } else if (ConfigKeys.ALL.contains(prefix + key)) {
                Optional<Object> content = content(json, token);
                if (content.isPresent()) {
                    into.put(prefix + key, new Value(json.position(), content.get()));
                }
            } else {
                json.skip();
            }
        }
    }

    private static Optional<Object> content(JsonInput json, JsonToken token) throws IOException {
        return switch (token) {
            case VALUE_TRUE -> Optional.of(true);
            case VALUE_FALSE -> Optional.of(false);
            case VALUE_NUMBER_INT -> Optional.of(number(json));
            case VALUE_STRING -> json.textLength() > MAX_TEXT ? Optional.empty() : Optional.of(json.text());
            case START_ARRAY -> array(json);
            default -> {
                json.skip();
                yield Optional.empty();
            }
        };
    }

    /** A whole number, or its digits if it is too large: whoever asks for it refuses it then. */
    private static Object number(JsonInput json) throws IOException {
        String digits = json.text();
        try {
            return Long.valueOf(digits);
        } catch (NumberFormatException _) {
            return digits;
        }
    }

    /** A list of texts, numbers and truth values; empty if it holds anything else or too much. */
    private static Optional<Object> array(JsonInput json) throws IOException {
        List<Object> elements = new ArrayList<>();
        boolean plain = true;
        while (json.next("an element or the end of an array") != JsonToken.END_ARRAY) {
            boolean fits = plain && elements.size() < MAX_ELEMENTS;
            switch (json.token()) {
                case VALUE_STRING -> {
                    plain = fits && json.textLength() <= 64 && elements.add(json.text());
                }
                case VALUE_NUMBER_INT -> plain = fits && elements.add(number(json));
                case VALUE_TRUE, VALUE_FALSE -> plain = fits && elements.add(json.token() == JsonToken.VALUE_TRUE);
                default -> {
                    plain = false;
                    json.skip();
                }
            }
            if (!plain) {
                elements.clear();
            }
        }
        return plain ? Optional.of(List.copyOf(elements)) : Optional.empty();
    }

    Path path() {
        return path;
    }

    /** The first of these keys that has a value, in the text part or else beside it. */
    private Optional<Map.Entry<String, Value>> find(String... keys) {
        for (String key : keys) {
            Value value = text.containsKey(key) ? text.get(key) : top.get(key);
            if (value != null) {
                return Optional.of(Map.entry(key, value));
            }
        }
        return Optional.empty();
    }

    /** A whole number from a range under the first of these keys that is there. */
    OptionalLong count(long least, long most, String... keys) throws ModelFileException {
        Optional<Map.Entry<String, Value>> found = find(keys);
        if (found.isEmpty()) {
            return OptionalLong.empty();
        }
        Value value = found.get().getValue();
        if (value.content() instanceof Long number && number >= least && number <= most) {
            return OptionalLong.of(number);
        }
        throw refuse(found.get().getKey(), "a whole number from " + least + " to " + most);
    }

    OptionalLong count(String... keys) throws ModelFileException {
        return count(0, ModelFacts.MAX_COUNT, keys);
    }

    long required(long most, String... keys) throws ModelFileException {
        OptionalLong value = count(1, most, keys);
        if (value.isEmpty()) {
            throw new ModelFileException(
                    path, "a number under " + ModelFileException.quote(keys[0]) + " or its other names", "none");
        }
        return value.getAsLong();
    }

    Optional<Boolean> flag(String... keys) {
        return find(keys)
                .map(entry -> entry.getValue().content())
                .filter(Boolean.class::isInstance)
                .map(Boolean.class::cast);
    }

    Optional<String> text(String... keys) {
        return find(keys)
                .map(entry -> entry.getValue().content())
                .filter(String.class::isInstance)
                .map(String.class::cast);
    }

    /** A text beside the text part, not in it. */
    Optional<String> topText(String key) {
        return Optional.ofNullable(top.get(key))
                .map(Value::content)
                .filter(String.class::isInstance)
                .map(String.class::cast);
    }

    Optional<List<?>> list(String... keys) {
        return find(keys)
                .map(entry -> entry.getValue().content())
                .filter(List.class::isInstance)
                .map(List.class::cast);
    }

    boolean has(String key) {
        return find(key).isPresent();
    }

    /** The complaint about a value that is there. */
    ModelFileException refuse(String key, String expected) {
        Optional<Map.Entry<String, Value>> found = find(key);
        return new ModelFileException(
                path,
                found.map(entry -> entry.getValue().position()).orElse(ModelFileException.NO_POSITION),
                expected + " under " + ModelFileException.quote(key),
                found.map(entry -> describe(entry.getValue().content())).orElse("none"));
    }

    private static String describe(Object content) {
        return switch (content) {
            case Long number -> number.toString();
            case Boolean flag -> flag.toString();
            case List<?> list -> "an array of " + list.size();
            default -> ModelFileException.quote(content.toString());
        };
    }
}
