package dev.headroom.memory.model.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.model.LogCapture;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class CalibrationTest {

    private static final long MIB = 1L << 20;
    private static final CalibrationKey KEY = new CalibrationKey("0123abcd", "cuda", "driver 550.54");

    @TempDir
    Path folder;

    private Path path() {
        return folder.resolve("headroom").resolve("calibration.tsv");
    }

    @Test
    void whatWasMeasuredCorrectsTheNextEstimate() throws IOException {
        Calibration calibration = Calibration.at(path());
        assertThat(calibration.path()).contains(path());
        assertThat(calibration.correction(KEY, 1000 * MIB)).isEmpty();
        assertThat(path()).doesNotExist();
        assertThat(calibration.record(KEY, 1000 * MIB, 1120 * MIB)).isTrue();
        assertThat(calibration.record(KEY, 1000 * MIB, 1153 * MIB)).isTrue();
        assertThat(calibration.record(KEY, 2000 * MIB, 1900 * MIB)).isTrue();
        Correction correction =
                Calibration.at(path()).correction(KEY, 1500 * MIB).orElseThrow();
        assertThat(correction)
                .isEqualTo(new Correction(
                        120 * MIB,
                        0,
                        153 * MIB,
                        3,
                        "learned from 3 loads on cuda (driver 550.54), which took 0 B to 153 MiB more than predicted"))
                .hasToString(correction.reason());
        assertThat(Files.readString(path()))
                .isEqualTo("headroom calibration 1\n"
                        + "0123abcd\tcuda\tdriver 550.54\t1048576000\t1174405120\n"
                        + "0123abcd\tcuda\tdriver 550.54\t1048576000\t1209008128\n"
                        + "0123abcd\tcuda\tdriver 550.54\t2097152000\t1992294400\n");
        try (Stream<Path> files = Files.list(path().getParent())) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder("calibration.tsv", "calibration.tsv.lock");
        }
    }

    @Test
    void onlyTheSameModelBackendAndDriverTeach() {
        Calibration calibration = Calibration.at(path());
        calibration.record(KEY, 100, 110);
        assertThat(calibration.correction(new CalibrationKey("other", "cuda", "driver 550.54"), 100))
                .isEmpty();
        assertThat(calibration.correction(new CalibrationKey("0123abcd", "opencl", "driver 550.54"), 100))
                .isEmpty();
        assertThat(calibration.correction(new CalibrationKey("0123abcd", "cuda", "driver 560.1"), 100))
                .isEmpty();
        assertThat(calibration.correction(KEY, 100)).isPresent();
    }

    /** Predicted are 1600 bytes each time; the figures are what each load took more. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "20             | 20  | 20  | 20  | 1 | learned from 1 load on K, which took 20 B more than predicted",
                "0              | 0   | 0   | 0   | 1 | learned from 1 load on K, which took no more than predicted",
                "-20            | 0   | 0   | 0   | 1 | learned from 1 load on K, which took no more than predicted",
                "7 7            | 7   | 7   | 7   | 2 | learned from 2 loads on K, which took 7 B more than predicted",
                "5 700          | 700 | 5   | 700 | 2 | learned from 2 loads on K, which took 5 B to 700 B more than predicted",
                "5 700 6        | 6   | 5   | 6   | 2 | learned from 2 loads on K, which took 5 B to 6 B more than predicted;"
                        + " 1 load that differs passed over",
                "50 150 151     | 150 | 50  | 151 | 3 | learned from 3 loads on K, which took 50 B to 151 B more than predicted",
                "49 150 151     | 151 | 150 | 151 | 2 | learned from 2 loads on K, which took 150 B to 151 B more than predicted;"
                        + " 1 load that differs passed over",
                "300 9 9 8 500  | 9   | 8   | 9   | 3 | learned from 3 loads on K, which took 8 B to 9 B more than predicted;"
                        + " 2 loads that differ passed over",
                "3000           | 800 | 800 | 800 | 1 | learned from 1 load on K, which took 2.93 KiB more than predicted;"
                        + " no more than half of an estimate is added",
                "9 9 9 9 9 9 9 9 1 1 1 1 1 | 1 | 1 | 9 | 8 |"
                        + " learned from 8 loads on K, which took 1 B to 9 B more than predicted"
            })
    void theMedianIsLikelyAndWhatDiffersIsPassedOver(
            String more, long bytes, long low, long high, int loads, String reason) {
        Calibration calibration = Calibration.at(path());
        for (String each : more.split(" ")) {
            calibration.record(KEY, 1600, 1600 + Long.parseLong(each));
        }
        assertThat(calibration.correction(KEY, 1600))
                .contains(new Correction(bytes, low, high, loads, reason.replace("K,", "cuda (driver 550.54),")));
    }

    @Test
    void aCorrectionLiesBetweenItsBounds() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new Correction(5, 6, 7, 1, "x"))
                .withMessage("a correction must lie between its bounds, but is 5 of 6 to 7");
        assertThatIllegalArgumentException().isThrownBy(() -> new Correction(5, -1, 7, 1, "x"));
        assertThatIllegalArgumentException().isThrownBy(() -> new Correction(5, 5, 4, 1, "x"));
    }

    @Test
    void absurdFiguresDoNotWrap() {
        Calibration calibration = Calibration.at(path());
        assertThat(calibration.record(KEY, 1, Long.MAX_VALUE)).isTrue();
        assertThat(calibration.record(KEY, Long.MAX_VALUE, 1)).isTrue();
        assertThat(calibration.record(KEY, Long.MAX_VALUE, Long.MAX_VALUE)).isTrue();
        Correction most = calibration.correction(KEY, Long.MAX_VALUE).orElseThrow();
        assertThat(most.highBytes()).isZero();
        assertThat(most.measurements()).isEqualTo(2);
        assertThat(calibration.correction(KEY, 0)).isEmpty();
        assertThat(calibration.record(KEY, 0, 5)).isFalse();
        assertThat(calibration.record(KEY, 5, -1)).isFalse();
    }

    @Test
    void theFileStaysSmall() throws IOException {
        Calibration calibration = Calibration.at(path());
        for (int i = 1; i <= 12; i++) {
            calibration.record(KEY, 1000, 1000 + i);
        }
        assertThat(Files.readAllLines(path())).hasSize(1 + CalibrationFile.MAX_PER_KEY);
        assertThat(calibration.correction(KEY, 1000).orElseThrow().measurements())
                .isEqualTo(8);
        List<String> lines = new ArrayList<>(List.of(CalibrationFile.HEADER));
        String longest = "x".repeat(CalibrationKey.MAX_CHARS);
        for (int i = 0; i < CalibrationFile.MAX_MEASUREMENTS + 100; i++) {
            lines.add(String.join("\t", longest, longest, "driver " + i, "1000", "1001"));
        }
        Files.write(path(), lines);
        calibration.record(KEY, 1000, 1001);
        assertThat(Files.readAllLines(path())).hasSize(1 + CalibrationFile.MAX_MEASUREMENTS);
        assertThat(Files.size(path())).isLessThan(CalibrationFile.MAX_BYTES);
        assertThat(calibration.correction(KEY, 1000)).as("the newest is kept").isPresent();
    }

    static Stream<byte[]> damaged() {
        return Stream.of(
                new byte[0],
                "something else\n".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1\na\tb\tc\t1\n".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1\na\tb\tc\t1\tx\n".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1\na\tb\tc\t1\t-1\n".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1\na\t\tc\t1\t1\n".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1\na\tb\tc\t1\t99999999999999999999\n".getBytes(StandardCharsets.UTF_8),
                "headroom calibration 1\na\tb\tc\t1\t12".getBytes(StandardCharsets.UTF_8),
                new byte[] {(byte) 0xff, 0, 1, 2, (byte) 0xfe},
                new byte[CalibrationFile.MAX_BYTES + 1]);
    }

    @ParameterizedTest
    @MethodSource("damaged")
    void aDamagedFileIsLoggedOnceAndStartedAnew(byte[] content) throws IOException {
        Files.createDirectories(path().getParent());
        Files.write(path(), content);
        try (LogCapture log = new LogCapture()) {
            Calibration calibration = Calibration.at(path());
            assertThat(calibration.correction(KEY, 1000)).isEmpty();
            assertThat(calibration.record(KEY, 1000, 1010)).isTrue();
            assertThat(calibration.correction(KEY, 1000)).isPresent();
            assertThat(Files.readAllLines(path())).hasSize(2);
            assertThat(log.messages(Level.WARNING))
                    .singleElement()
                    .satisfies(line -> assertThat(line)
                            .startsWith("the calibration file " + path() + " is damaged and started anew: "));
        }
    }

    /** A file cut at any byte is refused or still true; what is read from it is never half a figure. */
    @Test
    void aFileCutAnywhereTeachesNothingWrong() throws IOException {
        Calibration whole = Calibration.at(path());
        whole.record(KEY, 1000, 1234);
        whole.record(KEY, 1000, 1200);
        byte[] content = Files.readAllBytes(path());
        try (LogCapture log = new LogCapture()) {
            for (int length = 0; length < content.length; length++) {
                Files.write(path(), Arrays.copyOf(content, length));
                Calibration.at(path())
                        .correction(KEY, 1000)
                        .ifPresent(
                                correction -> assertThat(correction.highBytes()).isEqualTo(234));
            }
            assertThat(log.messages(Level.WARNING)).hasSize(content.length - 2);
        }
    }

    @Test
    void theFileOfALaterVersionIsLeftAlone() throws IOException {
        Files.createDirectories(path().getParent());
        String later = "headroom calibration 2\n{\"all\":\"new\"}\n";
        Files.writeString(path(), later);
        try (LogCapture log = new LogCapture()) {
            Calibration calibration = Calibration.at(path());
            assertThat(calibration.correction(KEY, 1000)).isEmpty();
            assertThat(calibration.record(KEY, 1000, 1010)).isFalse();
            assertThat(Files.readString(path())).isEqualTo(later);
            assertThat(log.messages(Level.WARNING))
                    .containsExactly("the calibration file " + path()
                            + " cannot be read: it is of a later version (headroom calibration 2)");
        }
    }

    @Test
    void aPlaceThatCannotBeWrittenIsNoError() throws IOException {
        Path file = folder.resolve("file");
        Files.writeString(file, "not a folder");
        try (LogCapture log = new LogCapture()) {
            Calibration calibration = Calibration.at(file.resolve("calibration.tsv"));
            assertThat(calibration.correction(KEY, 1000)).isEmpty();
            assertThat(calibration.record(KEY, 1000, 1010)).isFalse();
            assertThat(calibration.record(KEY, 1000, 1010)).isFalse();
            assertThat(log.messages(Level.WARNING)).hasSize(1);
        }
        Files.createDirectories(path());
        assertThat(Calibration.at(path()).correction(KEY, 1000))
                .as("a folder in its place")
                .isEmpty();
        assertThat(Calibration.at(path()).record(KEY, 1000, 1010)).isFalse();
    }

    @Test
    void anInterruptedThreadGoesOnWithoutIt() {
        Calibration calibration = Calibration.at(path());
        Thread.currentThread().interrupt();
        assertThat(calibration.record(KEY, 1000, 1010)).isFalse();
        assertThat(Thread.interrupted()).isTrue();
        assertThat(calibration.correction(KEY, 1000)).isEmpty();
        assertThat(calibration.record(KEY, 1000, 1010)).isTrue();
    }

    @Test
    void whoHoldsTheLockForLongIsNotWaitedFor() throws IOException {
        Calibration calibration = Calibration.at(path());
        calibration.record(KEY, 1000, 1010);
        try (FileChannel channel =
                        FileChannel.open(path().resolveSibling("calibration.tsv.lock"), StandardOpenOption.WRITE);
                FileLock lock = channel.lock()) {
            assertThat(lock.isValid()).isTrue();
            assertThat(calibration.record(KEY, 1000, 1020)).isFalse();
        }
        assertThat(calibration.correction(KEY, 1000).orElseThrow().measurements())
                .isEqualTo(1);
    }

    @Test
    void whatACrashLeftIsOverwritten() throws IOException {
        Calibration calibration = Calibration.at(path());
        calibration.record(KEY, 1000, 1010);
        Files.writeString(path().resolveSibling("calibration.tsv.tmp"), "half a li");
        assertThat(calibration.correction(KEY, 1000)).isPresent();
        assertThat(calibration.record(KEY, 1000, 1020)).isTrue();
        assertThat(path().resolveSibling("calibration.tsv.tmp")).doesNotExist();
    }

    @Test
    void manyThreadsLoseNothingAndReadersSeeWholeFiles() throws Exception {
        int threads = 8;
        int each = 6;
        CountDownLatch start = new CountDownLatch(1);
        try (LogCapture log = new LogCapture();
                ExecutorService pool = Executors.newFixedThreadPool(threads)) {
            List<Future<?>> writers = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                int thread = t;
                writers.add(pool.submit(() -> {
                    start.await();
                    Writer.write(Calibration.at(path()), "thread " + thread, each);
                    return thread;
                }));
            }
            start.countDown();
            for (Future<?> writer : writers) {
                writer.get(120, TimeUnit.SECONDS);
            }
            assertThat(Files.readAllLines(path())).hasSize(1 + threads * each);
            assertThat(log.messages(Level.WARNING)).isEmpty();
        }
    }

    /** Writes as many measurements as it is told; run in processes of its own. */
    static final class Writer {

        private Writer() {}

        public static void main(String... arguments) {
            write(Calibration.open(), arguments[0], Integer.parseInt(arguments[1]));
        }

        /** Who does not get its turn in time tries again. */
        static void write(Calibration calibration, String name, int count) {
            for (int i = 0; i < count; i++) {
                CalibrationKey key = new CalibrationKey(name + " " + i, "cuda", "driver");
                while (!calibration.record(key, 1000, 1001)) {
                    Thread.onSpinWait();
                }
                calibration.correction(KEY, 1000);
            }
        }
    }

    @Test
    void processesTakeTurns() throws Exception {
        List<Process> writers = new ArrayList<>();
        for (int p = 0; p < 3; p++) {
            writers.add(new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-XX:TieredStopAtLevel=1",
                            "-Dheadroom.calibration=" + path(),
                            "-cp",
                            System.getProperty("java.class.path"),
                            Writer.class.getName(),
                            "process " + p,
                            "10")
                    .inheritIO()
                    .start());
        }
        for (Process writer : writers) {
            assertThat(writer.waitFor(120, TimeUnit.SECONDS)).isTrue();
            assertThat(writer.exitValue()).isZero();
        }
        assertThat(Files.readAllLines(path())).hasSize(1 + 30);
    }

    @Test
    void aDeviceIsKnownByItsNameAndItsDriversVersion() {
        GpuDevice card = GpuDevice.of("cuda", 1, "Card", DeviceClass.DISCRETE, PhysicalId.unknown());
        assertThat(CalibrationKey.of("f", card)).isEqualTo(new CalibrationKey("f", "cuda", "Card"));
        assertThat(CalibrationKey.of("f", card.withDriverVersion("550.54")))
                .isEqualTo(new CalibrationKey("f", "cuda", "Card, driver 550.54"));
    }

    @Test
    void offLearnsNothing() {
        assertThat(Calibration.off().record(KEY, 1000, 1010)).isFalse();
        assertThat(Calibration.off().correction(KEY, 1000)).isEmpty();
        assertThat(Calibration.off().path()).isEmpty();
    }

    @Test
    void keysAreCleaned() {
        CalibrationKey key = new CalibrationKey(" a\tb\n ", "cuda", "x".repeat(300) + "\ud800");
        assertThat(key.fingerprint()).isEqualTo("a b");
        assertThat(key.driver()).hasSize(CalibrationKey.MAX_CHARS);
        Calibration calibration = Calibration.at(path());
        CalibrationKey odd = new CalibrationKey("a", "b", "Gr\u00fc\u00dfe \ud83d\ude00!");
        assertThat(calibration.record(odd, 10, 11)).isTrue();
        assertThat(calibration.correction(odd, 10)).isPresent();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new CalibrationKey("a", "\t", "c"))
                .withMessage("backend must not be blank");
    }
}
