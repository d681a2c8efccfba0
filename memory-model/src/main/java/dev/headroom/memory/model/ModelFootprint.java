package dev.headroom.memory.model;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.model.FootprintOptions.LatentCache;
import dev.headroom.memory.model.FootprintOptions.Overhead;
import dev.headroom.memory.model.FootprintTerm.Certainty;
import dev.headroom.memory.model.FootprintTerm.Kind;
import dev.headroom.memory.model.calibration.Correction;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;

/**
 * What a model needs on a device and beside it, term by term, with how sure each term is.
 *
 * {@snippet lang = java :
 * ModelFootprint footprint = ModelFile.read(path).footprint(FootprintOptions.defaults());
 * GpuDevice device = memory.selectBackendForModel(footprint.totalBytes());
 * }
 *
 * <p>Weights, KV cache and state follow from the header. Compute is bracketed, overhead guessed. Totals use the high end.
 * Figures beyond {@link Long#MAX_VALUE} are cut off there: no arithmetic fails, and nothing is that large.
 *
 * <p>Immutable; may be used by any thread.
 */
public final class ModelFootprint {

    /** As measured for CUDA contexts with the kernels of an engine. */
    private static final long LEAST_CONTEXT = 150L << 20;

    private static final long MOST_CONTEXT = 500L << 20;

    private final FootprintOptions options;
    private final long contextLength;
    private final long gpuLayers;
    private final List<FootprintTerm> terms;
    private final List<Layer> layers;
    private final List<String> remarks;

    private ModelFootprint(
            FootprintOptions options,
            long contextLength,
            long gpuLayers,
            List<FootprintTerm> terms,
            List<Layer> layers,
            List<String> remarks) {
        this.options = options;
        this.contextLength = contextLength;
        this.gpuLayers = gpuLayers;
        this.terms = List.copyOf(terms);
        this.layers = List.copyOf(layers);
        this.remarks = List.copyOf(remarks);
    }

    /**
     * What one block needs wherever it lies.
     *
     * @param weightBytes its weights
     * @param kvCacheBytes its keys and values for all sequences
     * @param stateBytes its recurrent state for all sequences
     */
    public record Layer(long weightBytes, long kvCacheBytes, long stateBytes) {}

    /** Computes the footprint; throws IllegalArgumentException if options and model do not go together. */
    static ModelFootprint of(ModelFacts facts, WeightFacts weights, FootprintOptions options) {
        long trained = facts.contextLength() > 0 ? facts.contextLength() : FootprintOptions.DEFAULT_CONTEXT;
        long context = options.contextLength().orElse(Math.min(trained, FootprintOptions.DEFAULT_CONTEXT));
        long ubatch = Math.min(Math.min(options.ubatch(), options.batch()), context);
        int count = facts.layers().size();
        long gpuLayers =
                options.onHost() ? count + 1L : Math.min(options.gpuLayers().orElse(count + 1L), count + 1L);
        KvCache cache = new KvCache(facts, options, context, ubatch);
        List<FootprintTerm> terms = new ArrayList<>();

        boolean outputHere = weights.hasOutput(gpuLayers);
        boolean whole = options.onHost() || (outputHere && !weights.embeddingOnHost());
        addWeights(terms, weights, gpuLayers, options.onHost());

        List<Layer> layers = new ArrayList<>();
        IdentityHashMap<LayerFacts, Layer> known = new IdentityHashMap<>();
        long kv = 0;
        long hostKv = 0;
        long state = 0;
        long hostState = 0;
        for (int i = 0; i < count; i++) {
            LayerFacts own = facts.layers().get(i);
            // Thousands of layers that are alike cost what one does.
            Layer layer = known.get(own);
            if (layer == null || layer.weightBytes() != weights.layers()[i]) {
                layer = new Layer(weights.layers()[i], cache.bytes(own), cache.stateBytes(own));
                known.put(own, layer);
            }
            layers.add(layer);
            if (i >= weights.firstOnDevice(gpuLayers)) {
                kv = Saturated.plus(kv, layer.kvCacheBytes());
                state = Saturated.plus(state, layer.stateBytes());
            } else {
                hostKv = Saturated.plus(hostKv, layer.kvCacheBytes());
                hostState = Saturated.plus(hostState, layer.stateBytes());
            }
        }
        addCache(terms, facts, cache, kv, hostKv);
        String stateReason = facts.hasState() ? "single precision, independent of the context" : "no recurrent layers";
        terms.add(FootprintTerm.exact(Kind.STATE, state, stateReason));
        if (hostState > 0) {
            terms.add(FootprintTerm.exact(Kind.HOST_STATE, hostState, stateReason));
        }

        long copied =
                whole || weights.onHost(gpuLayers) <= weights.embedding() + weights.hostOnly() ? 0 : weights.largest();
        ComputeBuffer compute = ComputeBuffer.of(facts, options, cache, ubatch, outputHere, copied);
        addCompute(terms, compute, options, ubatch, copied);
        addOutput(terms, facts, options);
        addOverhead(terms, options);
        terms.add(FootprintTerm.exact(
                Kind.MARGIN,
                options.marginBytes(),
                options.marginBytes() == 0 ? "none here: devices are judged with a margin of their own" : "as asked"));
        return new ModelFootprint(
                options, context, gpuLayers, terms, layers, remarks(facts, options, context, trained, cache));
    }

