package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlanTest {

    private static final long GIB = 1L << 30;
    private static final long MIB = 1L << 20;

    /** Of the model below: width 2048, feed-forward 5632, 32 heads of 64 on 4, vocabulary 32000, one block, Q4_0. */
    private static final long EMBEDDING = 2048L * 32_000 / 32 * 18;

    private static final long BLOCK = (2 * 2048L * 2048 + 2 * 2048L * 256 + 3 * 2048L * 5632) / 32 * 18 + 2 * 2048 * 4;

    @TempDir
    Path folder;

    private static List<SimulatedBackend> machine(long cardBytes) {
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("Card")
                        .totalBytes(cardBytes)
                        .freeFigure(FreeFigure.constant(cardBytes)))
                .build();
        return List.of(cards, SimulatedBackend.host(16 * GIB));
    }

    private String model() throws IOException {
        Path path = folder.resolve("tiny.gguf");
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b").withLayers(1), DataType.Q4_0, 42)
                .writeSparse(path);
        return path.toString();
    }

    private CommandRun plan(List<SimulatedBackend> backends, String... more) throws IOException {
        List<String> args = new ArrayList<>(List.of("plan", model()));
        args.addAll(List.of(more));
        return CommandRun.of(backends, args.toArray(String[]::new));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> part(CommandRun run, String name) {
        return (Map<String, Object>) run.json().get(name);
    }

    @Test
    void theJsonHasTheFixedForm() throws IOException {
        CommandRun run = plan(machine(8 * GIB), "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.json()).containsOnlyKeys("schema", "model", "options", "footprint", "selection", "placement");
        assertThat(run.json()).containsEntry("schema", 1L);
        assertThat(part(run, "placement"))
                .containsOnlyKeys(
                        "kind", "split", "layers", "embedding", "output", "shortBytes", "devices", "counterfactuals")
                .containsEntry("kind", "one-device")
                .containsEntry("embedding", "cpu:0")
                .containsEntry("output", "cuda:0");
        assertThat(part(run, "model"))
                .isEqualTo(Map.of(
                        "file",
                        folder.resolve("tiny.gguf").toString(),
                        "format",
                        "gguf",
                        "architecture",
                        "llama",
                        "parameters",
                        ModelShape.named("tinyllama-1.1b").withLayers(1).parameters()));
        assertThat(part(run, "options"))
                .containsEntry("context", 2048L)
                .containsEntry("batch", 2048L)
                .containsEntry("ubatch", 512L)
                .containsEntry("sequences", 1L)
                .containsEntry("kType", "f16")
                .containsEntry("vType", "f16")
                .containsEntry("flashAttention", "off")
                .containsEntry("swaFull", false)
                .containsEntry("gpuLayers", 2L)
                .containsEntry("mla", "auto")
                .containsEntry("backend", "auto");
    }

    @Test
    @SuppressWarnings("unchecked")
    void theFiguresAreThoseOfTheFile() throws IOException {
        CommandRun run = plan(machine(8 * GIB), "--json");
        Map<String, Object> footprint = part(run, "footprint");
        long scores = 32L * 2048 * 512 * 4;
        long mask = 2048L * 512 * 4;
        long logits = (32_000L + 2048) * 512 * 4;
        long rows = 4 * 2048L * 512 * 4;
        long compute = scores + rows + mask;
        long most = logits + scores + mask + rows;
        most += most / 100;
        long output = 32_000L * 4;
        assertThat(footprint)
                .containsEntry("weightsBytes", BLOCK + EMBEDDING + 2048 * 4)
                .containsEntry("hostBytes", EMBEDDING)
                .containsEntry("kvCacheBytes", 2048L * 4 * 128 * 2)
                .containsEntry("stateBytes", 0L)
                .containsEntry("computeBytes", compute)
                .containsEntry("outputBytes", output)
                .containsEntry("overheadBytes", 500 * MIB)
                .containsEntry("marginBytes", 0L);
        long total = BLOCK + EMBEDDING + 2048 * 4 + 2048L * 4 * 128 * 2 + most + output + 2048 * 4 + 500 * MIB;
        assertThat(footprint).containsEntry("totalBytes", total);
        List<Map<String, Object>> terms = (List<Map<String, Object>>) footprint.get("terms");
        assertThat(terms)
                .extracting(term -> term.get("name"))
                .containsExactly(
                        "weights",
                        "hostWeights",
                        "kvCache",
                        "state",
                        "compute",
                        "hostCompute",
                        "output",
                        "overhead",
                        "margin");
        assertThat(terms.get(4))
                .containsEntry("bytes", compute)
                .containsEntry("lowBytes", Math.max(scores, logits))
                .containsEntry("highBytes", most)
                .containsEntry("certainty", "bounded");
        assertThat(part(run, "selection"))
                .containsEntry("requiredBytes", total)
                .containsEntry("schema", 1L)
                .containsEntry("chosen", Map.of("backend", "cuda", "device", 0L, "name", "Card"));
    }

    @Test
    void theOptionsReachTheFigures() throws IOException {
        CommandRun run = plan(
                machine(8 * GIB),
                "--json",
                "--context=1000",
                "--sequences=2",
                "--kv-type=q8_0",
                "--k-type=f16",
                "--flash-attention=on",
                "--swa-full",
                "--gpu-layers=1",
                "--ubatch=128",
                "--batch=256",
                "--margin=1MiB",
                "--mla=latent-k",
                "--backend=cuda:0");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(part(run, "options"))
                .containsEntry("context", 1000L)
                .containsEntry("batch", 256L)
                .containsEntry("ubatch", 128L)
                .containsEntry("sequences", 2L)
                .containsEntry("kType", "f16")
                .containsEntry("vType", "q8_0")
                .containsEntry("flashAttention", "on")
                .containsEntry("swaFull", true)
                .containsEntry("gpuLayers", 1L)
                .containsEntry("mla", "latent-k")
                .containsEntry("backend", "cuda:0");
        // Two streams of 500 tokens, 512 cells each; the output is not on the device.
        assertThat(part(run, "footprint"))
                .containsEntry("kvCacheBytes", 2 * 512L * (256 * 2 + 256 / 32 * 34))
                .containsEntry("weightsBytes", BLOCK)
                .containsEntry("hostBytes", 2 * EMBEDDING + 2048 * 4)
                .containsEntry("marginBytes", MIB);
    }

    @Test
    void inWords() throws IOException {
        CommandRun run = plan(machine(8 * GIB));
        assertThat(run.code()).isZero();
        assertThat(run.out().lines())
                .contains("with context 2048, batch 2048, ubatch 512, sequences 1, keys f16, values f16, "
                        + "flash attention off, everything on the device")
                .contains("weights           58.80 MiB  exact: the sum of 12 tensors")
                .contains("kvCache               2 MiB  exact: 1 of 1 layers hold keys and values")
                .contains("overhead            500 MiB  guessed 150 MiB to 500 MiB: a driver's context and kernels; "
                        + "nothing where a context is open already")
                .anySatisfy(line -> assertThat(line).startsWith("hostWeights       35.16 MiB  exact: "));
    }

    @Test
    void nothingFits() throws IOException {
        CommandRun run = CommandRun.of(
                List.of(machine(128 * MIB).getFirst(), SimulatedBackend.host(256 * MIB)), "plan", model(), "--json");
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(part(run, "selection")).containsEntry("chosen", null);
        assertThat(part(run, "placement")).containsEntry("kind", "nowhere");
    }

    /** Of three cards no one has room for it; the embedding stays on the host. */
    @Test
    @SuppressWarnings("unchecked")
    void overSeveralCards() throws IOException {
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(card("a", 2 * GIB))
                .device(card("b", 2 * GIB))
                .device(card("c", 2 * GIB))
                .build();
        Path path = folder.resolve("large.gguf");
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b"), DataType.F16, 42).writeSparse(path);
        CommandRun run = CommandRun.of(
                List.of(cards, SimulatedBackend.host(16 * GIB)), "plan", path.toString(), "--backend=cuda", "--json");
        assertThat(run.code()).as(run.out() + run.err()).isZero();
        assertThat(part(run, "selection")).containsEntry("chosen", null);
        Map<String, Object> placement = part(run, "placement");
        assertThat(placement).containsEntry("kind", "split").containsEntry("layers", 22L);
        List<Map<String, Object>> shares = (List<Map<String, Object>>) placement.get("devices");
        assertThat(shares)
                .extracting(share -> share.get("device"))
                .endsWith("cpu:0")
                .hasSizeGreaterThan(2);
        CommandRun words = CommandRun.of(
                List.of(cards, SimulatedBackend.host(16 * GIB)), "plan", path.toString(), "--backend=cuda");
        assertThat(words.out()).contains("placement: all 22 layers on ", "  cuda:0: layers 0-");
    }

    private static SimulatedDevice.Builder card(String name, long bytes) {
        return SimulatedDevice.builder(name).totalBytes(bytes);
    }

    @Test
    void aCardAndTheHostAndWhatWouldBeBetter() throws IOException {
        SimulatedBackend cards =
                SimulatedBackend.builder("cuda").device(card("a", 4 * GIB)).build();
        cards.device(0).occupy(2 * GIB);
        Path path = folder.resolve("large.gguf");
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b"), DataType.F16, 42).writeSparse(path);
        CommandRun run = CommandRun.of(
                List.of(cards, SimulatedBackend.host(16 * GIB)), "plan", path.toString(), "--context=2048");
        assertThat(run.code()).as(run.out() + run.err()).isZero();
        assertThat(run.out())
                .containsPattern("placement: [0-9]+ of 22 layers on devices, [0-9]+ on the host")
                .containsPattern("  fits if [0-9.]+ [MG]iB is freed on cuda:0");
    }

    /** On the host all weights lie in one memory, and there is no driver. */
    @Test
    void theHostAlone() throws IOException {
        CommandRun run = plan(machine(8 * GIB), "--json", "--backend=cpu");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(part(run, "footprint"))
                .containsEntry("weightsBytes", BLOCK + 2 * EMBEDDING + 2048 * 4)
                .containsEntry("hostBytes", 0L)
                .containsEntry("overheadBytes", 0L);
        // Without any other device there is no driver either, but the plan is still that of one.
        CommandRun only = plan(List.of(SimulatedBackend.host(16 * GIB)), "--json");
        assertThat(part(only, "footprint"))
                .containsEntry("hostBytes", EMBEDDING)
                .containsEntry("overheadBytes", 0L)
                .containsEntry(
                        "remarks",
                        List.of("on the host, what lies in host memory comes on top of the total: 43.16 MiB; "
                                + "--backend cpu counts it all as one"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--context=0|--context must be 1 or more, but is 0",
                "--context=x|Invalid value for option '--context': 'x' is not a long",
                "--sequences=70000|--sequences must be 1 to 65536, but is 70000",
                "--kv-type=q9|there is no cache type \"q9\"; there are f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 and iq4_nl",
                "--kv-type=q8_0|values of type Q8_0 need --flash-attention on: add it, or keep values in F16, BF16 or F32",
                "--flash-attention=yes|\"yes\" is neither on nor off",
                "--mla=x|there is no layout \"x\"; there are latent, latent-k and expanded",
                "--backend=cud|cud"
            })
    void wrongUsage(String option, String message) throws IOException {
        CommandRun run = plan(machine(8 * GIB), option);
        assertThat(run.code()).isEqualTo(ExitCode.USAGE);
        assertThat(run.out()).isEmpty();
        assertThat(run.complaints()).hasSize(2).first().asString().contains(message);
    }

    @Test
    void badFilesHaveTheirOwnCode() throws IOException {
        Path text = Files.writeString(folder.resolve("text"), "hello");
        CommandRun run = CommandRun.of(machine(8 * GIB), "plan", text.toString());
        assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(run.complaints())
                .containsExactly(
                        "headroom: " + text
                                + " at byte 0: expected a GGUF file, a safetensors file or a configuration, "
                                + "found \"hell\"",
                        "this is not a model file");
        CommandRun none =
                CommandRun.of(machine(8 * GIB), "plan", folder.resolve("none").toString());
        assertThat(none.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(none.complaints())
                .containsExactly("headroom: " + folder.resolve("none") + ": there is no such file");
        CommandRun empty = CommandRun.of(machine(8 * GIB), "plan", folder.toString());
        assertThat(empty.code()).isEqualTo(ExitCode.INVALID_FILE);
    }

    @Test
    void otherFormatsAreInspectedToo() throws IOException {
        Path weights = folder.resolve("model.safetensors");
        Files.writeString(
                weights,
                "\0\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"
                                .replaceFirst("\0", "5")
                        + "xy");
        Path config = Files.writeString(
                folder.resolve("config.json"),
                "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"num_attention_heads\":2}");
        CommandRun run = CommandRun.of(List.of(), "inspect", weights.toString(), config.toString());
        assertThat(run.out().lines())
                .containsExactly(
                        "valid    " + weights + ": safetensors, 1 tensor, 2 B",
                        "valid    " + config + ": configuration of llama, 2 layers");
        assertThat(run.code()).isZero();
        CommandRun json = CommandRun.of(List.of(), "inspect", "--json", weights.toString());
        assertThat(json.json())
                .containsEntry("format", "safetensors")
                .containsEntry("tensors", 1L)
                .containsEntry("tensorBytes", 2L);
    }
}
