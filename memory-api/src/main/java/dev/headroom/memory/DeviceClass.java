package dev.headroom.memory;

import java.util.Locale;

/**
 * What sort of thing a device is, in the order selection prefers them: real hardware before a CPU that poses as a GPU,
 * and the host last.
 */
public enum DeviceClass {
    /** A card with memory of its own. */
    DISCRETE,
    /** A slice of a card handed to a virtual machine. */
    VIRTUAL,
    /** A GPU that shares memory with the host. */
    INTEGRATED,
    /** A CPU behind a GPU interface, such as PoCL or llvmpipe. */
    CPU,
    /** Host memory itself, without any GPU interface. */
    HOST;

    /**
     * The name used in reports and JSON.
     *
     * @return the lower-case name
     */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
