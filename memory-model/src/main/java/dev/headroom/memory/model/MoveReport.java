package dev.headroom.memory.model;

import java.util.List;

/**
 * What moving tensors came to.
 *
 * @param moved the tensors that were moved, in that order
 * @param movedBytes their bytes
 * @param refused those that stayed although they should have moved
 */
public record MoveReport(List<String> moved, long movedBytes, List<Refusal> refused) {

    /**
     * A tensor that stayed where it was, unchanged.
     *
     * @param tensor its name
     * @param reason why, in words
     */
    public record Refusal(String tensor, String reason) {}

    /** Copies the lists. */
    public MoveReport {
        moved = List.copyOf(moved);
        refused = List.copyOf(refused);
    }
}
