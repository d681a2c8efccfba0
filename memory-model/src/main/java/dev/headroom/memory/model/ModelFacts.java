package dev.headroom.memory.model;

import java.util.List;
import java.util.Optional;

/**
 * What a model's memory depends on, whichever format said so.
 *
 * @param architecture what the file calls it
 * @param known whether there are rules for this architecture; if not, the generic ones were applied
 * @param encoder whether it reads whole texts and needs no memory between calls
 * @param contextLength tokens it was trained for; 0 if unknown
 * @param vocabulary rows of the output matrix; 0 if there is none
 * @param embedding width of the residual stream
 * @param feedForward widest feed-forward part a token passes through, experts counted as often as they are used
 * @param window tokens a window layer looks back on; 0 if there is none
 * @param layers one for each block, those of draft heads included
 * @param latent how the cache of latent layers is laid out, if there are any
 */
record ModelFacts(
        String architecture,
        boolean known,
        boolean encoder,
        long contextLength,
        long vocabulary,
        long embedding,
        long feedForward,
        long window,
        List<LayerFacts> layers,
        Optional<Latent> latent) {

    /** A number no count of a real model comes near, so that products of three of them fit in a long. */
    static final long MAX_COUNT = 1L << 31;

    /** Real models have up to 200. Bounded because an announced layer costs memory here and nothing in a file. */
    static final long MAX_LAYERS = 4096;

    ModelFacts {
        layers = List.copyOf(layers);
    }

    /**
     * The cache of multi-head latent attention (DeepSeek V2 and its kin).
     *
     * @param rank values of the latent vector, {@code kv_lora_rank}
     * @param ropeLength values with positions beside it, {@code qk_rope_head_dim}
     * @param keyLength values of a key once expanded
     * @param valueLength values of a value once expanded
     * @param expandedByDefault whether the file was made for engines that expand
     */
    record Latent(long rank, long ropeLength, long keyLength, long valueLength, boolean expandedByDefault) {
        /** Values of the query and of the result of one head, when both are computed on latent vectors. */
        long absorbedWidth() {
            return 2 * rank + ropeLength;
        }
    }

    /** The most query heads of any layer that attends. */
    long heads() {
        return layers.stream()
                .filter(LayerFacts::hasCache)
                .mapToLong(LayerFacts::heads)
                .max()
                .orElse(0);
    }

    boolean hasWindows() {
        return layers.stream().anyMatch(layer -> layer.cache() == LayerFacts.Cache.WINDOW);
    }

    boolean hasState() {
        return layers.stream().anyMatch(layer -> layer.stateValues() > 0);
    }
}
