package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.WriteProgress;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LoadTest {

    private static final long MIB = 1L << 20;
    private static final int TENSORS = 12;
    private static final long BYTES = TENSORS * 4 * MIB;

    @TempDir
    Path folder;

    private final List<SimulatedBackend> used = new ArrayList<>();
    private String model;

    @BeforeEach
    void makeModel() throws IOException {
        GgufWriter.Builder builder = GgufWriter.builder();
        for (int i = 0; i < TENSORS; i++) {
            builder.tensor("blk." + i + ".weight", DataType.F32, 1024, 1024);
        }
        Path path = folder.resolve("model.gguf");
        builder.build()
                .write(
                        path,
                        (tensor, offset, target) -> {
                            for (int i = 0; target.hasRemaining(); i++) {
                                target.put((byte) (tensor.name().hashCode() + offset + i));
                            }
                        },
                        WriteProgress.none());
        model = path.toString();
    }

    @AfterEach
    void nothingIsLeft() {
        for (SimulatedBackend backend : used) {
            backend.requireNoViolations();
            backend.devices()
                    .forEach(device -> assertThat(device.ledger().isEmpty())
                            .as(device + ": " + device.ledger().describe())
                            .isTrue());
        }
    }

    private List<SimulatedBackend> machine(SimulatedBackend... backends) {
        used.addAll(List.of(backends));
        return List.of(backends);
    }

    /** Cards on which another process has left so much; 512 MiB more are kept free by default. */
    private static SimulatedBackend cards(long... freeBytes) {
        SimulatedBackend.Builder builder = SimulatedBackend.builder("cuda");
        for (long free : freeBytes) {
            builder.device(SimulatedDevice.builder("Card " + free / MIB).totalBytes(4096 * MIB));
        }
        SimulatedBackend backend = builder.build();
        for (int i = 0; i < freeBytes.length; i++) {
            backend.device(i).occupy((4096 - 512) * MIB - freeBytes[i]);
        }
        return backend;
    }

    private static SimulatedBackend host() {
        return SimulatedBackend.host(8192 * MIB);
    }

    @Test
    void allOfIt() {
        CommandRun run = CommandRun.of(machine(cards(256 * MIB), host()), "load", model, "--verify", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        Map<String, Object> json = run.json();
        assertThat(json)
                .containsEntry("schema", 1L)
                .containsEntry("backend", "cuda")
                .containsEntry("device", 0L)
                .containsEntry("tensors", (long) TENSORS)
                .containsEntry("bytes", BYTES)
                .containsEntry("fallbackBuffers", 0L)
                .containsEntry("fallbackBytes", 0L)
                .containsEntry("verified", true);
        double seconds = ((Number) json.get("seconds")).doubleValue();
        assertThat(seconds).isPositive();
        assertThat(((Number) json.get("bytesPerSecond")).doubleValue() * seconds)
                .isBetween(BYTES - 1.0, BYTES + 1.0);
        @SuppressWarnings("unchecked")
        Map<String, Object> stats = (Map<String, Object>) json.get("stats");
        assertThat(stats)
                .containsOnlyKeys(
                        "totalAllocatedBytes",
                        "inUseBytes",
                        "pooledBytes",
                        "peakBytes",
                        "poolHits",
                        "poolMisses",
                        "cpuFallbacks",
                        "activeBuffers")
                .containsEntry("inUseBytes", BYTES)
                .containsEntry("activeBuffers", (long) TENSORS);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 64})
    void asManyThreadsAsAskedFor(int threads) {
        CommandRun run = CommandRun.of(
                machine(cards(256 * MIB), host()),
                "load",
                model,
                "--threads",
                String.valueOf(threads),
                "--verify",
                "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json())
                .containsEntry("threads", (long) threads)
                .containsEntry("bytes", BYTES)
                .containsEntry("verified", true);
    }

    @Test
    void theReportIsOfThePoolWithTheModelInIt() throws IOException {
        Path file = folder.resolve("report.json");
        Files.writeString(file, "what was there before, and is longer than nothing");
        CommandRun run =
                CommandRun.of(machine(cards(256 * MIB), host()), "load", model, "--json", "--report", file.toString());
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json()).containsEntry("bytes", BYTES);
        CommandRun parsed = new CommandRun(0, Files.readString(file), "");
        assertThat(parsed.json()).containsEntry("schema", 1L).containsKeys("device", "room", "heaps");
        assertThat(parsed.json().get("stats")).isEqualTo(run.json().get("stats"));
    }

    @Test
    void theReportMayBePrinted() {
        CommandRun run = CommandRun.of(machine(cards(256 * MIB), host()), "load", model, "--json", "--report", "-");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.jsonLines()).hasSize(2);
        assertThat(run.jsonLines().getLast()).containsKey("heaps");
        CommandRun inWords = CommandRun.of(machine(cards(256 * MIB), host()), "load", model, "--report=-");
        assertThat(inWords.out().lines().toList().getLast()).startsWith("{\"schema\":1,");
    }

    @Test
    void aReportNeverOverwritesTheModel() throws IOException {
        byte[] before = Files.readAllBytes(Path.of(model));
        CommandRun run = CommandRun.of(machine(host()), "load", model, "--report", model);
        assertThat(run.code()).isEqualTo(ExitCode.USAGE);
        assertThat(run.complaints().getFirst()).isEqualTo("headroom: --report would overwrite the model");
        assertThat(Path.of(model)).hasBinaryContent(before);
    }

    @Test
    void aReportThatCannotBecomeAFileStopsTheLoad() {
        for (String nowhere : List.of("no/where/report.json", ".")) {
            List<SimulatedBackend> machine = machine(host());
            Path path = folder.resolve(nowhere);
            CommandRun run = CommandRun.of(machine, "load", model, "--report", path.toString());
            assertThat(run.code()).isEqualTo(ExitCode.USAGE);
            assertThat(run.complaints().getFirst())
                    .isEqualTo("headroom: Invalid value for option '--report': "
                            + (nowhere.equals(".") ? path + " is a folder" : "there is no folder " + path.getParent()));
            assertThat(machine.getFirst().device(0).ledger().calls("open")).isZero();
        }
    }

    @Test
    void whatIsRecordedCanBeReplayed() throws IOException {
        Path trace = folder.resolve("load.trace");
        CommandRun run = CommandRun.of(
                machine(cards(256 * MIB), host()), "load", model, "--verify", "--record", trace.toString());
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out()).endsWith("recorded 24 operations of cuda:0 in " + trace + "\n");
        CommandRun replay = CommandRun.of(List.of(), "replay", trace.toString(), "--json");
        assertThat(replay.code()).as(replay.err()).isZero();
        assertThat(replay.json())
                .containsEntry("operations", 2L * TENSORS)
                .containsEntry("peakLiveBytes", BYTES)
                .containsEntry("failedAllocations", 0L);
        assertThat(folder.resolve("load.trace.cpu-0"))
                .as("nothing went to the host")
                .doesNotExist();
        CommandRun quiet =
                CommandRun.of(machine(cards(256 * MIB), host()), "load", model, "--json", "--record", trace.toString());
        assertThat(quiet.json()).containsEntry("bytes", BYTES);
        assertThat(Files.readAllLines(trace)).hasSize(2 * TENSORS);
    }

    @Test
    void whatFallsBackIsRecordedApart() throws IOException {
        Path trace = folder.resolve("load.trace");
        CommandRun run = CommandRun.of(
                machine(cards(256 * MIB), host()), "load", model, "--limit", "20MiB", "--record", trace.toString());
        assertThat(run.code()).as(run.err()).isZero();
        List<String> onCard = allocations(trace);
        List<String> onHost = allocations(folder.resolve("load.trace.cpu-0"));
        assertThat(onCard).hasSize(5);
        assertThat(onHost).hasSize(TENSORS - 5);
        assertThat(run.out()).contains("recorded 10 operations of cuda:0 in " + trace + "\n");
        assertThat(run.out()).endsWith("recorded 14 operations of cpu:0 in " + trace + ".cpu-0\n");
    }

    private static List<String> allocations(Path trace) throws IOException {
        return Files.readAllLines(trace).stream()
                .filter(line -> line.startsWith("a "))
                .toList();
    }

    @Test
    void aRecordingOverwritesNeitherModelNorReport() throws IOException {
        byte[] before = Files.readAllBytes(Path.of(model));
        CommandRun run = CommandRun.of(machine(host()), "load", model, "--record", model);
        assertThat(run.code()).isEqualTo(ExitCode.USAGE);
        assertThat(run.complaints().getFirst()).isEqualTo("headroom: --record would overwrite the model");
        assertThat(Path.of(model)).hasBinaryContent(before);
        String both = folder.resolve("both").toString();
        CommandRun twice = CommandRun.of(machine(host()), "load", model, "--record", both, "--report", both);
        assertThat(twice.code()).isEqualTo(ExitCode.USAGE);
        assertThat(twice.complaints().getFirst()).isEqualTo("headroom: --report would overwrite the recording");
    }

    @Test
    void aRecordingThatCannotBecomeAFileStopsTheLoad() throws IOException {
        for (String nowhere : List.of("no/where/load.trace", ".")) {
            Path path = folder.resolve(nowhere);
            CommandRun run = CommandRun.of(machine(host()), "load", model, "--record", path.toString());
            assertThat(run.code()).isEqualTo(ExitCode.USAGE);
            assertThat(run.complaints().getFirst())
                    .isEqualTo("headroom: Invalid value for option '--record': "
                            + (nowhere.equals(".") ? path + " is a folder" : "there is no folder " + path.getParent()));
        }
    }

    @Test
    void inWords() {
        CommandRun run = CommandRun.of(machine(cards(256 * MIB), host()), "load", model, "--verify");
        assertThat(run.code()).isZero();
        assertThat(run.out().lines())
                .anySatisfy(line -> assertThat(line).endsWith("12 tensors, 48 MiB"))
                .contains("48 MiB go to cuda:0 (Card 256)", "verified: every byte was read back and equals the file")
                .anySatisfy(
                        line -> assertThat(line).startsWith("loaded 12 tensors, 48 MiB, onto cuda:0 (Card 256) in "))
                .anySatisfy(line -> assertThat(line).startsWith("pool: allocated "));
        assertThat(run.complaints())
                .anySatisfy(line -> assertThat(line).startsWith("copying 100 % (48 MiB of 48 MiB)"));
        assertThat(run.err()).doesNotContain("\033");
    }

    @Test
    void quietly() {
        CommandRun run = CommandRun.of(machine(host()), "load", model, "--quiet");
        assertThat(run.err()).isEmpty();
        assertThat(run.out().lines()).hasSize(2);
    }

    @Test
    void onATerminalTheProgressLineIsGoneInTheEnd() {
        CommandRun run = CommandRun.of(machine(host()), true, "load", model);
        assertThat(run.err()).endsWith("\r\033[K").doesNotContain("\n");
    }

    /**
     * Where the model of 48 MiB goes, for every combination of what there is and what was asked.
     *
     * @param free    room on each card in MiB
     * @param options what is asked
     * @param result  the device, a star behind it if part of the model falls back; or "refused"
     */
    @ParameterizedTest
    @CsvSource({
        // All fits somewhere: there, in the order of preference, the host included.
        "64,        '',                                 cuda:0",
        "16 64,     '',                                 cuda:1",
        "16 20,     '',                                 cpu:0",
        "16 20,     '--no-fallback',                    cpu:0",
        // A backend was asked for: the host is not an answer, only a help.
        "16 20,     '--backend cuda',                   cuda:0*",
        "1 20,      '--backend cuda',                   cuda:1*",
        "16 20,     '--backend cuda:1',                 cuda:1*",
        "16 64,     '--backend cuda',                   cuda:1",
        "16 20,     '--backend cuda --no-fallback',     refused",
        "1 1,       '--backend cuda',                   refused",
        "16 20,     '--backend cpu',                    cpu:0",
        // A limit: the first device that is not the host, and the rest falls back. It replaces the 512 MiB kept free.
        "64 64,     '--limit 20MiB',                    cuda:0*",
        "-480 64,   '--limit 1GiB',                     cuda:0*",
        "1 64,      '--limit 20MiB',                    cuda:0*",
        "64 64,     '--limit 1GiB',                     cuda:0",
        "64 64,     '--limit 20MiB --no-fallback',      refused",
        "64,        '--limit 20MiB --backend cuda',     cuda:0*",
        "64,        '--limit 1MiB',                     refused",
        // The host has nothing to fall back to.
        "'',        '--limit 20MiB',                    refused",
        "'',        '--limit 64MiB',                    cpu:0",
        "64,        '--limit 20MiB --backend cpu',      refused",
        "64,        '--limit 64MiB --backend cpu',      cpu:0"
    })
    void whereItGoes(String free, String options, String result) {
        List<SimulatedBackend> machine = free.isEmpty()
                ? machine(host())
                : machine(
                        cards(Stream.of(free.split(" "))
                                .mapToLong(mib -> Long.parseLong(mib) * MIB)
                                .toArray()),
                        host());
        List<String> args = new ArrayList<>(List.of("load", model, "--json"));
        if (!options.isEmpty()) {
            args.addAll(List.of(options.split(" ")));
        }
        CommandRun run = CommandRun.of(machine, args.toArray(String[]::new));
        if (result.equals("refused")) {
            assertThat(run.code()).as(run.out()).isEqualTo(ExitCode.FAILED);
            assertThat(run.out()).isEmpty();
            assertThat(run.complaints().getFirst()).startsWith("headroom: no device has room for " + model);
            assertThat(run.complaints().subList(1, run.complaints().size()))
                    .isNotEmpty()
                    .allSatisfy(line -> assertThat(line).contains("requested 48 MiB, largest free ", ", limit "));
            machine.forEach(backend -> backend.devices()
                    .forEach(device -> assertThat(device.ledger().calls("open")).isZero()));
        } else {
            assertThat(run.code()).as(run.err()).isZero();
            Map<String, Object> json = run.json();
            assertThat(json.get("backend") + ":" + json.get("device")
                            + ((long) json.get("fallbackBuffers") > 0 ? "*" : ""))
                    .isEqualTo(result);
            assertThat((long) json.get("fallbackBytes")).isEqualTo(4 * MIB * (long) json.get("fallbackBuffers"));
        }
    }

    @Test
    void theRestIsSaidToLieOnTheHost() {
        CommandRun run = CommandRun.of(machine(cards(64 * MIB), host()), "load", model, "--limit", "20MiB");
        assertThat(run.out())
                .contains("48 MiB go to cuda:0 (Card 64) as far as they fit, the rest to the host")
                .contains("of these tensors")
                .contains("lie on the host because the device is full");
    }

    @Test
    void aFailingDeviceIsAFailure() {
        SimulatedBackend failing = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("Card").totalBytes(4096 * MIB))
                .faults(new FaultPlan(FaultRule.on("open").failing(DriverException.Kind.UNEXPECTED, 999)))
                .build();
        CommandRun run = CommandRun.of(machine(failing, host()), "load", model);
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.complaints()).hasSizeLessThanOrEqualTo(2);
        assertThat(run.err()).startsWith("headroom: ").doesNotContain("\tat ");
        assertThat(CommandRun.of(machine(failing, host()), "load", model, "--debug")
                        .err())
                .contains("\tat ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"missing.gguf", "folder", "pointer.gguf", "empty.gguf", "cut.gguf"})
    void whatIsNoModel(String name) throws IOException {
        Files.createDirectory(folder.resolve("folder"));
        Files.writeString(
                folder.resolve("pointer.gguf"),
                "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0".repeat(64) + "\nsize 12\n");
        Files.createFile(folder.resolve("empty.gguf"));
        byte[] all = Files.readAllBytes(Path.of(model));
        Files.write(folder.resolve("cut.gguf"), java.util.Arrays.copyOf(all, all.length / 2));
        String path = folder.resolve(name).toString();
        CommandRun run = CommandRun.of(machine(host()), "load", path);
        assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(run.out()).isEmpty();
        assertThat(run.complaints()).hasSizeBetween(1, 2);
        assertThat(run.complaints().getFirst()).startsWith("headroom: " + path);
    }

    @ParameterizedTest
    @CsvSource({
        "load, MODEL | --demo",
        "load --demo a.gguf, a.gguf",
        "load a.gguf --demo, mutually exclusive",
        "load a.gguf --limit 0, above 0",
        "load a.gguf --limit lots, is not a size",
        "load a.gguf --threads 0, must be from 1 to 64",
        "load a.gguf --threads 65, must be from 1 to 64",
        "load --demo --threads two, --threads",
        "load a.gguf --backend metal, valid names",
        "load --demo --backend metal, valid names"
    })
    void wrongUsage(String args, String says) {
        CommandRun run = CommandRun.of(machine(host()), args.split(" "));
        assertThat(run.code()).isEqualTo(ExitCode.USAGE);
        assertThat(run.out()).isEmpty();
        assertThat(run.complaints()).hasSize(2);
        assertThat(run.complaints().getFirst()).contains(says);
    }

    @Test
    void withoutAnyDeviceItSaysWhatToDo() {
        SimulatedBackend absent = SimulatedBackend.builder("cuda")
                .unavailable("no card", "buy one")
                .build();
        CommandRun run = CommandRun.of(machine(absent), "load", model);
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.err()).contains("cuda: unavailable, because no card; buy one");
    }

    @Test
    void anInterruptIsNoErrorOfTheProgram() {
        Thread.currentThread().interrupt();
        CommandRun run = CommandRun.of(machine(host()), "load", model);
        assertThat(Thread.interrupted()).isTrue();
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.complaints().getLast()).contains("interrupted").doesNotContain("internal");
    }

    @Test
    void theDemoMakesLoadsVerifiesAndCleansUp() {
        CommandRun run = CommandRun.of(machine(host()), "load", "--demo", "--verify");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out())
                .contains("making a demo model: tinyllama-1.1b")
                .contains("go to cpu:0")
                .contains("verified: every byte")
                .contains("pool: allocated");
        String made = run.out()
                .lines()
                .filter(line -> line.contains(".gguf: "))
                .map(line -> line.substring(0, line.indexOf(": ")))
                .findFirst()
                .orElseThrow();
        assertThat(Path.of(made)).doesNotExist();
        assertThat(Path.of(made).getParent()).doesNotExist();
    }
}
