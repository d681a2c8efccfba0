package dev.headroom.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * What the README shows is what {@code scripts/try-consumer} builds and runs. That script runs in the phase {@code verify},
 * because it needs jars.
 */
class ConsumerTest {

    private static final Path ROOT = Path.of(System.getProperty("headroom.root", ".."));
    private static final Path CONSUMER = ROOT.resolve("examples/consumer");

    @Test
    void theProgramOfTheReadmeIsTheConsumers() throws IOException {
        assertThat(blocks("java")).contains(text(CONSUMER.resolve("src/main/java/FirstLook.java")));
    }

    @Test
    void theShortFormOfTheReadmeIsItsBody() throws IOException {
        String body = text(CONSUMER.resolve("src/main/java/FirstLook.java"))
                .replaceFirst("(?s).*main\\(String\\[] args\\) \\{\n", "")
                .replaceFirst("    }\n}\n$", "")
                .replaceAll("(?m)^ {8}", "");
        assertThat(blocks("java")).contains(body);
    }

    @Test
    void thePomOfTheReadmeIsTheConsumers() throws IOException {
        assertThat(blocks("xml")).containsExactly(text(CONSUMER.resolve("pom.xml")));
    }

    @Test
    void everyVersionIsOurs() throws IOException {
        String ours = firstVersion(text(ROOT.resolve("pom.xml")));
        assertThat(text(CONSUMER.resolve("pom.xml"))).contains("<version>" + ours + "</version>");
        assertThat(blocks("kotlin")).singleElement().asString().contains("dev.headroom:memory-bom:" + ours + "\"");
    }

    private static String firstVersion(String pom) {
        return Pattern.compile("<version>(.*?)</version>")
                .matcher(pom)
                .results()
                .findFirst()
                .orElseThrow()
                .group(1);
    }

    private static List<String> blocks(String language) throws IOException {
        return Pattern.compile("(?ms)^```" + language + "\n(.*?)^```$")
                .matcher(text(ROOT.resolve("README.md")))
                .results()
                .map((MatchResult block) -> block.group(1))
                .toList();
    }

    private static String text(Path file) throws IOException {
        return Files.readString(file);
    }
}
