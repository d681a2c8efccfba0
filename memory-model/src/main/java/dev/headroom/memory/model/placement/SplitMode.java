package dev.headroom.memory.model.placement;

import java.util.Locale;

/** How layers are distributed over several devices. Each device gets neighbouring layers where that is possible. */
public enum SplitMode {
    /** So that the fullest device is as little full as can be, by share of its room. Only if one device is not enough. */
    BALANCED,
    /** Device by device in the order given, each filled before the next is begun. Only if one device is not enough. */
    SEQUENTIAL,
    /** So that the device with the most bytes has as few as can be; over several devices even if one were enough. */
    SPREAD;

    /**
     * The name used in texts and JSON.
     *
     * @return the lower-case name
     */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
