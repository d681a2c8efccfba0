package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.SyntheticWeights;
import dev.headroom.memory.model.WriteProgress;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model of eight layers of 4 MiB each that no card has room for. */
class SplitLoadCommandTest {

    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    private final SimulatedBackend host = SimulatedBackend.host(8192 * MIB);
    private String model;

    @BeforeEach
    void makeModel() throws IOException {
        GgufWriter.Builder builder = GgufWriter.builder().tensor("token_embd.weight", DataType.F32, 512, 512);
        for (int i = 0; i < 8; i++) {
            builder.tensor("blk." + i + ".attn_q.weight", DataType.F32, 512, 512)
                    .tensor("blk." + i + ".ffn_up.weight", DataType.F32, 512, 1536);
        }
        Path path = folder.resolve("eight.gguf");
        builder.tensor("output.weight", DataType.F32, 512, 512)
                .build()
                .write(path, new SyntheticWeights(3), WriteProgress.none());
        model = path.toString();
    }

    /** Cards on which others have left so much; 512 MiB more are kept free by default. */
    private static SimulatedBackend cards(int... freeMib) {
        SimulatedBackend.Builder builder = SimulatedBackend.builder("cuda");
        for (int free : freeMib) {
            builder.device(SimulatedDevice.builder("Card " + free).totalBytes(4096 * MIB));
        }
        SimulatedBackend backend = builder.build();
        for (int i = 0; i < freeMib.length; i++) {
            backend.device(i).occupy((4096 - 512 - freeMib[i]) * MIB);
        }
        return backend;
    }

    private CommandRun load(SimulatedBackend cards, String... more) {
        String[] args = new String[more.length + 3];
        args[0] = "load";
        args[1] = model;
        args[2] = "--verify";
        System.arraycopy(more, 0, args, 3, more.length);
        CommandRun run = CommandRun.of(List.of(cards, host), args);
        cards.requireNoViolations();
        cards.devices()
                .forEach(card -> assertThat(card.ledger().isEmpty())
                        .as(card.ledger().describe())
                        .isTrue());
        return run;
    }