    private static void addWeights(List<FootprintTerm> terms, WeightFacts weights, long gpuLayers, boolean onHost) {
        long device = onHost ? weights.total() : weights.onDevice(gpuLayers);
        terms.add(new FootprintTerm(
                Kind.WEIGHTS,
                device,
                percent(device, weights.lowPercent()),
                percent(device, weights.highPercent()),
                weights.certainty(),
                weights.reason()));
        long host = onHost ? 0 : weights.onHost(gpuLayers);
        if (host > 0) {
            terms.add(new FootprintTerm(
                    Kind.HOST_WEIGHTS,
                    host,
                    percent(host, weights.lowPercent()),
                    percent(host, weights.highPercent()),
                    weights.certainty(),
                    weights.hasOutput(gpuLayers)
                            ? "the token embedding stays in host memory"
                            : "the blocks and tables that are not on the device"));
        }
    }

    private static void addCache(List<FootprintTerm> terms, ModelFacts facts, KvCache cache, long kv, long hostKv) {
        Certainty certainty = Certainty.EXACT;
        long low = kv;
        String reason = facts.layers().stream().filter(LayerFacts::hasCache).count() + " of "
                + facts.layers().size() + " layers hold keys and values";
        if (facts.encoder()) {
            reason = kv == 0 ? "an encoder keeps none" : "as engines before 2025 gave encoders one";
        } else if (facts.latent().isPresent() && cache.latentLayout() == LatentCache.LATENT) {
            // Engines differ in whether the latent vector is stored a second time as value.
            certainty = Certainty.BOUNDED;
            low = 0;
            for (LayerFacts layer : facts.layers()) {
                low = Saturated.plus(low, cache.bytes(layer, LatentCache.LATENT_KEY_ONLY));
            }
            low = Math.min(kv, low);
            reason = "latent; engines that keep no second copy as values need the low figure";
        } else if (!facts.known()) {
            certainty = Certainty.GUESSED;
            low = 0;
            reason = "unknown architecture: every layer with heads counted in full";
        }
        terms.add(new FootprintTerm(Kind.KV_CACHE, kv, low, kv, certainty, reason));
        if (hostKv > 0) {
            terms.add(new FootprintTerm(
                    Kind.HOST_KV_CACHE,
                    hostKv,
                    certainty == Certainty.EXACT ? hostKv : 0,
                    hostKv,
                    certainty,
                    "of the layers that are not on the device"));
        }
    }

    private static void addCompute(
            List<FootprintTerm> terms, ComputeBuffer compute, FootprintOptions options, long ubatch, long copied) {
        terms.add(new FootprintTerm(
                Kind.COMPUTE,
                compute.bytes(),
                Math.min(compute.lowBytes(), compute.bytes()),
                Math.max(compute.highBytes(), compute.bytes()),
                Certainty.BOUNDED,
                (options.flashAttention() ? "with" : "without") + " flash attention, " + ubatch + " tokens at once"
                        + (copied > 0 ? ", and room for the largest weight of the host" : "")));
        if (!options.onHost()) {
            terms.add(new FootprintTerm(
                    Kind.HOST_COMPUTE,
                    compute.hostBytes(),
                    0,
                    compute.hostBytes(),
                    Certainty.GUESSED,
                    "mask and input embeddings, pinned"));
        }
    }

    private static void addOutput(List<FootprintTerm> terms, ModelFacts facts, FootprintOptions options) {
        long perSequence = Saturated.times(facts.encoder() ? facts.embedding() : facts.vocabulary(), 4);
        long bytes = Saturated.times(perSequence, options.sequences());
        terms.add(new FootprintTerm(
                Kind.OUTPUT,
                bytes,
                bytes,
                Saturated.plus(bytes, Saturated.times(facts.embedding(), 4, options.sequences())),
                Certainty.BOUNDED,
                "one row of " + (facts.encoder() ? "embeddings" : "logits")
                        + " for each sequence; more if every token's are wanted"));
    }

