package dev.headroom.memory.model.placement;

import java.util.Locale;

/** What sort of answer a placement is, from the best to none. */
public enum PlacementKind {
    /** All layers on one device. */
    ONE_DEVICE,
    /** All layers on several devices. */
    SPLIT,
    /** All layers on devices, the experts of some on the host. */
    EXPERTS_ON_HOST,
    /** Some layers on devices, the rest on the host. */
    PARTLY_ON_HOST,
    /** All layers on the host. */
    HOST,
    /** There is no room for all parts. */
    NOWHERE;

    /**
     * The name used in JSON.
     *
     * @return the lower-case name with dashes
     */
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
