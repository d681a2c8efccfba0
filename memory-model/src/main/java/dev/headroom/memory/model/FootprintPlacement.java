package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintOptions.Overhead;
import dev.headroom.memory.model.FootprintTerm.Kind;
import dev.headroom.memory.model.placement.ContextRange;
import dev.headroom.memory.model.placement.Counterfactual;
import dev.headroom.memory.model.placement.LayerBytes;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementGoal;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementModel;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.model.placement.PlacementRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Places a model by its footprint: the high end of every term, where the engine would have it.
 *
 * {@snippet lang = java :
 * Placement placement = FootprintPlacement.plan(ModelFile.read(path), FootprintOptions.defaults(), machine);
 * System.out.println(placement.explain());
 * }
 *
 * <p>On one device the shares come to the totals of the {@link ModelFootprint}. Over several places compute and overhead are
 * counted on each device, and what a divided model needs besides is counted too: room on the device for the largest weight of
 * the host. An embedding that is the output matrix as well is counted once where both lie at the same place, and twice
 * where they do not, as llama.cpp does: it loads a second copy only if the embedding stays on the host and the output is
 * on a device. A placement on the host alone counts everything as one memory.
 */
public final class FootprintPlacement {

    private static final long CELLS = KvCache.CELLS;

    private final ModelFile file;
    private final FootprintOptions options;
    private final PlacementMachine machine;
    private final Optional<PlacementDevice> host;
    private final int count;
    private final boolean outputStays;
    /** Whether the answer is to say what would make a better one possible. */
    private final boolean withChanges;

    private FootprintPlacement(
            ModelFile file, FootprintOptions options, PlacementMachine machine, boolean withChanges) {
        this.file = file;
        this.withChanges = withChanges;
        this.options = options;
        this.count = file.layers();
        this.outputStays =
                options.gpuLayers().isPresent() && options.gpuLayers().getAsLong() <= count;
        long overhead = file.footprint(options).highBytes(Kind.OVERHEAD);
        this.machine = new PlacementMachine(
                machine.devices().stream()
                        .map(device -> device.withOverhead(Saturated.plus(device.overheadBytes(), overhead))
                                .withMargin(options.marginBytes()))
                        .toList(),
                machine.host().map(place -> place.withOverhead(0)));
        this.host = machine.host();
    }

    /** How far a model is taken apart. */
    private enum Form {
        /** All on devices, but for what the engine keeps in host memory. */
        WHOLE,
        /** Over devices and the host. */
        DIVIDED
    }

    /**
     * Finds the best place of every part, and what would make a better one possible: a shorter context, flash attention and
     * another type of the cache, memory freed.
     *
     * @param file the model
     * @param options how it will be run. With {@code gpuLayers} no more layers go to devices, and the output does not unless
     *     it is counted; with {@code onHost} devices are not used
     * @param machine the places with what is usable and occupied there. Margins are set from the options, and a driver's
     *     context is added to the overhead of the devices: what is there already is for what was learned from loads. That of
     *     the host counts where the host holds everything
     * @return the answer; also where there is no room
     * @throws IllegalArgumentException if the options and the model do not go together
     */
    public static Placement plan(ModelFile file, FootprintOptions options, PlacementMachine machine) {
        return new FootprintPlacement(file, options, machine, true).plan();
    }

    private Placement plan() {
        if (options.onHost()) {
            return onHost();
        }
        Placement devices = ask(Form.WHOLE, policy().withoutHostLayers());
        if (devices.fits()) {
            return devices;
        }
        Placement divided = ask(Form.DIVIDED, policy());
        if (divided.kind() == PlacementKind.HOST || !divided.fits()) {
            Placement host = onHost();
            divided = host.fits() || divided.fits() ? host : divided;
        }
        List<Counterfactual> changes = new ArrayList<>();
        devices.counterfactuals().stream()
                .filter(change -> change.goal() == PlacementGoal.DEVICES)
                .forEach(changes::add);
        // Of what is divided the host's share is counted otherwise than of what lies there as a whole, so these are
        // tried.
        divided.counterfactuals().stream()
                .filter(change -> change.goal() == PlacementGoal.ANYWHERE && isTrue(change))
                .forEach(changes::add);
        return with(divided, divided.outputDeviceId(), changes);
    }

    /** Whether the model fits somewhere after a change. */
    private boolean isTrue(Counterfactual change) {
        FootprintOptions then = options;
        if (change.context().isPresent()) {
            then = options.toBuilder()
                    .contextLength(change.context().getAsLong())
                    .build();
        }
        for (Alternative alternative : alternatives()) {
            boolean meant = change.change() == Counterfactual.Change.CHOICE
                    && change.text().startsWith("fits with " + alternative.name() + ",");
            then = meant ? alternative.options() : then;
        }
        PlacementMachine freed = new PlacementMachine(
                machine.devices().stream().map(place -> after(change, place)).toList(),
                machine.host().map(place -> after(change, place)));
        return new FootprintPlacement(file, then, freed, false).plan().fits();
    }

    /** A place after a change, with nothing more to be freed. */
    private static PlacementDevice after(Counterfactual change, PlacementDevice place) {
        boolean here = change.deviceId().filter(place.id()::equals).isPresent();
        long more = here ? change.bytes().orElse(0) : 0;
        return new PlacementDevice(
                place.id(), Saturated.plus(place.usableBytes(), more), place.marginBytes(), place.overheadBytes(), 0);
    }

