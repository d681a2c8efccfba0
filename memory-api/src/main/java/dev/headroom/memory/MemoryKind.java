package dev.headroom.memory;

import java.util.Locale;

/** What memory is for, seen from the program; each backend maps a kind to its own call. */
public enum MemoryKind {
    /** Fast memory for kernels. The host reaches it only through copies, unless the device says otherwise. */
    DEVICE,
    /** The host writes, the device reads: staging for uploads. */
    UPLOAD,
    /** The device writes, the host reads: staging for downloads. */
    READBACK,
    /** Both sides reach the same bytes without a copy. */
    UNIFIED;

    /**
     * The name used in reports and JSON.
     *
     * @return the lower-case name
     */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
