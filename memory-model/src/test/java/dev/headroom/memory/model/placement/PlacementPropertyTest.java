package dev.headroom.memory.model.placement;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What holds on every machine, tried on thousands of random ones. A failure names the seed of its case. */
class PlacementPropertyTest {

    private static final int CASES = 4000;

    /** A random question. */
    private record Case(PlacementModel model, PlacementMachine machine, PlacementPolicy policy) {

        Placement plan() {
            return PlacementPlanner.plan(PlacementRequest.of(model, machine).with(policy));
        }

        Case split(SplitMode mode) {
            return new Case(model, machine, policy.withSplit(mode));
        }

        Case with(PlacementMachine other) {
            return new Case(model, other, policy);
        }
    }

    private static Case random(long seed) {
        Random random = new Random(seed);
        int layers = 1 + random.nextInt(24);
        boolean experts = random.nextInt(3) == 0;
        boolean even = random.nextBoolean();
        int embedding = random.nextInt(60);
        boolean embeddingOnHost = random.nextBoolean();
        int output = random.nextInt(80);
        PlacementModel.Builder model = PlacementModel.builder()
                .embedding(embedding, embeddingOnHost)
                .output(output)
                .tied(new Random(seed).nextInt(3) == 0 ? Math.min(embedding, output) : 0)
                .compute(random.nextInt(20), random.nextInt(20));
        LayerBytes same = layer(random, experts);
        for (int i = 0; i < layers; i++) {
            model.layer(even ? same : layer(random, experts));
        }
        for (int first = 0; first < layers - 1; first++) {
            if (random.nextInt(8) == 0) {
                int last = Math.min(layers - 1, first + 1 + random.nextInt(3));
                model.together(first, last);
                first = last;
            }
        }
        List<PlacementDevice> devices = new ArrayList<>();
        int count = random.nextInt(5);
        for (int i = 0; i < count; i++) {
            devices.add(new PlacementDevice(
                    "cuda:" + i, random.nextInt(1500), random.nextInt(100), random.nextInt(30), random.nextInt(500)));
        }
        Optional<PlacementDevice> host = random.nextInt(5) == 0
                ? Optional.empty()
                : Optional.of(PlacementDevice.of("cpu:0", random.nextInt(4000)));
        PlacementPolicy policy = new PlacementPolicy(
                SplitMode.values()[random.nextInt(3)],
                random.nextInt(5) != 0,
                random.nextInt(5) == 0 ? OptionalInt.of(random.nextInt(layers + 1)) : OptionalInt.empty());
        return new Case(model.build(), new PlacementMachine(devices, host), policy);
    }

    private static LayerBytes layer(Random random, boolean experts) {
        return new LayerBytes(
                1 + random.nextInt(100),
                experts ? random.nextInt(200) : 0,
                random.nextInt(40),
                random.nextInt(4) == 0 ? random.nextInt(20) : 0);
    }

    @Test
    void nothingIsOverfullMissingTwiceOrTornApart() {
        Map<PlacementKind, Integer> seen = new EnumMap<>(PlacementKind.class);
        for (long seed = 0; seed < CASES; seed++) {
            Case one = random(seed);
            Placement placement = one.plan();
            seen.merge(placement.kind(), 1, Integer::sum);
            String which = "seed " + seed;
            if (!placement.fits()) {
                assertThat(placement.shortBytes()).as(which).isPositive();
                continue;
            }
            assertThat(placement.layers())
                    .as(which)
                    .extracting(LayerPlace::layer)
                    .containsExactlyElementsOf(
                            IntStream.range(0, one.model().layers().size())
                                    .boxed()
                                    .toList());
            assertThat(placement.shares()).as(which).allMatch(share -> share.spareBytes() >= 0);
            for (LayerGroup group : one.model().groups()) {
                assertThat(placement.layers().subList(group.first(), group.last() + 1).stream()
                                .map(LayerPlace::deviceId)
                                .distinct())
                        .as(which)
                        .hasSize(1);
            }
            assertThat(sharesOf(one, placement)).as(which).isEqualTo(used(placement));
            long onDevices = placement.layers().size() - placement.layersOn("cpu:0");
            assertThat(onDevices)
                    .as(which)
                    .isLessThanOrEqualTo(one.policy().maxDeviceLayers().orElse(Integer.MAX_VALUE));
            if (!one.policy().layersOnHost()) {
                assertThat(placement.kind()).as(which).isIn(PlacementKind.ONE_DEVICE, PlacementKind.SPLIT);
            }
            assertThat(one.plan()).as(which).isEqualTo(placement);
        }
        assertThat(seen).as("every sort of answer came up").containsKeys(PlacementKind.values());
    }