    private PlacementPolicy policy() {
        PlacementPolicy policy = PlacementPolicy.defaults();
        return outputStays
                ? policy.withMaxDeviceLayers((int) options.gpuLayers().getAsLong())
                : policy;
    }

    private Placement ask(Form form, PlacementPolicy policy) {
        PlacementRequest request =
                PlacementRequest.of(model(form, options), machine).with(policy);
        long context = file.footprint(options).contextLength();
        if (withChanges && context > CELLS) {
            request = request.withContext(new ContextRange(
                    tokens -> model(
                            form, options.toBuilder().contextLength(tokens).build()),
                    CELLS,
                    context,
                    CELLS));
        }
        for (Alternative alternative : withChanges ? alternatives() : List.<Alternative>of()) {
            Optional<PlacementModel> other = tryModel(form, alternative.options());
            if (other.isPresent()) {
                request = request.withChoice(alternative.name(), other.get());
            }
        }
        Placement placement = PlacementPlanner.plan(request);
        return outputStays && placement.fits()
                ? with(placement, placement.embeddingDeviceId(), placement.counterfactuals())
                : placement;
    }

    private record Alternative(String name, FootprintOptions options) {}

    /** What may be chosen otherwise without another model or another context. */
    private List<Alternative> alternatives() {
        List<Alternative> all = new ArrayList<>();
        FootprintOptions flash = options.toBuilder().flashAttention(true).build();
        String suffix = "";
        if (!options.flashAttention()) {
            all.add(new Alternative("flash attention", flash));
            suffix = " and flash attention";
        }
        DataType key = smaller(options.keyType());
        DataType value = smaller(options.valueType());
        if (key != options.keyType() || value != options.valueType()) {
            all.add(new Alternative(
                    "q8_0 KV" + suffix, flash.toBuilder().kvTypes(key, value).build()));
        }
        return all;
    }

    private static DataType smaller(DataType type) {
        return type.isBlockType() ? type : DataType.Q8_0;
    }

    /** Empty where the rows of a cache cannot be kept so. */
    private Optional<PlacementModel> tryModel(Form form, FootprintOptions other) {
        try {
            return Optional.of(model(form, other));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    private PlacementModel model(Form form, FootprintOptions as) {
        WeightFacts weights = file.weights();
        boolean somewhereElse = form == Form.DIVIDED && !outputStays;
        ModelFootprint footprint = file.footprint(
                somewhereElse ? as.toBuilder().gpuLayers(count - 1L).build() : as);
        PlacementModel.Builder model = PlacementModel.builder();
        long compute = footprint.highBytes(Kind.COMPUTE);
        long hostCompute = footprint.highBytes(Kind.HOST_COMPUTE);
        if (machine.host().isEmpty()) {
            compute = Saturated.plus(compute, hostCompute);
        }
        addLayers(model, footprint);
        long logits = footprint.highBytes(Kind.OUTPUT);
        long embedding = high(Saturated.plus(weights.embedding(), weights.hostOnly()));
        if (outputStays) {
            // Logits are handed over by devices all the same.
            model.embedding(capped(Saturated.plus(embedding, high(weights.output()))), true);
            compute = Saturated.plus(compute, logits);
        } else {
            long tied = weights.tied() ? high(weights.embedding()) : 0;
            model.embedding(capped(embedding), weights.embeddingOnHost())
                    .output(capped(Saturated.plus(high(weights.output()), tied, logits)))
                    .tied(capped(tied));
        }
        return model.compute(capped(compute), capped(hostCompute)).build();
    }

    private Placement onHost() {
        FootprintOptions as =
                options.toBuilder().onHost(true).overhead(Overhead.NONE).build();
        ModelFootprint footprint = file.footprint(as);
        WeightFacts weights = file.weights();
        PlacementModel.Builder model = PlacementModel.builder();
        addLayers(model, footprint);
        long rest = Saturated.plus(weights.embedding(), weights.hostOnly(), weights.output());
        model.output(capped(Saturated.plus(high(rest), footprint.highBytes(Kind.OUTPUT))))
                .compute(0, capped(footprint.highBytes(Kind.COMPUTE)));
        Optional<PlacementDevice> alone = host.map(place -> place.withMargin(options.marginBytes()));
        return PlacementPlanner.plan(PlacementRequest.of(model.build(), new PlacementMachine(List.of(), alone)));
    }

    private void addLayers(PlacementModel.Builder model, ModelFootprint footprint) {
        WeightFacts weights = file.weights();
        for (int i = 0; i < count; i++) {
            ModelFootprint.Layer layer = footprint.layers().get(i);
            long experts = weights.experts()[i];
            model.layer(new LayerBytes(
                    capped(high(layer.weightBytes() - experts)),
                    capped(high(experts)),
                    capped(layer.kvCacheBytes()),
                    capped(layer.stateBytes())));
        }
    }

    /** Rounded up, so that the parts together are no less than the whole. */
    private long high(long bytes) {
        int percent = file.weights().highPercent();
        return percent == 100 ? bytes : Saturated.plus(ModelFootprint.percent(bytes, percent), 1);
    }

    /** More than any machine has, and so little that the parts of a model can be added up. */
    private long capped(long bytes) {
        return Math.min(bytes, Long.MAX_VALUE / (8L * (count + 4)));
    }

    private static Placement with(Placement placement, Optional<String> output, List<Counterfactual> changes) {
        return new Placement(
                placement.kind(),
                placement.split(),
                placement.layers(),
                placement.embeddingDeviceId(),
                output,
                placement.shares(),
                placement.shortBytes(),
                changes);
    }
}
