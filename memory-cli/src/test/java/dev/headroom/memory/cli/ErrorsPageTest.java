package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * {@code docs/errors.md} has every message the sources throw, and no other. A message is known by its longest fixed part: what
 * stands between two values.
 */
class ErrorsPageTest {

    private static final Path ROOT = Path.of(System.getProperty("headroom.root", ".."));

    /** The modules whose messages users see. */
    private static final List<String> MODULES = List.of(
            "memory-api",
            "memory-cpu-fallback",
            "memory-cuda",
            "memory-opencl",
            "memory-vulkan",
            "memory-model",
            "memory-cli");

    /** Where a message begins: an exception, the model reader's refusals, a message put together beforehand. */
    private static final Pattern MESSAGE =
            Pattern.compile("new \\w+Exception\\(|\\brefuse\\(|\\bsuper\\(|String message =\\s");

    /** Never thrown to users themselves: causes with the native call, and what a backend's own code wraps. */
    private static final Pattern EXEMPT = Pattern.compile("new DriverException\\(");

    private static final Pattern LITERAL = Pattern.compile("\"((?:[^\"\\\\]|\\\\.)*)\"");
    private static final Pattern ROW = Pattern.compile("(?m)^\\| <a id=\"([^\"]+)\"></a>(.*?) \\| (.*) \\| (.*) \\|$");
    private static final Pattern RANGE = Pattern.compile(": (must be|allowed are) [^…]*[^… ]");
    private static final Pattern PUBLIC = Pattern.compile("(?m)^public .*class \\w+Exception ");
    private static final String ANY = "…";

    @Test
    void everyMessageOfTheSourcesIsOnThePage() throws IOException {
        String page = Files.readString(ROOT.resolve("docs/errors.md"));
        TreeMap<String, String> missing = new TreeMap<>();
        int found = 0;
        for (Path file : sources()) {
            if (file.endsWith("DriverException.java")) {
                continue;
            }
            for (String template : templates(code(file))) {
                String part = longestPart(template);
                if (part.length() < 3) {
                    continue; // put together elsewhere, or a cause passed on
                }
                found++;
                if (!page.contains(part)) {
                    missing.put(template, ROOT.relativize(file).toString());
                }
            }
        }
        assertThat(found).as("what the scan found").isGreaterThan(150);
        assertThat(missing).as("messages that docs/errors.md lacks").isEmpty();
    }

    @Test
    void everyMessageOnThePageIsInTheSources() throws IOException {
        String literals = sources().stream()
                .map(ErrorsPageTest::code)
                .flatMap(code -> literals(code).stream())
                .collect(Collectors.joining("\n"));
        List<String> stale = new ArrayList<>();
        for (Row row : rows()) {
            for (String message : row.messages()) {
                if (!literals.contains(longestPart(message))) {
                    stale.add(row.anchor() + ": " + message);
                }
            }
        }
        assertThat(stale).as("messages nobody throws any more").isEmpty();
    }

    @Test
    void everyRowHasAnAnchorOfItsOwnACauseAndACure() throws IOException {
        List<Row> rows = rows();
        assertThat(rows).hasSizeGreaterThan(80);
        assertThat(rows).extracting(Row::anchor).doesNotHaveDuplicates();
        assertThat(rows).allSatisfy(row -> {
            assertThat(row.anchor()).matches("[a-z0-9]+(-[a-z0-9]+)*");
            assertThat(row.cause()).isNotBlank();
            assertThat(row.cure()).isNotBlank();
        });
        String page = Files.readString(ROOT.resolve("docs/errors.md"));
        assertThat(page.lines().filter(line -> line.startsWith("| <a ")).count())
                .as("rows the pattern understood")
                .isEqualTo(rows.size());
    }

    @Test
    void everyPublicExceptionHasASection() throws IOException {
        List<String> headings = Files.readString(ROOT.resolve("docs/errors.md"))
                .lines()
                .filter(line -> line.startsWith("## "))
                .toList();
        List<String> types = sources().stream()
                .filter(file ->
                        !file.toString().contains("/spi/") && !file.toString().contains("/cli/"))
                .filter(file -> file.toString().endsWith("Exception.java"))
                .filter(file -> PUBLIC.matcher(code(file)).find())
                .map(file -> file.getFileName().toString().replace(".java", ""))
                .toList();
        assertThat(types).hasSizeGreaterThan(10);
        assertThat(types).allSatisfy(type -> assertThat(headings).contains("## `" + type + "`"));
    }

    private record Row(String anchor, List<String> messages, String cause, String cure) {}

    private static List<Row> rows() throws IOException {
        Matcher rows = ROW.matcher(Files.readString(ROOT.resolve("docs/errors.md")));
        List<Row> all = new ArrayList<>();
        while (rows.find()) {
            List<String> messages = Pattern.compile("`([^`]+)`")
                    .matcher(rows.group(2))
                    .results()
                    .map(span -> span.group(1))
                    .toList();
            all.add(new Row(rows.group(1), messages, rows.group(3), rows.group(4)));
        }
        return all;
    }

    private static List<Path> sources() throws IOException {
        List<Path> all = new ArrayList<>();
        for (String module : MODULES) {
            try (var files = Files.walk(ROOT.resolve(module).resolve("src/main/java"))) {
                files.filter(file -> file.toString().endsWith(".java")).sorted().forEach(all::add);
            }
        }
        return all;
    }

    /** The file without comments, and with literals that are put together again by {@code +}. */
    private static String code(Path file) {
        try {
            return Files.readString(file)
                    .replaceAll("(?s)/\\*.*?\\*/", "")
                    .replaceAll("(?m)^\\s*//.*$", "")
                    .replaceAll("\"\\s*\\+\\s*\"", "");
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static List<String> templates(String code) {
        List<String> all = new ArrayList<>();
        Matcher begin = MESSAGE.matcher(code);
        while (begin.find()) {
            if (!EXEMPT.matcher(begin.group()).matches()) {
                all.add(String.join(ANY, literals(code.substring(begin.end(), end(code, begin.end())))));
            }
        }
        return all;
    }

    /** Where the call's arguments, or the statement, are over. */
    private static int end(String code, int from) {
        int depth = 0;
        boolean quoted = false;
        for (int i = from; i < code.length(); i++) {
            switch (code.charAt(i)) {
                case '\\' -> i++;
                case '"' -> quoted = !quoted;
                case '(' -> depth += quoted ? 0 : 1;
                case ')' -> depth -= quoted ? 0 : 1;
                case ';' -> depth = quoted ? depth : -1;
                default -> {}
            }
            if (depth < 0) {
                return i;
            }
        }
        return code.length();
    }

    private static List<String> literals(String code) {
        return LITERAL.matcher(code)
                .results()
                .map(literal -> literal.group(1).replace("\\\"", "\"").replaceAll("%[-0-9.]*[a-z]|\\{\\}", ANY))
                .toList();
    }

    /** Of a value out of its range the range, as all of these are one row. */
    private static String longestPart(String template) {
        Matcher range = RANGE.matcher(template);
        if (range.find()) {
            return range.group();
        }
        return Arrays.stream(template.split(ANY))
                .map(String::strip)
                .max(Comparator.comparing((Function<String, Integer>) String::length))
                .orElse("");
    }
}
