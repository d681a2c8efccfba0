package dev.headroom.memory.cli;

import java.io.PrintStream;
import java.util.List;
import java.util.stream.Stream;

/**
 * Prints whole lines as a terminal may have them. Names of files, tensors and devices come from elsewhere and may hold control
 * characters, which would move the cursor, change colours or hide what was printed; they are shown by their number. Line ends
 * and tabs are the command's own and stay, but in the names given on the command line they are shown too. What is printed
 * without a line end, such as progress, is left alone.
 */
final class PlainText extends PrintStream {

    /** Characters that turn the direction of what follows. */
    private static final String TURNING = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069";

    private final List<String> names;

    PlainText(PrintStream target, String... args) {
        super(target, true, target.charset());
        this.names = Stream.of(args)
                .filter(arg -> arg.chars().anyMatch(Character::isISOControl))
                .toList();
    }

    @Override
    public void println(String text) {
        super.println(shown(text));
    }

    @Override
    public void println(Object value) {
        super.println(shown(String.valueOf(value)));
    }

    private String shown(String text) {
        String lines = text;
        for (String name : names) {
            lines = lines.replace(name, escaped(name));
        }
        return escaped(lines, "\n\t");
    }

    /** A name with all its control characters shown, line ends too. */
    static String escaped(String name) {
        return escaped(name, "");
    }

    private static String escaped(String text, String kept) {
        StringBuilder shown = new StringBuilder(text.length());
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            boolean dangerous = Character.isISOControl(c) || TURNING.indexOf(c) >= 0;
            shown.append(dangerous && kept.indexOf(c) < 0 ? "\\u%04x".formatted((int) c) : String.valueOf(c));
        }
        return shown.toString();
    }
}
