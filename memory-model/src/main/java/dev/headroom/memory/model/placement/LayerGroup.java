package dev.headroom.memory.model.placement;

/**
 * Neighbouring layers that must lie together, such as layers that share a KV cache.
 *
 * @param first the first of them, from 0
 * @param last the last of them, above {@code first}
 */
public record LayerGroup(int first, int last) {

    /** Refuses ranges of less than two layers. */
    public LayerGroup {
        if (first < 0 || last <= first) {
            throw new IllegalArgumentException("layers " + first + " to " + last + " are no group of two or more");
        }
    }
}
