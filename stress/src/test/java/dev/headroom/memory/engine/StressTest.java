package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Runs the stress tests with jcstress, which starts a JVM for each of them. One of each group in every build, for a moment; all
 * of them in the long one, each with every pair of compilers. An outcome that is not expected fails the build.
 */
class StressTest {

    /** One of each group: that which most mutants of its group fail. */
    private static final List<String> QUICK = List.of(
            "BufferCacheStress.PutTake",
            "UseCountStress.UseClose",
            "HandleStress.NoteNote",
            "LedgerStress.OneClaim",
            "TurnsStress.CloseClose",
            "PointStress.ReachReach",
            "PlaceTableStress.PassOn",
            "PoolStress.ChangeChange");

    private static final Pattern RESULTS = Pattern.compile(
            "Results: (\\d+) planned; (\\d+) passed, (\\d+) failed, (\\d+) soft errs, (\\d+) hard errs");

    /** A quiet collector, for JVMs that live a second. */
    private static final String JVM = "-Xmx256m -XX:+UseSerialGC";

    @TempDir
    private Path folder;

    @Test
    void nothingForbiddenInAMoment() throws Exception {
        String names = "(" + String.join("|", QUICK).replace(".", "\\.") + ")$";
        requireAllPassed(
                run(
                        CodeUnderTest.MAIN,
                        "-t",
                        names,
                        "-f",
                        "1",
                        "-fsm",
                        "1",
                        "-iters",
                        "1",
                        "-time",
                        "30",
                        "-sc",
                        "false",
                        "-af",
                        "NONE"),
                QUICK.size());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "BufferCache",
                "UseCount",
                "Handle",
                "Ledger",
                "Turns",
                "Point",
                "PlaceTable",
                "Pool",
            })
    @Tag("long")
    void nothingForbidden(String group) throws Exception {
        requireAllPassed(
                run(
                        CodeUnderTest.MAIN,
                        "-t",
                        "\\." + group + "Stress\\.",
                        "-f",
                        "1",
                        "-fsm",
                        "1",
                        "-iters",
                        "1",
                        "-time",
                        "300"),
                1);
    }

    /** Without this a build could pass because nothing is ever found. */
    @Test
    @Tag("long")
    void whatIsForbiddenFails() throws Exception {
        String output = run(
                CodeUnderTest.TESTS,
                "-t",
                "LostUpdate$",
                "-f",
                "1",
                "-fsm",
                "1",
                "-iters",
                "3",
                "-time",
                "100",
                "-sc",
                "false",
                "-af",
                "NONE");
        assertThat(output).contains("LostUpdate").endsWith("exit code 1");
        assertThat(last(output).group(3)).isEqualTo("1");
    }

    private static void requireAllPassed(String output, int leastPlanned) {
        Matcher results = last(output);
        assertThat(output).endsWith("exit code 0");
        assertThat(Integer.parseInt(results.group(1))).as("planned").isGreaterThanOrEqualTo(leastPlanned);
        assertThat(results.group(2)).as("passed").isEqualTo(results.group(1));
    }

    private static Matcher last(String output) {
        Matcher results = RESULTS.matcher(output);
        int end = -1;
        while (results.find()) {
            end = results.start();
        }
        assertThat(end).as(output).isNotNegative();
        assertThat(results.find(end)).isTrue();
        return results;
    }

    /** Whose list of tests jcstress finds: it looks at the first on the class path only. */
    private enum CodeUnderTest {
        MAIN,
        TESTS
    }

    private String run(CodeUnderTest code, String... options) throws Exception {
        // Surefire's own class path may be a jar with a list in it.
        String classes = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        Path main = Path.of(StressPool.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                code == CodeUnderTest.MAIN ? main + File.pathSeparator + classes : classes,
                "org.openjdk.jcstress.Main",
                "-r",
                "report",
                "-jvmArgs",
                JVM));
        command.addAll(List.of(options));
        Path output = folder.resolve("output");
        Process process = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        int exitCode;
        try {
            exitCode = process.waitFor();
        } finally {
            process.destroyForcibly(); // an interrupted build leaves nothing behind
        }
        String text = Files.readString(output) + "exit code " + exitCode;
        System.out.println(text);
        return text;
    }
}