    /** Bytes per place, added up from the places of the parts. */
    private static Map<String, Long> sharesOf(Case one, Placement placement) {
        Map<String, Long> bytes = new TreeMap<>();
        for (LayerPlace place : placement.layers()) {
            LayerBytes layer = one.model().layers().get(place.layer());
            bytes.merge(place.deviceId(), layer.totalBytes() - layer.expertBytes(), Long::sum);
            bytes.merge(place.expertDeviceId(), layer.expertBytes(), Long::sum);
        }
        if (one.model().embeddingBytes() > 0) {
            bytes.merge(placement.embeddingDeviceId().orElseThrow(), one.model().embeddingBytes(), Long::sum);
        }
        if (one.model().outputBytes() > 0) {
            bytes.merge(placement.outputDeviceId().orElseThrow(), one.model().outputBytes(), Long::sum);
        }
        // Embedding and output at one place share what is tied; at two places there are two copies.
        placement
                .outputDeviceId()
                .filter(output -> placement.embeddingDeviceId().equals(Optional.of(output)))
                .ifPresent(output -> bytes.computeIfPresent(
                        output, (_, sum) -> sum - one.model().tiedBytes()));
        for (PlacementDevice device : one.machine().devices()) {
            bytes.computeIfPresent(device.id(), (_, sum) -> sum + one.model().computeBytes() + device.overheadBytes());
        }
        one.machine()
                .host()
                .ifPresent(host -> bytes.computeIfPresent(
                        host.id(), (_, sum) -> sum + one.model().hostComputeBytes()));
        return bytes;
    }

    private static Map<String, Long> used(Placement placement) {
        Map<String, Long> bytes = new TreeMap<>();
        placement.shares().forEach(share -> bytes.put(share.deviceId(), share.usedBytes()));
        return bytes;
    }

    /** First fit: part after part on the first device with room, else on the host. */
    @Test
    void itIsNeverWorseThanFirstFit() {
        int fitted = 0;
        for (long seed = 0; seed < CASES; seed++) {
            Case one = random(seed);
            int firstFit = firstFit(one);
            if (firstFit >= 0) {
                fitted++;
                Placement placement = one.plan();
                assertThat(placement.fits()).as("seed " + seed).isTrue();
                assertThat(placement.layers().size() - placement.layersOn("cpu:0"))
                        .as("seed " + seed)
                        .isGreaterThanOrEqualTo(firstFit);
            }
        }
        assertThat(fitted).isGreaterThan(CASES / 3);
    }

    /** Layers on devices by first fit, or -1 if there is no room. */
    private static int firstFit(Case one) {
        PlacementModel model = one.model();
        List<PlacementDevice> devices = one.machine().devices();
        long[] left = devices.stream()
                .mapToLong(device ->
                        device.usableBytes() - device.marginBytes() - device.overheadBytes() - model.computeBytes())
                .toArray();
        long host = one.machine()
                .host()
                .map(place -> place.usableBytes() - model.hostComputeBytes())
                .orElse(-1L);
        boolean embeddingStays = model.embeddingOnHost() && one.machine().host().isPresent();
        long onHost = embeddingStays ? model.embeddingBytes() : 0;
        boolean rest = false;
        if (!embeddingStays && take(left, model.embeddingBytes()) < 0) {
            onHost += model.embeddingBytes();
            rest = true;
        }
        int layers = 0;
        int next = 0;
        while (next < model.layers().size()) {
            int first = next;
            int last = model.groups().stream()
                    .filter(group -> group.first() == first)
                    .mapToInt(LayerGroup::last)
                    .findFirst()
                    .orElse(first);
            long bytes = 0;
            for (int i = first; i <= last; i++) {
                bytes += model.layers().get(i).totalBytes();
            }
            int count = last - first + 1;
            if (layers + count <= one.policy().maxDeviceLayers().orElse(Integer.MAX_VALUE) && take(left, bytes) >= 0) {
                layers += count;
            } else {
                onHost += bytes;
                rest = true;
            }
            next = last + 1;
        }
        if (take(left, model.outputBytes()) < 0) {
            onHost += model.outputBytes();
            rest = true;
        }
        if (rest && !one.policy().layersOnHost()) {
            return -1;
        }
        return (onHost == 0 && !rest) || host >= onHost ? layers : -1;
    }

