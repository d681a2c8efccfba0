package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.placement.Counterfactual;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementGoal;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a plan of a real model says would help is done, and the plan made again. */
class FootprintCounterfactualTest {

    private static final long MIB = 1L << 20;
    private static final int CASES = 30;

    @TempDir
    Path folder;

    private static PlacementMachine machine(Random random, long total) {
        List<PlacementDevice> devices = new ArrayList<>();
        for (int i = 0; i <= random.nextInt(2); i++) {
            devices.add(place(random, "cuda:" + i, total));
        }
        PlacementDevice host = place(random, "cpu:0", total);
        return new PlacementMachine(devices, random.nextInt(3) == 0 ? Optional.empty() : Optional.of(host));
    }

    private static PlacementDevice place(Random random, String id, long total) {
        return PlacementDevice.of(id, random.nextLong(total * 5 / 4)).withOccupied(random.nextLong(total));
    }

    private static boolean meets(
            ModelFile file, FootprintOptions options, PlacementMachine machine, PlacementGoal goal) {
        PlacementKind kind = FootprintPlacement.plan(file, options, machine).kind();
        return goal == PlacementGoal.ANYWHERE
                ? kind != PlacementKind.NOWHERE
                : kind == PlacementKind.ONE_DEVICE || kind == PlacementKind.SPLIT;
    }

    private static PlacementMachine freed(PlacementMachine machine, String id, long bytes) {
        return new PlacementMachine(
                machine.devices().stream().map(place -> freed(place, id, bytes)).toList(),
                machine.host().map(place -> freed(place, id, bytes)));
    }

    private static PlacementDevice freed(PlacementDevice place, String id, long bytes) {
        return place.id().equals(id)
                ? PlacementDevice.of(id, place.usableBytes() + bytes).withOccupied(place.occupiedBytes() - bytes)
                : place;
    }

    private static FootprintOptions chosen(FootprintOptions options, String text) {
        FootprintOptions.Builder other = options.toBuilder();
        if (text.contains("flash attention")) {
            other.flashAttention(true);
        }
        if (text.contains("q8_0 KV")) {
            other.kvTypes(DataType.Q8_0, DataType.Q8_0);
        }
        return other.build();
    }

    @Test
    void everyPromiseIsKept() throws IOException {
        Map<Counterfactual.Change, Integer> seen = new EnumMap<>(Counterfactual.Change.class);
        Map<PlacementGoal, Integer> goals = new EnumMap<>(PlacementGoal.class);
        for (String shape : List.of("tinyllama-1.1b", "gemma-2b", "mixtral-8x7b")) {
            Path path = folder.resolve(shape + ".gguf");
            GgufSynthesizer.of(ModelShape.named(shape), DataType.Q8_0, 1).writeSparse(path);
            ModelFile file = ModelFile.read(path);
            FootprintOptions options =
                    FootprintOptions.builder().contextLength(8192).build();
            long total = file.footprint(options).totalBytes();
            for (long seed = 0; seed < CASES; seed++) {
                PlacementMachine machine = machine(new Random(seed), total);
                Placement placement = FootprintPlacement.plan(file, options, machine);
                for (Counterfactual change : placement.counterfactuals()) {
                    String which = shape + ", seed " + seed + ": " + change;
                    PlacementGoal goal = change.goal();
                    seen.merge(change.change(), 1, Integer::sum);
                    goals.merge(goal, 1, Integer::sum);
                    boolean tight = goal == PlacementGoal.DEVICES;
                    switch (change.change()) {
                        case CONTEXT -> {
                            long context = change.context().orElseThrow();
                            FootprintOptions shorter =
                                    options.toBuilder().contextLength(context).build();
                            assertThat(meets(file, shorter, machine, goal))
                                    .as(which)
                                    .isTrue();
                            FootprintOptions longer = options.toBuilder()
                                    .contextLength(context + 256)
                                    .build();
                            assertThat(tight && meets(file, longer, machine, goal))
                                    .as(which)
                                    .isFalse();
                        }
                        case CHOICE ->
                            assertThat(meets(file, chosen(options, change.text()), machine, goal))
                                    .as(which)
                                    .isTrue();
                        case FREE -> {
                            String id = change.deviceId().orElseThrow();
                            long bytes = change.bytes().orElseThrow();
                            assertThat(meets(file, options, freed(machine, id, bytes), goal))
                                    .as(which)
                                    .isTrue();
                            long less = Math.max(0, bytes - Math.max(MIB, bytes > 1 << 30 ? (1 << 30) / 100 + 1 : 0));
                            assertThat(tight && meets(file, options, freed(machine, id, less), goal))
                                    .as(which)
                                    .isFalse();
                        }
                    }
                }
            }
        }
        assertThat(seen).containsKeys(Counterfactual.Change.values());
        assertThat(goals).containsKeys(PlacementGoal.DEVICES, PlacementGoal.ANYWHERE);
    }
}
