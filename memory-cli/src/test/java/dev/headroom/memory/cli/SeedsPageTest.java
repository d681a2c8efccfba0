package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** {@code docs/seeds.md} names a test, or what is to come, in every row, and the tests it names exist. */
class SeedsPageTest {

    private static final Path ROOT = Path.of(System.getProperty("headroom.root", ".."));
    private static final Pattern NAMED = Pattern.compile("`(\\w+(?:Test|Contract))(?:#(\\w+))?`");

    @Test
    void everyTestNamedExists() throws IOException {
        Map<String, String> sources = testSources();
        List<String> missing = new ArrayList<>();
        int found = 0;
        Matcher named = NAMED.matcher(page());
        while (named.find()) {
            found++;
            if (!isThere(named.group(1), named.group(2), sources)) {
                missing.add(named.group());
            }
        }
        assertThat(found).isGreaterThan(80);
        assertThat(missing).isEmpty();
    }

    /** Whether the class has the test, or one of the classes it extends does. */
    private static boolean isThere(String type, @Nullable String method, Map<String, String> sources) {
        String source = sources.get(type);
        if (source == null || method == null) {
            return source != null;
        }
        if (Pattern.compile("(void|<DynamicTest>) " + method + "\\(")
                .matcher(source)
                .find()) {
            return true;
        }
        Matcher base = Pattern.compile("class " + type + " extends (\\w+)").matcher(source);
        return base.find() && isThere(base.group(1), method, sources);
    }

    @Test
    void everyRowNamesATest() throws IOException {
        String proofs = page().substring(page().indexOf("## What holds"));
        List<String> rows = proofs.lines()
                .filter(line -> line.startsWith("| ") && !line.contains(" proved by |"))
                .toList();
        assertThat(rows).hasSizeGreaterThan(60);
        assertThat(rows).allMatch(row -> NAMED.matcher(row).find(), "has a test");
    }

    private static String page() throws IOException {
        return Files.readString(ROOT.resolve("docs/seeds.md"));
    }

    private static Map<String, String> testSources() throws IOException {
        Map<String, String> sources = new TreeMap<>();
        List<Path> modules = new ArrayList<>(children(ROOT));
        modules.addAll(children(ROOT.resolve("examples")));
        for (Path module : modules) {
            Path folder = module.resolve("src");
            if (!Files.isDirectory(folder)) {
                continue;
            }
            try (var files = Files.walk(folder)) {
                for (Path file : files.filter(each -> each.toString().matches(".*(Tests?|Contract)\\.java"))
                        .toList()) {
                    sources.put(file.getFileName().toString().replace(".java", ""), Files.readString(file));
                }
            }
        }
        return sources;
    }

    private static List<Path> children(Path folder) throws IOException {
        try (var all = Files.list(folder)) {
            return all.toList();
        }
    }
}