    @AfterEach
    void nothingIsLeft() {
        host.requireNoViolations();
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> devices(CommandRun run) {
        return (List<Map<String, Object>>) run.json().get("devices");
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> placement(CommandRun run) {
        return (Map<String, Object>) run.json().get("placement");
    }

    /** With the fallback off the host is not even looked at, and where it is allowed it is not needed. */
    @Test
    void overThreeCardsRatherThanOnTheHost() {
        for (String more : List.of("--json", "--json --no-fallback", "--json --backend cuda")) {
            CommandRun run = load(cards(17, 17, 17), more.split(" "));
            assertThat(run.code()).as(run.err()).isZero();
            assertThat(run.json())
                    .containsEntry("backend", "cuda")
                    .containsEntry("tensors", 18L)
                    .containsEntry("fallbackBuffers", 0L)
                    .containsEntry("verified", true);
            assertThat(placement(run)).containsEntry("kind", "split").containsEntry("layers", 8L);
            assertThat(devices(run))
                    .extracting(part -> part.get("device"))
                    .containsExactlyInAnyOrder("cuda:0", "cuda:1", "cuda:2");
            assertThat(devices(run).stream()
                            .mapToLong(part -> (long) part.get("bytes"))
                            .sum())
                    .isEqualTo(34 * MIB);
        }
    }

    @Test
    void overCardsAndTheHost() {
        CommandRun run = load(cards(13, 17), "--backend", "cuda", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(placement(run)).containsEntry("kind", "partly-on-host");
        assertThat(devices(run)).extracting(part -> part.get("device")).contains("cuda:0", "cuda:1", "cpu:0");
        long onHost = devices(run).stream()
                .filter(part -> part.get("device").equals("cpu:0"))
                .mapToLong(part -> (long) part.get("bytes"))
                .sum();
        assertThat(run.json()).containsEntry("fallbackBytes", onHost).containsEntry("verified", true);
        assertThat(onHost).as("a layer of 4 MiB and the embedding").isEqualTo(5 * MIB);
    }

    @Test
    void inWords() {
        CommandRun run = load(cards(17, 17, 17));
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out())
                .contains("no device has room for all of it: all 8 layers on 3 devices, balanced")
                .containsPattern("  cuda:0: layers 0-[0-9], ")
                .containsPattern("\non cuda:2 \\(Card 17\\): [0-9]+ tensors, [0-9]+ MiB")
                .contains("verified: every byte was read back and equals the file");
    }

    /** The host has room for all of it: better there than in pieces on both. */
    @Test
    void whatDoesNotFitOnCardsAloneStaysInOnePiece() {
        CommandRun run = load(cards(13, 17), "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json()).containsEntry("backend", "cpu").containsEntry("placement", null);
    }

    @Test
    void withoutTheFallbackThereMustBeRoomOnCards() {
        CommandRun run = load(cards(13, 17), "--backend", "cuda", "--no-fallback");
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.complaints().getFirst()).isEqualTo("headroom: no device has room for " + model);
    }

    @Test
    void aLimitIsForOneDevice() {
        CommandRun run = load(cards(64, 64), "--limit", "20MiB", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json()).containsEntry("placement", null).containsEntry("device", 0L);
        assertThat((long) run.json().get("fallbackBuffers")).isPositive();
    }

    /** With a plan the limit bounds every card, and what is over is placed on the host, not fallen back there. */
    @Test
    void aLimitWithASplitIsKeptByPlan() {
        CommandRun run = load(cards(64, 64), "--limit", "13MiB", "--split", "balanced", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(placement(run)).containsEntry("kind", "partly-on-host");
        assertThat(run.json()).containsEntry("unplannedFallbacks", 0L).containsEntry("verified", true);
        assertThat(devices(run)).allSatisfy(part -> {
            if (!part.get("device").equals("cpu:0")) {
                assertThat((long) part.get("bytes")).isLessThanOrEqualTo(13 * MIB);
            }
        });
        assertThat(devices(run))
                .extracting(part -> part.get("device"))
                .containsExactlyInAnyOrder("cuda:0", "cuda:1", "cpu:0");
    }

    /** The host's own pool would be bound by the limit too. */
    @Test
    void theLimitIsNotMeantForTheHost() {
        CommandRun run = load(cards(64), "--limit", "5MiB", "--split", "sequential", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json()).containsEntry("fallbackBytes", 29 * MIB).containsEntry("unplannedFallbacks", 0L);
    }

    @Test
    void spreadSplitsWhereOneCardWereEnough() {
        CommandRun one = load(cards(64, 64), "--split", "balanced", "--json");
        assertThat(placement(one)).containsEntry("kind", "one-device");
        CommandRun run = load(cards(64, 64), "--split", "spread");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out())
                .contains("as planned: all 8 layers on 2 devices, spread")
                .containsPattern("\npool of cuda:0: allocated ")
                .containsPattern("\npool of cuda:1: allocated ");
        CommandRun wrong = load(cards(64), "--split", "evenly");
        assertThat(wrong.code()).isEqualTo(ExitCode.USAGE);
        assertThat(wrong.complaints().getFirst())
                .contains("there is no split \"evenly\"; there are balanced, sequential and spread");
    }

    @Test
    void allPoolsAreReported() throws IOException {
        Path file = folder.resolve("pools.json");
        CommandRun run = load(cards(13, 17), "--backend", "cuda", "--report", file.toString(), "--json");
        assertThat(run.code()).as(run.err()).isZero();
        List<String> reports = Files.readAllLines(file);
        assertThat(reports).hasSize(3).allMatch(line -> line.startsWith("{\"schema\":1,"));
        assertThat(reports).anyMatch(line -> line.contains("\"backend\":\"cpu\""));
        assertThat(devices(run)).allSatisfy(part -> {
            @SuppressWarnings("unchecked")
            Map<String, Object> stats = (Map<String, Object>) part.get("stats");
            assertThat((long) stats.get("inUseBytes")).isEqualTo(part.get("bytes"));
            assertThat(stats).containsEntry("cpuFallbacks", 0L).containsEntry("activeBuffers", part.get("tensors"));
        });
    }

    /** The first device's trace has the name the user gave, the others' stand beside it. */
    @Test
    void eachPoolHasItsRecording() throws IOException {
        Path trace = folder.resolve("split.trace");
        CommandRun run = load(cards(13, 17), "--backend", "cuda", "--record", trace.toString(), "--json");
        assertThat(run.code()).as(run.err()).isZero();
        String first = run.json().get("backend") + ":" + run.json().get("device");
        assertThat(devices(run)).hasSize(3).allSatisfy(part -> {
            String device = (String) part.get("device");
            String name = device.equals(first) ? "split.trace" : "split.trace." + device.replace(':', '-');
            CommandRun replay =
                    CommandRun.of(List.of(), "replay", folder.resolve(name).toString(), "--json");
            assertThat(replay.code()).as(replay.err()).isZero();
            assertThat(replay.json())
                    .containsEntry("peakLiveBytes", part.get("bytes"))
                    .containsEntry("operations", 2 * (long) part.get("tensors"));
        });
    }
}