    private static int take(long[] left, long bytes) {
        for (int i = 0; i < left.length; i++) {
            if (left[i] >= bytes) {
                left[i] -= bytes;
                return i;
            }
        }
        return -1;
    }

    @Test
    void theOrderOfDevicesMakesNoDifferenceUnlessItIsMeantTo() {
        for (long seed = 0; seed < CASES / 2; seed++) {
            Case one = random(seed);
            List<PlacementDevice> shuffled = new ArrayList<>(one.machine().devices());
            Collections.shuffle(shuffled, new Random(seed));
            Placement other = one.with(
                            new PlacementMachine(shuffled, one.machine().host()))
                    .plan();
            if (one.policy().split() == SplitMode.SEQUENTIAL) {
                PlacementPolicy balanced = one.policy().withSplit(SplitMode.BALANCED);
                assertThat(other.fits())
                        .as("seed " + seed)
                        .isEqualTo(new Case(one.model(), one.machine(), balanced)
                                .plan()
                                .fits());
            } else {
                assertThat(other).as("seed " + seed).isEqualTo(one.plan());
            }
        }
    }

    /** Balanced fills the fullest device least by share, spread by bytes; compared where one device is not enough. */
    @Test
    void balancedAndSpreadAreWhatTheySay() {
        int compared = 0;
        for (long seed = 0; seed < CASES; seed++) {
            Case one = random(seed);
            Placement balanced = one.split(SplitMode.BALANCED).plan();
            Placement spread = one.split(SplitMode.SPREAD).plan();
            Placement sequential = one.split(SplitMode.SEQUENTIAL).plan();
            if (!Stream.of(balanced, spread, sequential).allMatch(PlacementPropertyTest::isSplitBetweenNeighbours)) {
                continue;
            }
            assertThat(fullest(balanced))
                    .as("seed " + seed)
                    .isLessThanOrEqualTo(Math.min(fullest(spread), fullest(sequential)) + 1e-2);
            assertThat(largest(spread))
                    .as("seed " + seed)
                    .isLessThanOrEqualTo(Math.min(largest(balanced), largest(sequential)));
            compared++;
        }
        assertThat(compared).isGreaterThan(50);
    }

    /** Whether several devices have layers in one stretch each, and the last the output. */
    private static boolean isSplitBetweenNeighbours(Placement placement) {
        if (placement.kind() != PlacementKind.SPLIT) {
            return false;
        }
        long breaks = IntStream.range(1, placement.layers().size())
                .filter(i -> !placement
                        .layers()
                        .get(i)
                        .deviceId()
                        .equals(placement.layers().get(i - 1).deviceId()))
                .count();
        return breaks
                        == placement.layers().stream()
                                        .map(LayerPlace::deviceId)
                                        .distinct()
                                        .count()
                                - 1
                && placement
                        .outputDeviceId()
                        .equals(Optional.of(placement.layers().getLast().deviceId()));
    }

    /** Of the room that is left for parts; a few bytes are little of it, hence the tolerance above. */
    private static double fullest(Placement placement) {
        return placement.shares().stream()
                .filter(share -> !share.deviceId().equals("cpu:0"))
                .mapToDouble(share -> {
                    double fixed = share.computeBytes() + share.overheadBytes();
                    return (share.usedBytes() - fixed) / (share.usableBytes() - share.marginBytes() - fixed);
                })
                .max()
                .orElseThrow();
    }

    private static long largest(Placement placement) {
        return placement.shares().stream()
                .filter(share -> !share.deviceId().equals("cpu:0"))
                .mapToLong(share -> share.usedBytes() - share.computeBytes() - share.overheadBytes())
                .max()
                .orElseThrow();
    }

