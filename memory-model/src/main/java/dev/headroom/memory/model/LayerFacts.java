package dev.headroom.memory.model;

/**
 * What one layer remembers of the tokens it has seen. Layers that are alike share one instance.
 *
 * @param cache what its KV cache is like
 * @param heads query heads; 0 where the layer has no attention
 * @param headsKv key and value heads
 * @param keyLength values of one key
 * @param valueLength values of one value
 * @param stateValues values of its recurrent state, for one sequence; 0 in a layer that has none
 */
record LayerFacts(Cache cache, long heads, long headsKv, long keyLength, long valueLength, long stateValues) {

    /** What a layer's KV cache is like. */
    enum Cache {
        /** One cell for each token of the context. */
        FULL,
        /** One cell for each token of the window, and of the batch under way. */
        WINDOW,
        /** Keys and values packed into one latent vector for each token. */
        LATENT,
        /** None: no attention, or the cache of an earlier layer, or another context's. */
        NONE
    }

    /** Whether these facts say the same; lengths follow from them. */
    boolean is(Cache otherCache, long otherHeads, long otherHeadsKv, long otherStateValues) {
        return cache == otherCache && heads == otherHeads && headsKv == otherHeadsKv && stateValues == otherStateValues;
    }

    boolean hasCache() {
        return cache != Cache.NONE;
    }
}
