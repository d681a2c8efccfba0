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
            String source = sources.getOrDefault(named.group(1), "");
            String method = named.group(2);
            boolean there = method == null
                    ? !source.isEmpty()
                    : Pattern.compile("(void|<DynamicTest>) " + method + "\\(")
                            .matcher(source)
                            .find();
            found++;
            if (!there) {
                missing.add(named.group());
            }
        }
        assertThat(found).isGreaterThan(80);
        assertThat(missing).isEmpty();
    }

    @Test
    void everyRowNamesATestOrWhatIsToCome() throws IOException {
        String proofs = page().substring(page().indexOf("## What holds"));
        List<String> rows = proofs.lines()
                .filter(line -> line.startsWith("| ") && !line.contains(" proved by |"))
                .toList();
        assertThat(rows).hasSizeGreaterThan(60);
        assertThat(rows)
                .allMatch(row -> NAMED.matcher(row).find() || row.contains("*To come:* "), "has a test or an excuse");
    }

    private static String page() throws IOException {
        return Files.readString(ROOT.resolve("docs/seeds.md"));
    }

    private static Map<String, String> testSources() throws IOException {
        Map<String, String> sources = new TreeMap<>();
        for (Path module : children(ROOT)) {
            Path folder = module.resolve("src");
            if (!Files.isDirectory(folder)) {
                continue;
            }
            try (var files = Files.walk(folder)) {
                for (Path file : files.filter(each -> each.toString().matches(".*(Test|Contract)\\.java"))
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