    /** All ways to give neighbouring layers to devices in any order, the first layers to the host. */
    @Test
    void noArrangementOfNeighboursHasMoreLayersOnDevices() {
        int partly = 0;
        for (long seed = 0; seed < 2000; seed++) {
            Random random = new Random(seed);
            int layers = 1 + random.nextInt(7);
            PlacementModel.Builder builder =
                    PlacementModel.builder().output(random.nextInt(30)).compute(random.nextInt(8), 0);
            for (int i = 0; i < layers; i++) {
                builder.layer(LayerBytes.of(1 + random.nextInt(40), random.nextInt(20)));
            }
            PlacementModel model = builder.build();
            PlacementDevice[] devices = IntStream.range(0, 1 + random.nextInt(3))
                    .mapToObj(i -> PlacementDevice.of("cuda:" + i, random.nextInt(150)))
                    .toArray(PlacementDevice[]::new);
            PlacementMachine machine = PlacementMachine.of(PlacementDevice.of("cpu:0", 10_000), devices);
            Placement placement = PlacementPlanner.plan(PlacementRequest.of(model, machine));
            long found = layers - placement.layersOn("cpu:0");
            long[] rooms = Arrays.stream(devices)
                    .mapToLong(device -> device.usableBytes() - model.computeBytes())
                    .toArray();
            int best = Math.max(most(model, rooms, 0, layers, model.outputBytes()), most(model, rooms, 0, layers, 0));
            assertThat(found).as("seed " + seed).isGreaterThanOrEqualTo(best);
            if (devices.length == 1) {
                assertThat(found).as("seed " + seed).isEqualTo(mostOfAll(model, rooms[0]));
            }
            partly += placement.kind() == PlacementKind.PARTLY_ON_HOST ? 1 : 0;
        }
        assertThat(partly).isGreaterThan(500);
    }

    /** The most layers ending before {@code end} that the devices not in {@code used} can take, with {@code extra} at their end. */
    private static int most(PlacementModel model, long[] rooms, int used, int end, long extra) {
        int best = 0;
        for (int device = 0; device < rooms.length; device++) {
            if ((used & (1 << device)) != 0) {
                continue;
            }
            long bytes = extra;
            for (int start = end; start >= 0; start--) {
                bytes += start < end ? model.layers().get(start).totalBytes() : 0;
                if (bytes > rooms[device]) {
                    break;
                }
                best = Math.max(best, end - start + most(model, rooms, used | (1 << device), start, 0));
            }
        }
        return best;
    }

    /** The most layers of any sort one device can take, by trying every subset. */
    private static int mostOfAll(PlacementModel model, long room) {
        int best = 0;
        for (int set = 0; set < 1 << model.layers().size(); set++) {
            long bytes = 0;
            for (int i = 0; i < model.layers().size(); i++) {
                bytes += (set & (1 << i)) == 0 ? 0 : model.layers().get(i).totalBytes();
            }
            best = bytes <= room ? Math.max(best, Integer.bitCount(set)) : best;
        }
        return best;
    }

    /** What is said to help does, and a MiB less does not. */
    @Test
    void counterfactualsAreTrue() {
        int checked = 0;
        for (long seed = 0; seed < 1500; seed++) {
            Case one = random(seed);
            for (Counterfactual change : one.plan().counterfactuals()) {
                List<PlacementDevice> devices = one.machine().devices().stream()
                        .map(device -> freed(device, change))
                        .toList();
                Optional<PlacementDevice> host = one.machine().host().map(device -> freed(device, change));
                Placement then = one.with(new PlacementMachine(devices, host)).plan();
                assertThat(change.goal().isMetBy(then.kind()))
                        .as("seed " + seed + ": " + change)
                        .isTrue();
                checked++;
            }
        }
        assertThat(checked).isGreaterThan(100);
    }

    private static PlacementDevice freed(PlacementDevice device, Counterfactual change) {
        return change.deviceId().filter(device.id()::equals).isPresent()
                ? device.freed(change.bytes().orElseThrow())
                : device;
    }

    /** More devices than are tried in every order, and more layers than models have. */
    @Test
    void largeMachinesAndModelsAreAnswered() {
        PlacementModel model = PlacementModel.builder()
                .layers(Collections.nCopies(2000, new LayerBytes(90, 300, 10, 0)))
                .output(500)
                .compute(50, 0)
                .build();
        PlacementDevice[] devices = IntStream.range(0, 24)
                .mapToObj(i -> PlacementDevice.of("cuda:" + i, 10_000 + 500L * (i % 7)))
                .toArray(PlacementDevice[]::new);
        Placement placement = PlacementPlanner.plan(
                PlacementRequest.of(model, PlacementMachine.of(PlacementDevice.of("cpu:0", 1 << 30), devices)));
        assertThat(placement.kind()).isEqualTo(PlacementKind.EXPERTS_ON_HOST);
        assertThat(placement.shares()).allMatch(share -> share.spareBytes() >= 0);
        assertThat(placement.layersOn("cpu:0")).isZero();
    }
}
