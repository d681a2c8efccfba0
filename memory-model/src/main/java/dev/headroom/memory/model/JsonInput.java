package dev.headroom.memory.model;

import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.json.JsonFactory;

/**
 * The JSON part of a model file, token by token.
 *
 * <p>Nothing is kept that the caller does not ask for: values are skipped without being built, and nesting is counted,
 * not recursed into. Text must be UTF-8 without exception. Numbers are handed out as they are written, so that no big
 * one becomes a double. The one document must end where the bytes end. For one thread.
 */
final class JsonInput implements AutoCloseable {

    /** Model files nest four levels deep. */
    static final int MAX_DEPTH = 32;

    private static final int MAX_NUMBER_CHARS = 64;
    private static final int MAX_NAME_CHARS = 16_384;
    private static final int MAX_TEXT_CHARS = 16 << 20;

    private static final JsonFactory FACTORY = JsonFactory.builder()
            // Names of tensors are all different: a table of them would only cost memory, and could be attacked.
            .disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(MAX_DEPTH)
                    .maxNumberLength(MAX_NUMBER_CHARS)
                    .maxNameLength(MAX_NAME_CHARS)
                    .maxStringLength(MAX_TEXT_CHARS)
                    .build())
            .build();

    private final Path path;
    private final long start;
    private final long length;
    private final JsonParser parser;

    /** What complaints are about; a text is made of it only then. */
    private String subject = "";

    private JsonInput(Path path, long start, long length, InputStream in) {
        this.path = path;
        this.start = start;
        this.length = length;
        this.parser = FACTORY.createParser(ObjectReadContext.empty(), reader(in));
    }

    /** Opens a part of a file that holds one JSON document. The caller has made sure that the part is there. */
    static JsonInput open(Path path, long start, long length) throws IOException {
        return new JsonInput(path, start, length, part(path, start, length));
    }

    private static InputStream part(Path path, long start, long length) throws IOException {
        InputStream in = Files.newInputStream(path);
        boolean done = false;
        try {
            in.skipNBytes(start);
            done = true;
            return new BufferedInputStream(new Part(in, length));
        } finally {
            if (!done) {
                in.close();
            }
        }
    }

    private static Reader reader(InputStream in) {
        return new InputStreamReader(
                in,
                StandardCharsets.UTF_8
                        .newDecoder()
                        .onMalformedInput(CodingErrorAction.REPORT)
                        .onUnmappableCharacter(CodingErrorAction.REPORT));
    }

    /** Names what "{}" stands for in the expectations that follow. */
    void about(String name) {
        subject = name;
    }

    /** Moves to the next token; the document must have one. */
    JsonToken next(String what) throws IOException {
        JsonToken token = advance();
        if (token == null) {
            throw refuse(what, "the end of the JSON text");
        }
        return token;
    }

    /** Moves to the next token, which must be this one. */
    void expect(JsonToken wanted, String what) throws IOException {
        if (next(what) != wanted) {
            throw refuse(what, describe());
        }
    }

    /** Moves to the next name of the current object; false at its end. */
    boolean nextName() throws IOException {
        return next("a name or the end of an object") == JsonToken.PROPERTY_NAME;
    }

    /** The name the parser stands on. */
    String name() {
        return parser.currentName();
    }

    JsonToken token() {
        return parser.currentToken();
    }

    /** The text of a string or number. */
    String text() throws IOException {
        try {
            return parser.getString();
        } catch (JacksonException e) {
            throw refuse(e);
        }
    }

    /** How long the text is that the parser stands on. */
    int textLength() throws IOException {
        try {
            return parser.getStringLength();
        } catch (JacksonException e) {
            throw refuse(e);
        }
    }

    /** Where the parser stands, to be told later. Characters count as bytes: configurations are ASCII up to there. */
    long position() {
        return start + Math.max(0, parser.currentTokenLocation().getCharOffset());
    }

    /** The whole number, from 0 to 2^63 - 1, that the parser stands on. */
    long count(String what) throws IOException {
        if (token() != JsonToken.VALUE_NUMBER_INT) {
            throw refuse(what + ", a whole number", describe());
        }
        try {
            long value = parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER ? -1 : parser.getLongValue();
            if (value >= 0) {
                return value;
            }
        } catch (JacksonException e) {
            throw refuse(e);
        }
        throw refuse(what + " from 0 to " + Long.MAX_VALUE, text());
    }

    /** Passes over the value the parser stands on, whatever is in it. */
    void skip() throws IOException {
        try {
            parser.skipChildren();
        } catch (JacksonException e) {
            throw refuse(e);
        }
        if (parser.currentToken() == null) {
            throw refuse("the end of a value", "the end of the JSON text");
        }
    }

    /** Makes sure that nothing but white space follows. */
    void end() throws IOException {
        if (advance() != null) {
            throw refuse("the end of the JSON text", describe() + " behind it");
        }
    }

    private JsonToken advance() throws IOException {
        try {
            return parser.nextToken();
        } catch (JacksonException e) {
            throw refuse(e);
        }
    }

    /** What the parser stands on, for a complaint. */
    String describe() throws IOException {
        JsonToken token = parser.currentToken();
        if (token == null) {
            return "nothing";
        }
        return switch (token) {
            case START_OBJECT -> "an object";
            case END_OBJECT -> "the end of an object";
            case START_ARRAY -> "an array";
            case END_ARRAY -> "the end of an array";
            case PROPERTY_NAME -> "the name " + ModelFileException.quote(parser.currentName());
            case VALUE_STRING -> "the text " + ModelFileException.quote(text());
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> text();
            case VALUE_TRUE -> "true";
            case VALUE_FALSE -> "false";
            case VALUE_NULL -> "null";
            case NOT_AVAILABLE, VALUE_EMBEDDED_OBJECT -> "nothing";
        };
    }

    /** A complaint about the token the parser stands on. */
    ModelFileException refuse(String expected, String found) throws IOException {
        return new ModelFileException(
                path,
                position(parser.currentTokenLocation().getCharOffset()),
                expected.replace("{}", ModelFileException.quote(subject)),
                found);
    }

    private ModelFileException refuse(JacksonException e) throws IOException {
        if (e instanceof JacksonIOException && e.getCause() instanceof IOException cause) {
            if (cause instanceof CharacterCodingException) {
                return new ModelFileException(path, position(Long.MAX_VALUE), "text in UTF-8", "other bytes");
            }
            throw cause;
        }
        long position = position(parser.currentLocation().getCharOffset());
        boolean tooMuch = e instanceof StreamConstraintsException;
        // The parser's own words up to what it would have liked instead, without the names of its settings.
        String reason = String.valueOf(e.getOriginalMessage())
                .replaceAll(", from `[^`]*`", "")
                .replaceFirst("(?s)\\)?[:;,] .*", "");
        return new ModelFileException(
                path,
                position,
                tooMuch ? "JSON within the limits of a model file" : "well-formed JSON",
                ModelFileException.quote(reason));
    }

    /**
     * The byte position of a character. The parser counts characters; the bytes before one are counted by reading them
     * again, which only complaints do. Stops at bytes that are no UTF-8.
     */
    private long position(long chars) throws IOException {
        long bytes = 0;
        long passed = 0;
        try (Reader reader = reader(part(path, start, length))) {
            for (int c = reader.read(); c >= 0 && passed < chars; c = reader.read()) {
                passed++;
                // A pair of surrogates takes four bytes.
                bytes += c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate((char) c) ? 2 : 3;
            }
        } catch (CharacterCodingException _) {
            // The last buffer could not be read as text: its start is as near as can be said.
        }
        return start + bytes;
    }

    @Override
    public void close() {
        parser.close();
    }

    /** So many bytes of a stream, and then its end. */
    private static final class Part extends FilterInputStream {
        private long left;

        Part(InputStream in, long length) {
            super(in);
            left = length;
        }

        @Override
        public int read() throws IOException {
            int value = left > 0 ? in.read() : -1;
            left -= value < 0 ? 0 : 1;
            return value;
        }

        @Override
        public int read(byte[] target, int offset, int wanted) throws IOException {
            if (wanted == 0) {
                return 0;
            }
            int count = left > 0 ? in.read(target, offset, (int) Math.min(wanted, left)) : -1;
            left -= Math.max(0, count);
            return count;
        }
    }
}
