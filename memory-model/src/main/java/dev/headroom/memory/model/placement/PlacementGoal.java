package dev.headroom.memory.model.placement;

/** How good a placement has to be. */
public enum PlacementGoal {
    /** Every layer on one device. */
    ONE_DEVICE,
    /** Every layer, and its experts, on devices. */
    DEVICES,
    /** Anywhere, the host included. */
    ANYWHERE;

    /** Whether a placement is as good. */
    boolean isMetBy(PlacementKind kind) {
        return switch (this) {
            case ONE_DEVICE -> kind == PlacementKind.ONE_DEVICE;
            case DEVICES -> kind == PlacementKind.ONE_DEVICE || kind == PlacementKind.SPLIT;
            case ANYWHERE -> kind != PlacementKind.NOWHERE;
        };
    }
}
