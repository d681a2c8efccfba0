package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A model file is not what it must be: truncated, contradictory, hostile, changed, or of another format.
 *
 * <p>The message has one line (file, byte position, expectation, finding) and, where there is something to do about it,
 * a second one with a hint:
 *
 * {@snippet lang = text :
 * gemma-2b-it.gguf at byte 0: expected the magic "GGUF", found a git-lfs pointer to a file of 10031780704 bytes
 * run "git lfs pull" in the repository the file came from
 * }
 *
 * <p>Text taken from the file is quoted, cut and free of control characters. Instances are immutable apart from what
 * {@link Throwable} allows.
 */
public final class ModelFileException extends IOException {

    private static final long serialVersionUID = 1L;

    /** How much of a text from the file a message repeats. */
    private static final int QUOTED_CHARS = 64;

    /** Stands for "the file as a whole" inside this class and its callers; users see an empty optional. */
    static final long NO_POSITION = -1;

    // Path is not Serializable; the message carries its text.
    private final transient Path path;
    /** Where the complaint lies, or {@link #NO_POSITION}. */
    private final long position;
    /** What a good file has there. */
    private final String expected;
    /** What this file has there. */
    private final String found;
    /** What to do about it, empty if nothing. */
    private final String hint;

    ModelFileException(Path path, long position, String expected, String found, String hint) {
        super(describe(path, position, expected, found, hint));
        this.path = path;
        this.position = position;
        this.expected = expected;
        this.found = found;
        this.hint = hint;
    }

    /** A complaint about the bytes at one position. */
    ModelFileException(Path path, long position, String expected, String found) {
        this(path, position, expected, found, "");
    }

    /** A complaint about the file as a whole. */
    ModelFileException(Path path, String expected, String found) {
        this(path, NO_POSITION, expected, found, "");
    }

    /** A complaint about the file as a whole, and what to do about it. */
    ModelFileException(Path path, String expected, String found, String hint) {
        this(path, NO_POSITION, expected, found, hint);
    }

    /**
     * The file complained about. Of a split model this is one shard.
     *
     * @return the path as it was opened; null only after deserialisation
     */
    public Path path() {
        return path;
    }

    /**
     * Where in the file the complaint lies.
     *
     * @return the offset of the first byte of the refused item, or empty if the file as a whole is wrong
     */
    public OptionalLong position() {
        return position < 0 ? OptionalLong.empty() : OptionalLong.of(position);
    }

    /**
     * What a good file has there.
     *
     * @return a phrase without a final full stop
     */
    public String expected() {
        return expected;
    }

    /**
     * What this file has there.
     *
     * @return a phrase without a final full stop
     */
    public String found() {
        return found;
    }

    /**
     * What to do about it.
     *
     * @return the second line of the message, or empty if there is none
     */
    public Optional<String> hint() {
        return hint.isEmpty() ? Optional.empty() : Optional.of(hint);
    }

    /** Quotes text that came from a file: nothing in it may move the cursor of a terminal or flood a log. */
    static String quote(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        int shown = Math.min(text.length(), QUOTED_CHARS);
        for (int i = 0; i < shown; i++) {
            char c = text.charAt(i);
            boolean plain = c >= ' '
                    && c != 0x7f
                    && !(c >= 0x80 && c < 0xa0)
                    && !Character.isSurrogate(c)
                    && Character.getType(c) != Character.FORMAT
                    && Character.getType(c) != Character.LINE_SEPARATOR
                    && Character.getType(c) != Character.PARAGRAPH_SEPARATOR;
            if (plain) {
                quoted.append(c);
            } else {
                quoted.append("\\u").append(String.format(Locale.ROOT, "%04x", (int) c));
            }
        }
        return quoted.append(shown < text.length() ? "...\"" : "\"").toString();
    }

    private static String describe(Path path, long position, String expected, String found, String hint) {
        String place = position < 0 ? path + ":" : path + " at byte " + position + ":";
        return place + " expected " + expected + ", found " + found + (hint.isEmpty() ? "" : "\n" + hint);
    }
}
