package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintTerm.Kind;
import dev.headroom.memory.model.calibration.Correction;
import dev.headroom.memory.model.placement.Counterfactual;
import dev.headroom.memory.model.placement.DeviceShare;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The figures of a footprint arrive in the placement, and none is lost or counted twice. */
class FootprintPlacementTest {

    private static final long GIB = 1L << 30;
    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    private ModelFile model(String shape) throws IOException {
        Path path = folder.resolve(shape + ".gguf");
        GgufSynthesizer.of(ModelShape.named(shape), DataType.Q8_0, 1).writeSparse(path);
        return ModelFile.read(path);
    }

    private static PlacementMachine machine(long hostBytes, long... cardBytes) {
        PlacementDevice[] cards = new PlacementDevice[cardBytes.length];
        for (int i = 0; i < cards.length; i++) {
            cards[i] = PlacementDevice.of("cuda:" + i, cardBytes[i]).withOccupied(GIB);
        }
        return PlacementMachine.of(PlacementDevice.of("cpu:0", hostBytes), cards);
    }

    private static DeviceShare share(Placement placement, String id) {
        return placement.shares().stream()
                .filter(share -> share.deviceId().equals(id))
                .findFirst()
                .orElseThrow(() -> new AssertionError(id + " in " + placement.explain()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"tinyllama-1.1b", "qwen3-0.6b", "gemma-2b", "mixtral-8x7b"})
    void onOneDeviceTheSharesAreTheTotalsOfTheFootprint(String shape) throws IOException {
        ModelFile file = model(shape);
        FootprintOptions options =
                FootprintOptions.builder().marginBytes(5 * MIB).build();
        ModelFootprint footprint = file.footprint(options);
        Placement placement = FootprintPlacement.plan(file, options, machine(64 * GIB, 96 * GIB));
        assertThat(placement.kind()).isEqualTo(PlacementKind.ONE_DEVICE);
        DeviceShare card = share(placement, "cuda:0");
        assertThat(card.usedBytes() + card.marginBytes()).isEqualTo(footprint.totalBytes());
        assertThat(card.cacheBytes()).isEqualTo(footprint.bytes(Kind.KV_CACHE));
        assertThat(card.overheadBytes()).isEqualTo(500 * MIB);
        assertThat(card.expertBytes() > 0).isEqualTo(shape.startsWith("mixtral"));
        assertThat(share(placement, "cpu:0").usedBytes()).isEqualTo(footprint.hostTotalBytes());
        assertThat(placement.counterfactuals()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 10, 21, 22})
    void asManyLayersAsAskedForGoToTheDevice(long gpuLayers) throws IOException {
        ModelFile file = model("tinyllama-1.1b");
        FootprintOptions options =
                FootprintOptions.builder().gpuLayers(gpuLayers).build();
        ModelFootprint footprint = file.footprint(options);
        Placement placement = FootprintPlacement.plan(file, options, machine(64 * GIB, 96 * GIB));
        assertThat(placement.layersOn("cuda:0")).isEqualTo(gpuLayers);
        assertThat(placement.layers().getLast().deviceId()).isEqualTo("cuda:0");
        assertThat(placement.outputDeviceId()).contains("cpu:0");
        assertThat(share(placement, "cuda:0").usedBytes()).isEqualTo(footprint.totalBytes());
        assertThat(share(placement, "cpu:0").usedBytes()).isEqualTo(footprint.hostTotalBytes());
    }

    @Test
    void overThreeDevicesComputeAndOverheadAreOnEach() throws IOException {
        ModelFile file = model("tinyllama-1.1b");
        ModelFootprint footprint = file.footprint(FootprintOptions.defaults());
        long each = footprint.totalBytes() * 2 / 3 + 200 * MIB;
        Placement placement =
                FootprintPlacement.plan(file, FootprintOptions.defaults(), machine(64 * GIB, each, each, each));
        assertThat(placement.kind()).as(placement.explain()).isEqualTo(PlacementKind.SPLIT);
        long used = 0;
        int cards = 0;
        for (DeviceShare share : placement.shares()) {
            used += share.usedBytes();
            cards += share.deviceId().startsWith("cuda") ? 1 : 0;
        }
        assertThat(cards).isGreaterThan(1);
        long again = (cards - 1) * (500 * MIB + footprint.highBytes(Kind.COMPUTE));
        assertThat(used).isEqualTo(footprint.totalBytes() + footprint.hostTotalBytes() + again);
    }

    /** What is computed on the device with a weight of the host needs room for that weight. */
    @Test
    void withTheHostThereIsRoomForItsLargestWeight() throws IOException {
        ModelFile file = model("tinyllama-1.1b");
        ModelFootprint whole = file.footprint(FootprintOptions.defaults());
        long card = whole.totalBytes() - 100 * MIB;
        Placement placement = FootprintPlacement.plan(file, FootprintOptions.defaults(), machine(64 * GIB, card));
        assertThat(placement.kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        long largest = file.weights().largest();
        assertThat(share(placement, "cuda:0").computeBytes())
                .isEqualTo(whole.highBytes(Kind.COMPUTE) + largest + largest / 100);
        assertThat(placement.counterfactuals())
                .extracting(Counterfactual::text)
                .hasSize(4)
                .contains(
                        "fits with flash attention",
                        "fits with q8_0 KV and flash attention",
                        "fits if 100 MiB is freed on cuda:0")
                .anySatisfy(text -> assertThat(text).matches("fits with context [0-9]+"));
    }

    @Test
    void onTheHostEverythingIsCountedOnce() throws IOException {
        ModelFile file = model("gemma-2b");
        FootprintOptions onHost = FootprintOptions.builder()
                .onHost(true)
                .overhead(FootprintOptions.Overhead.NONE)
                .build();
        ModelFootprint footprint = file.footprint(onHost);
        for (FootprintOptions options : List.of(onHost, FootprintOptions.defaults())) {
            Placement placement = FootprintPlacement.plan(file, options, machine(64 * GIB));
            assertThat(placement.kind()).isEqualTo(PlacementKind.HOST);
            assertThat(share(placement, "cpu:0").usedBytes()).isEqualTo(footprint.totalBytes());
        }
        assertThat(FootprintPlacement.plan(file, onHost, machine(footprint.totalBytes() - 1, 96 * GIB))
                        .shortBytes())
                .isEqualTo(1);
    }

    @Test
    void nothingFits() throws IOException {
        ModelFile file = model("tinyllama-1.1b");
        Placement placement =
                FootprintPlacement.plan(file, FootprintOptions.defaults(), machine(512 * MIB, 900 * MIB, 900 * MIB));
        assertThat(placement.kind()).isEqualTo(PlacementKind.NOWHERE);
        assertThat(placement.shortBytes()).isPositive();
        assertThat(placement.counterfactuals())
                .anySatisfy(change ->
                        assertThat(change.text()).matches("fits if .* is freed on cuda:0(, the host included)?"));
    }

    /** An embedding that is the output matrix too is kept by the first and by the last device. */
    @Test
    void aTiedEmbeddingThatIsOnTheDevicesIsThereTwiceOnceTheyAreTwo() throws IOException {
        Path config = Files.writeString(
                folder.resolve("config.json"),
                "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],\"num_hidden_layers\":8,"
                        + "\"hidden_size\":1024,\"intermediate_size\":4096,\"num_attention_heads\":8,"
                        + "\"vocab_size\":32000,\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\"}");
        ModelFile file = ModelFile.read(config);
        FootprintOptions options =
                FootprintOptions.builder().contextLength(1024).build();
        long total = file.footprint(options).totalBytes();
        long embedding = 1024L * 32_000 * 2;
        Placement one = FootprintPlacement.plan(file, options, machine(GIB, total));
        assertThat(share(one, "cuda:0").usedBytes()).isEqualTo(total);
        Placement two = FootprintPlacement.plan(file, options, machine(GIB, total - 1, total - 1));
        assertThat(two.kind()).isEqualTo(PlacementKind.SPLIT);
        assertThat(two.shares().stream().mapToLong(DeviceShare::sharedBytes).sum())
                .isEqualTo(one.shares().stream()
                                .mapToLong(DeviceShare::sharedBytes)
                                .sum()
                        + embedding);
    }

    @Test
    void absurdFactsFitNowhereAndBreakNothing() throws IOException {
        ModelFile file = model("tinyllama-1.1b");
        FootprintOptions options =
                FootprintOptions.builder().contextLength(1L << 60).sequences(3).build();
        Placement placement = FootprintPlacement.plan(file, options, machine(64 * GIB, 96 * GIB));
        assertThat(placement.kind()).isEqualTo(PlacementKind.NOWHERE);
        assertThat(placement.counterfactuals())
                .anySatisfy(change -> assertThat(change.text()).startsWith("fits with context "));
    }

    /** What was learned for a card is in its share, once, and moves a model that fits without it to the next card. */
    @Test
    void whatWasLearnedTakesRoom() throws IOException {
        ModelFile file = model("tinyllama-1.1b");
        FootprintOptions options = FootprintOptions.defaults();
        Correction correction = new Correction(3 * MIB, MIB, 7 * MIB, 4, "learned from 4 loads");
        ModelFootprint plain = file.footprint(options);
        ModelFootprint learned = plain.withLearned(correction).withLearned(correction);
        assertThat(learned.totalBytes()).isEqualTo(plain.totalBytes() + 7 * MIB);
        assertThat(learned.hostTotalBytes()).isEqualTo(plain.hostTotalBytes());
        assertThat(learned.bytes(Kind.LEARNED)).isEqualTo(3 * MIB);
        assertThat(learned.terms().getLast())
                .isEqualTo(new FootprintTerm(
                        Kind.LEARNED, 3 * MIB, MIB, 7 * MIB, FootprintTerm.Certainty.GUESSED, "learned from 4 loads"));
        PlacementDevice host = PlacementDevice.of("cpu:0", 64 * GIB).withOverhead(5 * MIB);
        PlacementDevice tight = PlacementDevice.of("cuda:0", plain.totalBytes() + 7 * MIB - 1);
        PlacementDevice roomy = PlacementDevice.of("cuda:1", 96 * GIB);
        assertThat(share(FootprintPlacement.plan(file, options, PlacementMachine.of(host, tight, roomy)), "cuda:0")
                        .usedBytes())
                .isEqualTo(plain.totalBytes());
        Placement moved = FootprintPlacement.plan(
                file, options, PlacementMachine.of(host, tight.withOverhead(7 * MIB), roomy.withOverhead(7 * MIB)));
        assertThat(moved.kind()).isEqualTo(PlacementKind.ONE_DEVICE);
        assertThat(share(moved, "cuda:1").usedBytes()).isEqualTo(learned.totalBytes());
        assertThat(share(moved, "cpu:0").overheadBytes())
                .as("the host holds a rest")
                .isZero();
        Placement onHost =
                FootprintPlacement.plan(file, options.toBuilder().onHost(true).build(), PlacementMachine.of(host));
        assertThat(onHost.shares())
                .singleElement()
                .satisfies(share -> assertThat(share.overheadBytes()).isEqualTo(5 * MIB));
    }
}
