package dev.headroom.memory.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/**
 * Reads the small text files in which Linux tells its figures. What is missing or malformed is empty, never an error.
 */
final class KernelFiles {

    private KernelFiles() {}

    /** The lines of a file; none if it cannot be read. */
    static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException unreadable) {
            return List.of();
        }
    }

    /** The number that is all of a file. */
    static OptionalLong number(Path file) {
        List<String> lines = lines(file);
        return lines.isEmpty() ? OptionalLong.empty() : number(lines.getFirst().strip());
    }

    /** The number behind a name, with anything after it such as a unit left out. */
    static OptionalLong number(List<String> lines, String name) {
        for (String line : lines) {
            // Only the line itself is taken apart: there may be a hundred, and somebody waits for the answer.
            if (line.startsWith(name)) {
                String[] words = line.split("\\s+");
                if (words.length >= 2 && words[0].equals(name)) {
                    return number(words[1]);
                }
            }
        }
        return OptionalLong.empty();
    }

    /** A number of the kernel's. They have no sign, so one beyond {@code long} is as good as no limit. */
    private static OptionalLong number(String text) {
        try {
            long value = Long.parseUnsignedLong(text);
            return OptionalLong.of(value < 0 ? Long.MAX_VALUE : value);
        } catch (NumberFormatException word) {
            return OptionalLong.empty();
        }
    }
}
