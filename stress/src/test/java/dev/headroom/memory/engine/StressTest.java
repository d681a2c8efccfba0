package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
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

    /** One of each group. */
    private static final List<String> QUICK = List.of(
            "BufferCacheStress.PutTake",
            "UseCountStress.UseClose",
            "HandleStress.NoteNote",
            "LedgerStress.OneClaim",
            "TurnsStress.CloseClose",
            "PointStress.AskAsk",
            "PlaceTableStress.PassOn",
            "IdStress.IssueIssue",
            "CoreStress.LookGrow",
            "PoolStress.ChangeChange",
            "BlockBitsStress.FreeFree");

    private static final Pattern RESULTS = Pattern.compile(
            "Results: (\\d+) planned; (\\d+) passed, (\\d+) failed, (\\d+) soft errs, (\\d+) hard errs");

    /** Interpreted, compiled quickly, compiled well: of the one thread and of the other. */
    private static final int PAIRS_OF_COMPILERS = 9;

    /** A quiet collector, for JVMs that live a second. */
    private static final String JVM = "-Xmx256m -XX:+UseSerialGC";

    @TempDir
    private Path folder;

    @Test
    void nothingForbiddenInAMoment() throws Exception {
        String names = "(" + String.join("|", QUICK).replace(".", "\\.") + ")$";
        requireAllPassed(run(CodeUnderTest.MAIN, names, 30, false), QUICK.size());
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
        requireAllPassed(run(CodeUnderTest.MAIN, "\\." + group + "Stress\\.", 200, true), PAIRS_OF_COMPILERS);
    }

    /** Without this a build could pass because nothing is ever found. */
    @Test
    @Tag("long")
    void whatIsForbiddenFails() throws Exception {
        String output = run(CodeUnderTest.TESTS, "LostUpdate$", 300, false);
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

    /**
     * Runs jcstress.
     *
     * @param code    where its tests are
     * @param names   which of them, a pattern
     * @param millis  how long each is tried
     * @param eachWay whether each is tried with every pair of compilers of its two threads
     * @return what it printed, and its exit code
     */
    private String run(CodeUnderTest code, String names, int millis, boolean eachWay) throws Exception {
        // Surefire's own class path may be a jar with a list in it.
        String classes = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        Path main = Path.of(StressPool.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        List<String> command = List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                code == CodeUnderTest.MAIN ? main + File.pathSeparator + classes : classes,
                "org.openjdk.jcstress.Main",
                "-r",
                "report",
                "-f",
                "1",
                "-fsm",
                "1",
                "-iters",
                "1",
                "-af",
                "NONE",
                "-sc",
                String.valueOf(eachWay),
                "-time",
                String.valueOf(millis),
                "-jvmArgs",
                JVM,
                "-t",
                names);
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