    private static void addOverhead(List<FootprintTerm> terms, FootprintOptions options) {
        if (options.onHost() || options.overhead() == Overhead.NONE) {
            terms.add(FootprintTerm.exact(
                    Kind.OVERHEAD, 0, options.onHost() ? "the host has none" : "no driver's context is opened for it"));
            return;
        }
        terms.add(new FootprintTerm(
                Kind.OVERHEAD,
                MOST_CONTEXT,
                LEAST_CONTEXT,
                MOST_CONTEXT,
                Certainty.GUESSED,
                "a driver's context and kernels; nothing where a context is open already"));
    }

    private static List<String> remarks(
            ModelFacts facts, FootprintOptions options, long context, long trained, KvCache cache) {
        List<String> remarks = new ArrayList<>();
        if (!facts.known()) {
            remarks.add("unknown architecture " + ModelFileException.quote(facts.architecture())
                    + ": generic rules applied");
        }
        if (facts.contextLength() > 0 && context > trained) {
            remarks.add("a context of " + context + " is more than the " + trained + " the model was trained for");
        }
        if (facts.hasWindows() && options.fullWindows()) {
            remarks.add("window layers hold the whole context, as asked");
        }
        if (cache.widestValues() > 0) {
            remarks.add("without flash attention, engines after mid-2025 make the values of all layers as wide as the"
                    + " widest: up to " + ByteSize.format(cache.widestValues()) + " more");
        }
        return remarks;
    }

    static long percent(long bytes, int percent) {
        return percent == 100
                ? bytes
                : Saturated.plus(Saturated.times(bytes / 100, percent), bytes % 100 * percent / 100);
    }

    /**
     * This footprint with what earlier loads have taught, as a term of its own in the total.
     *
     * @param correction what was learned for the device in question
     * @return a copy, in which it stands for anything learned before
     */
    public ModelFootprint withLearned(Correction correction) {
        List<FootprintTerm> more = new ArrayList<>(terms);
        more.removeIf(term -> term.kind() == Kind.LEARNED);
        more.add(new FootprintTerm(
                Kind.LEARNED,
                correction.bytes(),
                correction.lowBytes(),
                correction.highBytes(),
                Certainty.GUESSED,
                correction.reason()));
        return new ModelFootprint(options, contextLength, gpuLayers, more, layers, remarks);
    }

    /**
     * The options it was computed with.
     *
     * @return what was asked for
     */
    public FootprintOptions options() {
        return options;
    }

    /**
     * The tokens of context counted: what was asked for, or the default.
     *
     * @return 1 or more, for all sequences together
     */
    public long contextLength() {
        return contextLength;
    }

    /**
     * The blocks counted on the device; one more than there are if the output is there too.
     *
     * @return 0 or more
     */
    public long gpuLayers() {
        return gpuLayers;
    }

    /**
     * All terms, those in host memory included.
     *
     * @return an unmodifiable list, each kind at most once
     */
    public List<FootprintTerm> terms() {
        return terms;
    }

    /**
     * The likely bytes of one kind.
     *
     * @param kind which
     * @return its {@link FootprintTerm#bytes}, 0 if there is no such term
     */
    public long bytes(Kind kind) {
        return terms.stream()
                .filter(term -> term.kind() == kind)
                .mapToLong(FootprintTerm::bytes)
                .findFirst()
                .orElse(0);
    }

    /** The most bytes of one kind. */
    long highBytes(Kind kind) {
        return terms.stream()
                .filter(term -> term.kind() == kind)
                .mapToLong(FootprintTerm::highBytes)
                .findFirst()
                .orElse(0);
    }

    /**
     * What to have free on the device: the high ends of all terms that lie there.
     *
     * @return bytes
     */
    public long totalBytes() {
        return sum(false);
    }

    /**
     * What to have free in host memory beside the device: the high ends of all terms that lie there.
     *
     * @return bytes
     */
    public long hostTotalBytes() {
        return sum(true);
    }

    private long sum(boolean onHost) {
        return Saturated.plus(terms.stream()
                .filter(term -> term.kind().onHost() == onHost)
                .mapToLong(FootprintTerm::highBytes)
                .toArray());
    }

    /**
     * The blocks, those of draft heads included.
     *
     * @return an unmodifiable list in order
     */
    public List<Layer> layers() {
        return layers;
    }

    /**
     * What the reader should know about these figures.
     *
     * @return sentences without a final full stop, often none
     */
    public List<String> remarks() {
        return remarks;
    }

    @Override
    public String toString() {
        return totalBytes() + " bytes on the device, " + hostTotalBytes() + " in host memory";
    }
}
