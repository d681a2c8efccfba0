package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintOptions.LatentCache;

/**
 * The bytes of keys and values, layer by layer.
 *
 * <p>A layer holds {@code cells x headsKv x (keyLength x bytes(keyType) + valueLength x bytes(valueType))} for each
 * stream. Every sequence is a stream with an equal share of the context, rounded up to {@value #CELLS} cells on its own; a
 * window layer holds the window and one batch, rounded likewise, if that is less. A unified cache is one stream with the whole
 * context, whose window layers hold a window for each sequence. After llama.cpp, which rounds the context before it is shared
 * out too; builds before November 2025 rounded to 32 without flash attention.
 */
final class KvCache {

    /** Cells are counted in steps of this. */
    static final long CELLS = 256;

    private static final long F32_BYTES = 4;

    private final ModelFacts facts;
    private final FootprintOptions options;
    private final long streams;
    private final long cells;
    private final long windowCells;

    KvCache(ModelFacts facts, FootprintOptions options, long context, long ubatch) {
        this.facts = facts;
        this.options = options;
        this.streams = options.unifiedCache() ? 1 : options.sequences();
        this.cells = Saturated.roundUp(Math.max(1, Saturated.roundUp(context, CELLS) / streams), CELLS);
        long windows = Saturated.times(facts.window(), options.unifiedCache() ? options.sequences() : 1);
        long reached = Saturated.roundUp(Saturated.plus(windows, ubatch), CELLS);
        this.windowCells = options.fullWindows() ? cells : Math.min(cells, reached);
    }

    /** Cells of a stream in a layer that attends in full. */
    long cells() {
        return cells;
    }

    /** Cells of all streams in a layer that attends in full. */
    long allCells() {
        return Saturated.times(cells, streams);
    }

    /** The most cells of a stream in any layer: what the score matrix and the mask are as wide as. */
    long widest() {
        return facts.layers().stream()
                .filter(LayerFacts::hasCache)
                .mapToLong(this::cells)
                .max()
                .orElse(0);
    }

    private long cells(LayerFacts layer) {
        return layer.cache() == LayerFacts.Cache.WINDOW ? windowCells : cells;
    }

    LatentCache latentLayout() {
        if (options.latentCache() != LatentCache.BY_FILE) {
            return options.latentCache();
        }
        return facts.latent().isPresent() && facts.latent().get().expandedByDefault()
                ? LatentCache.EXPANDED
                : LatentCache.LATENT;
    }

    /** Keys and values of one layer for all sequences. */
    long bytes(LayerFacts layer) {
        return bytes(layer, latentLayout());
    }

    long bytes(LayerFacts layer, LatentCache layout) {
        if (!layer.hasCache() || (facts.encoder() && !options.encoderCache())) {
            return 0;
        }
        long perCell = layer.cache() == LayerFacts.Cache.LATENT
                ? latentCell(layer, facts.latent().orElseThrow(), layout)
                : Saturated.plus(
                        row(options.keyType(), layer.headsKv(), layer.keyLength(), "keys"),
                        row(options.valueType(), layer.headsKv(), layer.valueLength(), "values"));
        return Saturated.times(perCell, cells(layer), streams);
    }

    private long latentCell(LayerFacts layer, ModelFacts.Latent latent, LatentCache layout) {
        if (layout == LatentCache.EXPANDED) {
            return Saturated.plus(
                    row(options.keyType(), layer.heads(), latent.keyLength(), "keys"),
                    row(options.valueType(), layer.heads(), latent.valueLength(), "values"));
        }
        long key = row(options.keyType(), 1, latent.rank() + latent.ropeLength(), "latent keys");
        return layout == LatentCache.LATENT_KEY_ONLY
                ? key
                : Saturated.plus(key, row(options.valueType(), 1, latent.rank(), "latent values"));
    }

    /**
     * What values may take more: without flash attention they lie crosswise, and newer engines then make every layer's as wide
     * as the widest.
     */
    long widestValues() {
        long widest = 0;
        for (LayerFacts layer : facts.layers()) {
            if (layer.hasCache() && layer.cache() != LayerFacts.Cache.LATENT) {
                widest = Math.max(widest, Saturated.times(layer.headsKv(), layer.valueLength()));
            }
        }
        long more = 0;
        for (LayerFacts layer : facts.layers()) {
            if (layer.hasCache() && layer.cache() != LayerFacts.Cache.LATENT) {
                long missing = widest - Saturated.times(layer.headsKv(), layer.valueLength());
                long perCell = Saturated.times(missing, options.valueType().bytesPerBlock());
                more = Saturated.plus(more, Saturated.times(perCell, cells(layer), streams));
            }
        }
        return options.flashAttention() || facts.encoder() ? 0 : more;
    }

    /** The state of one layer for all sequences: single precision, whatever the weights are. */
    long stateBytes(LayerFacts layer) {
        return Saturated.times(layer.stateValues(), F32_BYTES, options.sequences(), 1 + options.stateCopies());
    }

    private static long row(DataType type, long heads, long length, String what) {
        long values = Saturated.times(heads, length);
        if (values % type.valuesPerBlock() != 0) {
            throw new IllegalArgumentException(what + " cannot be kept as " + type + ": a row of " + heads + " x "
                    + length + " values is no multiple of " + type.valuesPerBlock() + ", its block; use F16");
        }
        return Saturated.times(values / type.valuesPerBlock(), type.bytesPerBlock());
    }
}
