package dev.headroom.memory.model.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PlacementPlannerTest {

    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;
    private static final PlacementDevice HOST = PlacementDevice.of("cpu:0", 64 * GIB);

    private static PlacementDevice cuda(int index, long mib) {
        return PlacementDevice.of("cuda:" + index, mib * MIB);
    }

    /** Layers of 100 MiB with 20 MiB of cache, an embedding of 50 MiB on the host, an output of 60 MiB, 40 MiB to compute. */
    private static PlacementModel model(int layers) {
        return model(layers, 20);
    }

    private static PlacementModel model(int layers, long cacheMib) {
        return PlacementModel.builder()
                .layers(Collections.nCopies(layers, LayerBytes.of(100 * MIB, cacheMib * MIB)))
                .embedding(50 * MIB, true)
                .output(60 * MIB)
                .compute(40 * MIB, 30 * MIB)
                .build();
    }

    private static Placement plan(PlacementModel model, PlacementPolicy policy, PlacementMachine machine) {
        return PlacementPlanner.plan(PlacementRequest.of(model, machine).with(policy));
    }

    private static Placement plan(PlacementModel model, PlacementDevice... devices) {
        return plan(model, PlacementPolicy.defaults(), PlacementMachine.of(HOST, devices));
    }

    private static List<Long> layersOn(Placement placement, String... ids) {
        return List.of(ids).stream().map(placement::layersOn).toList();
    }

    @Test
    void theDeviceLeftWithTheLeastRoomWins() {
        Placement placement = plan(model(8), cuda(0, 4000), cuda(1, 1060), cuda(2, 1059), cuda(3, 2000));
        assertThat(placement.kind()).isEqualTo(PlacementKind.ONE_DEVICE);
        assertThat(placement.layersOn("cuda:1")).isEqualTo(8);
        assertThat(placement.outputDeviceId()).contains("cuda:1");
        assertThat(placement.embeddingDeviceId()).contains("cpu:0");
        assertThat(placement.shares()).hasSize(2);
        assertThat(placement.shares().getFirst().spareBytes()).isZero();
        assertThat(placement.counterfactuals()).isEmpty();
        assertThat(placement.explain()).isEqualTo("""
                        all 8 layers on cuda:1
                          cuda:1: layers 0-7, output; 1.04 GiB of 1.04 GiB usable (weights 800 MiB, cache 160 MiB, embedding and output 60 MiB, compute 40 MiB); margin 0 B, 0 B to spare
                          cpu:0: embedding; 80 MiB of 64 GiB usable (embedding and output 50 MiB, compute 30 MiB); margin 0 B, 63.92 GiB to spare""");
    }

    @Test
    void withoutAHostTheEmbeddingGoesToADevice() {
        Placement placement =
                plan(model(8), PlacementPolicy.defaults(), PlacementMachine.ofDevices(cuda(0, 1110), cuda(1, 1109)));
        assertThat(placement.embeddingDeviceId()).contains("cuda:0");
        assertThat(placement.shares().getFirst().usedBytes()).isEqualTo(1110 * MIB);
        assertThat(plan(model(8), PlacementPolicy.defaults(), PlacementMachine.ofDevices(cuda(1, 1109)))
                        .kind())
                .isEqualTo(PlacementKind.NOWHERE);
    }

    /** Of 60 MiB of output, 50 MiB are the embedding: one copy where both are together, two where they are not. */
    @Test
    void whatIsTiedIsCountedOnceForEachPlace() {
        PlacementModel.Builder tied = PlacementModel.builder()
                .layers(Collections.nCopies(8, LayerBytes.of(100 * MIB, 0)))
                .output(60 * MIB)
                .tied(50 * MIB);
        PlacementModel onDevice = tied.embedding(50 * MIB, false).build();
        assertThat(plan(onDevice, cuda(0, 860)).kind()).isEqualTo(PlacementKind.ONE_DEVICE);
        assertThat(plan(onDevice, cuda(0, 860)).shares().getFirst().sharedBytes())
                .isEqualTo(60 * MIB);
        assertThat(plan(onDevice, cuda(0, 859)).kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        Placement split = plan(onDevice, cuda(0, 450), cuda(1, 460));
        assertThat(split.kind()).isEqualTo(PlacementKind.SPLIT);
        assertThat(split.shares()).extracting(DeviceShare::sharedBytes).containsExactly(50 * MIB, 60 * MIB);
        PlacementModel onHost = tied.embedding(50 * MIB, true).build();
        Placement twice = plan(onHost, cuda(0, 860));
        assertThat(twice.shares()).extracting(DeviceShare::sharedBytes).containsExactly(60 * MIB, 50 * MIB);
        Placement once = plan(onHost, PlacementPolicy.defaults(), new PlacementMachine(List.of(), Optional.of(HOST)));
        assertThat(once.kind()).isEqualTo(PlacementKind.HOST);
        assertThat(once.shares().getFirst().usedBytes()).isEqualTo(860 * MIB);
        Placement outputOnHost = plan(onHost, cuda(0, 159));
        assertThat(outputOnHost.outputDeviceId()).contains("cpu:0");
        assertThat(outputOnHost.shares().getLast().sharedBytes()).isEqualTo(60 * MIB);
        assertThat(plan(onHost, PlacementPolicy.defaults(), PlacementMachine.ofDevices(cuda(0, 859)))
                        .shortBytes())
                .isEqualTo(MIB);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> tied.tied(51 * MIB).build())
                .withMessageStartingWith("tiedBytes is 53477376: must be up to the embedding's 52428800");
    }

    @Test
    void marginAndOverheadAreKept() {
        PlacementDevice device = cuda(0, 1260).withMargin(150 * MIB).withOverhead(50 * MIB);
        assertThat(plan(model(8), device).kind()).isEqualTo(PlacementKind.ONE_DEVICE);
        assertThat(plan(model(8), device.withMargin(150 * MIB + 1)).kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        assertThat(plan(model(8), device.withOverhead(50 * MIB + 1)).kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        assertThat(plan(model(8), device.withMargin(Long.MAX_VALUE).withOverhead(Long.MAX_VALUE))
                        .kind())
                .isEqualTo(PlacementKind.HOST);
    }

    /** Rooms of 2000 and 1000 MiB: shares come out near 2 : 1. */
    @Test
    void balancedFillsByShare() {
        Placement placement = plan(model(16), cuda(0, 2000), cuda(1, 1000));
        assertThat(placement.kind()).isEqualTo(PlacementKind.SPLIT);
        assertThat(layersOn(placement, "cuda:0", "cuda:1")).containsExactly(11L, 5L);
        assertThat(placement.layers().getFirst().deviceId()).isEqualTo("cuda:0");
        assertThat(placement.outputDeviceId()).contains("cuda:1");
    }

    @Test
    void sequentialFillsInTheOrderGiven() {
        PlacementPolicy sequential = PlacementPolicy.defaults().withSplit(SplitMode.SEQUENTIAL);
        Placement placement =
                plan(model(16), sequential, PlacementMachine.of(HOST, cuda(1, 1000), cuda(0, 2000), cuda(2, 2000)));
        assertThat(layersOn(placement, "cuda:1", "cuda:0", "cuda:2")).containsExactly(8L, 8L, 0L);
        assertThat(placement.layers().getFirst().deviceId()).isEqualTo("cuda:1");
        assertThat(placement.shares()).extracting(DeviceShare::deviceId).containsExactly("cuda:1", "cuda:0", "cpu:0");
    }

    @Test
    void spreadUsesSeveralDevicesEvenIfOneWereEnough() {
        PlacementPolicy spread = PlacementPolicy.defaults().withSplit(SplitMode.SPREAD);
        Placement placement =
                plan(model(9), spread, PlacementMachine.of(HOST, cuda(0, 8000), cuda(1, 2000), cuda(2, 2000)));
        assertThat(placement.kind()).isEqualTo(PlacementKind.SPLIT);
        assertThat(layersOn(placement, "cuda:0", "cuda:1", "cuda:2")).containsExactly(3L, 3L, 3L);
        assertThat(plan(model(9), spread, PlacementMachine.of(HOST, cuda(0, 8000)))
                        .kind())
                .isEqualTo(PlacementKind.ONE_DEVICE);
    }

    @ParameterizedTest
    @EnumSource(SplitMode.class)
    void groupsStayTogether(SplitMode mode) {
        PlacementModel model = PlacementModel.builder()
                .layers(Collections.nCopies(8, LayerBytes.of(100 * MIB, 0)))
                .together(2, 5)
                .build();
        Placement placement = plan(
                model,
                PlacementPolicy.defaults().withSplit(mode),
                PlacementMachine.of(HOST, cuda(0, 450), cuda(1, 450)));
        assertThat(placement.kind()).isEqualTo(PlacementKind.SPLIT);
        assertThat(placement.layers().subList(2, 6))
                .extracting(LayerPlace::deviceId)
                .containsOnly(placement.layers().get(2).deviceId());
    }

    @Test
    void theLastLayersGoToTheDeviceAndTheRestToTheHost() {
        Placement placement = plan(model(8), cuda(0, 700));
        assertThat(placement.kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        assertThat(layersOn(placement, "cpu:0", "cuda:0")).containsExactly(3L, 5L);
        assertThat(placement.layers().getLast().deviceId()).isEqualTo("cuda:0");
        assertThat(placement.outputDeviceId()).contains("cuda:0");
        assertThat(plan(model(8), cuda(0, 699)).layersOn("cuda:0"))
                .as("a fifth layer fits without the output")
                .isEqualTo(5);
        assertThat(plan(model(8), cuda(0, 699)).outputDeviceId()).contains("cpu:0");
        assertThat(plan(model(8), cuda(0, 639)).layersOn("cuda:0")).isEqualTo(4);
        assertThat(plan(model(8), cuda(0, 159)).kind()).isEqualTo(PlacementKind.HOST);
    }

    @Test
    void whereAllButTheOutputFitsTheAnswerSaysSo() {
        assertThat(plan(model(8), cuda(0, 1000)).explain())
                .startsWith(
                        "8 of 8 layers on devices, the output on the host\n  cuda:0: layers 0-7; 1000 MiB of 1000 MiB");
    }

    @Test
    void aBoundOnDeviceLayersIsKept() {
        Placement placement = plan(
                model(8), PlacementPolicy.defaults().withMaxDeviceLayers(3), PlacementMachine.of(HOST, cuda(0, 8000)));
        assertThat(layersOn(placement, "cpu:0", "cuda:0")).containsExactly(5L, 3L);
        assertThat(placement.layers().get(5).deviceId()).isEqualTo("cuda:0");
        assertThat(plan(
                                model(8),
                                PlacementPolicy.defaults().withMaxDeviceLayers(0),
                                PlacementMachine.of(HOST, cuda(0, 8000)))
                        .kind())
                .isEqualTo(PlacementKind.HOST);
    }

    @Test
    void expertsGoToTheHostBeforeLayersDo() {
        PlacementModel model = PlacementModel.builder()
                .layers(Collections.nCopies(10, new LayerBytes(20 * MIB, 200 * MIB, 10 * MIB, 5 * MIB)))
                .output(50 * MIB)
                .build();
        Placement placement = plan(model, cuda(0, 1200));
        assertThat(placement.kind()).isEqualTo(PlacementKind.EXPERTS_ON_HOST);
        assertThat(placement.layersOn("cuda:0")).isEqualTo(10);
        assertThat(placement.layers())
                .extracting(LayerPlace::expertDeviceId)
                .containsExactly(
                        "cpu:0", "cpu:0", "cpu:0", "cpu:0", "cpu:0", "cpu:0", "cuda:0", "cuda:0", "cuda:0", "cuda:0");
        assertThat(placement.shares().getFirst().usedBytes()).isEqualTo(1200 * MIB);
        assertThat(placement.shares().getLast().expertBytes()).isEqualTo(1200 * MIB);
        assertThat(plan(model, cuda(0, 1199)).shares().getLast().expertBytes()).isEqualTo(1400 * MIB);
        Placement less = plan(model, cuda(0, 349));
        assertThat(less.kind()).as("not even without any experts").isEqualTo(PlacementKind.PARTLY_ON_HOST);
        assertThat(less.layersOn("cuda:0")).isEqualTo(9);
        assertThat(plan(model, PlacementPolicy.defaults().withoutHostLayers(), PlacementMachine.of(HOST, cuda(0, 1200)))
                        .kind())
                .isEqualTo(PlacementKind.NOWHERE);
    }

    /** Neighbours would leave a layer over: 3, 3, 1, 1 on rooms of 4 and 4. */
    @Test
    void unevenLayersMayBeScattered() {
        PlacementModel model = PlacementModel.builder()
                .layer(LayerBytes.of(300 * MIB, 0))
                .layer(LayerBytes.of(300 * MIB, 0))
                .layer(LayerBytes.of(100 * MIB, 0))
                .layer(LayerBytes.of(100 * MIB, 0))
                .build();
        Placement placement = plan(model, cuda(0, 400), cuda(1, 400));
        assertThat(placement.kind()).isEqualTo(PlacementKind.SPLIT);
        assertThat(placement.layers())
                .extracting(LayerPlace::deviceId)
                .containsExactly("cuda:0", "cuda:1", "cuda:0", "cuda:1");
    }

    @Test
    void theHostMustHaveRoomToo() {
        Placement placement = plan(
                model(8),
                PlacementPolicy.defaults(),
                PlacementMachine.of(PlacementDevice.of("cpu:0", 439 * MIB), cuda(0, 700)));
        assertThat(placement.kind()).isEqualTo(PlacementKind.NOWHERE);
        assertThat(placement.fits()).isFalse();
        assertThat(placement.layers()).isEmpty();
        assertThat(plan(
                                model(8),
                                PlacementPolicy.defaults(),
                                PlacementMachine.of(PlacementDevice.of("cpu:0", 440 * MIB), cuda(0, 700)))
                        .kind())
                .isEqualTo(PlacementKind.PARTLY_ON_HOST);
    }

    @Test
    void whatWouldHelpIsSaid() {
        PlacementRequest request = PlacementRequest.of(
                        model(8),
                        PlacementMachine.of(
                                HOST,
                                cuda(0, 700).withOccupied(3 * GIB),
                                cuda(1, 240).withOccupied(100 * MIB)))
                .with(PlacementPolicy.defaults())
                .withContext(new ContextRange(context -> model(8, context * 20 / 4096), 256, 4096, 256))
                .withChoice("q8_0 KV", model(8, 0))
                .withChoice("q5_1 KV", model(8, 19));
        Placement placement = PlacementPlanner.plan(request);
        assertThat(placement.kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        assertThat(placement.explain()).isEqualTo("""
                        6 of 8 layers on devices, 2 on the host
                          cuda:0: layers 2-6; 640 MiB of 700 MiB usable (weights 500 MiB, cache 100 MiB, compute 40 MiB); margin 0 B, 60 MiB to spare
                          cuda:1: layer 7, output; 220 MiB of 240 MiB usable (weights 100 MiB, cache 20 MiB, embedding and output 60 MiB, compute 40 MiB); margin 0 B, 20 MiB to spare
                          cpu:0: layers 0-1, embedding; 320 MiB of 64 GiB usable (weights 200 MiB, cache 40 MiB, embedding and output 50 MiB, compute 30 MiB); margin 0 B, 63.69 GiB to spare
                          fits with q8_0 KV
                          fits if 180 MiB is freed on cuda:0""");
        assertThat(placement.counterfactuals()).last().satisfies(change -> {
            assertThat(change.bytes()).hasValue(180 * MIB);
            assertThat(change.deviceId()).contains("cuda:0");
        });
    }

    @Test
    void aContextAChoiceAndFreedMemory() {
        PlacementRequest request = PlacementRequest.of(
                        model(8), PlacementMachine.of(HOST, cuda(0, 1000).withOccupied(GIB)))
                .withContext(new ContextRange(context -> model(8, context * 20 / 4096), 256, 4096, 256))
                .withChoice("q8_0 KV", model(8, 11))
                .withChoice("q5_1 KV", model(8, 19));
        assertThat(PlacementPlanner.plan(request).counterfactuals())
                .extracting(Counterfactual::text)
                .containsExactly("fits with context 2560", "fits with q8_0 KV", "fits if 60 MiB is freed on cuda:0");
    }

    @Test
    void whereNothingFitsAtAllTheHostCountsToo() {
        PlacementRequest request = PlacementRequest.of(
                        model(8),
                        PlacementMachine.of(
                                PlacementDevice.of("cpu:0", 500 * MIB).withOccupied(GIB), cuda(0, 90)))
                .withChoice("two layers", model(2));
        Placement placement = PlacementPlanner.plan(request);
        assertThat(placement.shortBytes()).isEqualTo(600 * MIB);
        assertThat(placement.explain()).isEqualTo("""
                        no room: the place nearest to it lacks 600 MiB
                          fits with two layers, the host included
                          fits if 600 MiB is freed on cpu:0, the host included""");
    }

    @Test
    void theAnswerAsJson() {
        PlacementRequest request = PlacementRequest.of(
                        model(8), PlacementMachine.of(HOST, cuda(0, 980).withOccupied(GIB)))
                .withContext(new ContextRange(context -> model(8, context * 20 / 4096), 256, 4096, 256));
        assertThat(PlacementPlanner.plan(request).toJson())
                .isEqualTo("{\"kind\":\"partly-on-host\",\"split\":\"balanced\",\"layers\":8,\"embedding\":\"cpu:0\","
                        + "\"output\":\"cuda:0\",\"shortBytes\":0,\"devices\":[{\"device\":\"cuda:0\",\"layers\":[[1,7]],"
                        + "\"expertLayers\":[],\"usableBytes\":1027604480,\"marginBytes\":0,\"usedBytes\":985661440,"
                        + "\"spareBytes\":41943040,\"weightsBytes\":734003200,\"expertBytes\":0,\"kvCacheBytes\":146800640,"
                        + "\"stateBytes\":0,\"sharedBytes\":62914560,\"computeBytes\":41943040,\"overheadBytes\":0},"
                        + "{\"device\":\"cpu:0\",\"layers\":[[0,0]],\"expertLayers\":[],\"usableBytes\":68719476736,"
                        + "\"marginBytes\":0,\"usedBytes\":209715200,\"spareBytes\":68509761536,\"weightsBytes\":104857600,"
                        + "\"expertBytes\":0,\"kvCacheBytes\":20971520,\"stateBytes\":0,\"sharedBytes\":52428800,"
                        + "\"computeBytes\":31457280,\"overheadBytes\":0}],\"counterfactuals\":[{\"change\":\"context\","
                        + "\"goal\":\"devices\",\"text\":\"fits with context 2048\",\"context\":2048,\"bytes\":null,"
                        + "\"device\":null},{\"change\":\"free\",\"goal\":\"devices\",\"text\":"
                        + "\"fits if 80 MiB is freed on cuda:0\",\"context\":null,\"bytes\":83886080,"
                        + "\"device\":\"cuda:0\"}]}");
        Placement nowhere = PlacementPlanner.plan(
                PlacementRequest.of(model(8), PlacementMachine.ofDevices(PlacementDevice.of("a\"\\\n\u00e9", 1))));
        assertThat(nowhere.toJson())
                .isEqualTo(
                        "{\"kind\":\"nowhere\",\"split\":\"balanced\",\"layers\":0,\"embedding\":null,\"output\":null,"
                                + "\"shortBytes\":1163919359,\"devices\":[],\"counterfactuals\":[]}");
        Placement odd = PlacementPlanner.plan(
                PlacementRequest.of(model(1), PlacementMachine.ofDevices(PlacementDevice.of("a\"\\\n\u00e9", GIB))));
        assertThat(odd.toJson()).contains("\"device\":\"a\\\"\\\\\\u000a\\u00e9\"");
    }

    @Test
    void theLargestContext() {
        ContextRange range = new ContextRange(context -> model(8, context / 64), 100, 8000, 256);
        PlacementPolicy policy = PlacementPolicy.defaults();
        assertThat(largest(range, policy, 900 + 8 * 64)).as("4096 / 64 is 64").isEqualTo(OptionalLong.of(4096));
        assertThat(largest(range, policy, 900 + 8 * 125)).as("the longest").isEqualTo(OptionalLong.of(8000));
        assertThat(largest(range, policy, 900 + 8 * 125 - 1)).isEqualTo(OptionalLong.of(7936));
        assertThat(largest(range, policy, 900 + 8)).as("the shortest").isEqualTo(OptionalLong.of(100));
        assertThat(largest(range, policy, 900 + 7)).isEmpty();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new ContextRange(context -> model(8), 0, 1, 1))
                .withMessageStartingWith("contexts from 0 to 1 by 1 are none");
    }

    private static OptionalLong largest(ContextRange range, PlacementPolicy policy, long mib) {
        return PlacementPlanner.largestContext(
                range, PlacementMachine.of(HOST, cuda(0, mib)), policy, PlacementGoal.DEVICES);
    }

    @Test
    void wrongModelsAndMachinesAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> PlacementModel.builder().build())
                .withMessage("layers are 0: must be 1 to 65536");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> LayerBytes.of(-1, 0))
                .withMessage("weightBytes is -1: must be 0 or more");
        LayerBytes huge = LayerBytes.of(1L << 62, 0);
        assertThatIllegalArgumentException()
                .isThrownBy(
                        () -> PlacementModel.builder().layer(huge).layer(huge).build())
                .withMessage("the parts of the model are more than 9223372036854775807 bytes");
        PlacementModel.Builder two = PlacementModel.builder().layers(Collections.nCopies(2, LayerBytes.of(1, 1)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> two.together(0, 2).build())
                .withMessage("a group ends at layer 2, but the last layer is 1");
        PlacementModel.Builder four = PlacementModel.builder().layers(Collections.nCopies(4, LayerBytes.of(1, 1)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> four.together(1, 3).together(0, 1).build())
                .withMessage("groups overlap at layer 1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new LayerGroup(1, 1))
                .withMessage("layers 1 to 1 are no group of two or more");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> PlacementMachine.ofDevices(cuda(0, 1), cuda(0, 2)))
                .withMessage("there are two devices cuda:0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> PlacementPolicy.defaults().withMaxDeviceLayers(-1))
                .withMessage("maxDeviceLayers is -1: must be 0 or more");
    }
}
