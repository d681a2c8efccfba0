package dev.headroom.memory.model.placement;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What is said to help does help, as it is said, and a little less does not. A failure names the seed of its case. */
class CounterfactualPropertyTest {

    private static final long MIB = 1L << 20;
    private static final int CASES = 300;
    private static final int MANY = 3000;
    private static final long STEP = 256;
    private static final long LONGEST = 64 * STEP;

    /** A model whose cache grows with the context, or with how its values are kept. */
    private record Sizes(int layers, long weights, long experts, long[] cachePerStep, long output, long compute) {

        static Sizes random(Random random) {
            int layers = 1 + random.nextInt(20);
            long[] cache = new long[layers];
            for (int i = 0; i < layers; i++) {
                cache[i] = random.nextInt(4) == 0 ? 0 : 1 + random.nextLong(4 * MIB);
            }
            return new Sizes(
                    layers,
                    1 + random.nextLong(200 * MIB),
                    random.nextInt(3) == 0 ? random.nextLong(300 * MIB) : 0,
                    cache,
                    random.nextLong(200 * MIB),
                    random.nextLong(50 * MIB));
        }

        PlacementModel at(long context, int percent) {
            PlacementModel.Builder model = PlacementModel.builder()
                    .embedding(output, true)
                    .output(output)
                    .compute(compute, compute / 2);
            for (int i = 0; i < layers; i++) {
                long cache = cachePerStep[i] * (context / STEP) * percent / 100;
                model.layer(new LayerBytes(weights, experts, cache, 0));
            }
            return model.build();
        }
    }

    private static PlacementMachine machine(Random random) {
        List<PlacementDevice> devices = new ArrayList<>();
        for (int i = 0; i <= random.nextInt(3); i++) {
            devices.add(PlacementDevice.of("cuda:" + i, random.nextLong(6000 * MIB))
                    .withMargin(random.nextLong(100 * MIB))
                    .withOccupied(random.nextLong(6000 * MIB)));
        }
        PlacementDevice host =
                PlacementDevice.of("cpu:0", random.nextLong(6000 * MIB)).withOccupied(random.nextLong(6000 * MIB));
        return new PlacementMachine(devices, random.nextInt(4) == 0 ? Optional.empty() : Optional.of(host));
    }

    private static boolean meets(PlacementModel model, PlacementMachine machine, Counterfactual change) {
        PlacementPolicy policy = PlacementPolicy.defaults();
        return change.goal()
                .isMetBy(PlacementPlanner.plan(
                                PlacementRequest.of(model, machine).with(policy))
                        .kind());
    }

    private static PlacementMachine freed(PlacementMachine machine, String id, long bytes) {
        return new PlacementMachine(
                machine.devices().stream()
                        .map(device -> device.id().equals(id) ? freed(device, bytes) : device)
                        .toList(),
                machine.host().map(host -> host.id().equals(id) ? freed(host, bytes) : host));
    }

    private static PlacementDevice freed(PlacementDevice device, long bytes) {
        assertThat(bytes).isLessThanOrEqualTo(device.occupiedBytes());
        return PlacementDevice.of(device.id(), device.usableBytes() + bytes)
                .withMargin(device.marginBytes())
                .withOccupied(device.occupiedBytes() - bytes);
    }

    /** The least the text can mean: what it shows, in bytes. */
    private static long said(Counterfactual change) {
        String[] words = change.text().split(" ", -1);
        double unit = switch (words[3]) {
            case "B" -> 1;
            case "KiB" -> 1 << 10;
            case "MiB" -> MIB;
            default -> 1L << 30;
        };
        return (long) Math.floor(Double.parseDouble(words[2]) * unit);
    }

    @Test
    void whatIsSaidToHelpDoesAndALittleLessDoesNot() {
        tryOut(0, CASES);
    }

    @Test
    @Tag("long")
    void onThousandsOfMachines() {
        tryOut(CASES, MANY);
    }

    private static void tryOut(int from, int to) {
        Map<Counterfactual.Change, Integer> seen = new EnumMap<>(Counterfactual.Change.class);
        int whole = 0;
        for (long seed = from; seed < to; seed++) {
            Random random = new Random(seed);
            Sizes sizes = Sizes.random(random);
            PlacementMachine machine = machine(random);
            PlacementModel model = sizes.at(LONGEST, 100);
            PlacementModel half = sizes.at(LONGEST, 53);
            Placement placement = PlacementPlanner.plan(PlacementRequest.of(model, machine)
                    .withContext(new ContextRange(context -> sizes.at(context, 100), STEP, LONGEST, STEP))
                    .withChoice("q8_0 KV", half));
            for (Counterfactual change : placement.counterfactuals()) {
                String which = "seed " + seed + ": " + change;
                seen.merge(change.change(), 1, Integer::sum);
                assertThat(meets(model, machine, change)).as(which).isFalse();
                switch (change.change()) {
                    case CONTEXT -> {
                        long context = change.context().orElseThrow();
                        assertThat(change.text()).startsWith("fits with context " + context);
                        assertThat(meets(sizes.at(context, 100), machine, change))
                                .as(which)
                                .isTrue();
                        assertThat(meets(sizes.at(context + STEP, 100), machine, change))
                                .as(which)
                                .isFalse();
                    }
                    case CHOICE ->
                        assertThat(meets(half, machine, change)).as(which).isTrue();
                    case FREE -> {
                        String id = change.deviceId().orElseThrow();
                        long bytes = change.bytes().orElseThrow();
                        assertThat(meets(model, freed(machine, id, bytes), change))
                                .as(which)
                                .isTrue();
                        long step = bytes > (1L << 30) ? (1L << 30) / 100 + 1 : MIB;
                        assertThat(meets(model, freed(machine, id, Math.max(0, bytes - step)), change))
                                .as(which)
                                .isFalse();
                        boolean all = bytes == occupied(machine, id);
                        whole += all ? 0 : 1;
                        assertThat(said(change)).as(which).isBetween(bytes - (all ? step : 0), bytes);
                    }
                }
            }
        }
        assertThat(seen).containsKeys(Counterfactual.Change.values());
        assertThat(seen.values()).allMatch(count -> count > 3);
        assertThat(whole)
                .as("cases in which less than everything is to be freed")
                .isGreaterThan(10);
    }

    private static long occupied(PlacementMachine machine, String id) {
        return machine.devices().stream()
                .filter(device -> device.id().equals(id))
                .findFirst()
                .or(machine::host)
                .orElseThrow()
                .occupiedBytes();
    }
}
