package dev.headroom.memory.benchmarks;

/** Something that hands out ranges of an address space and touches no memory. */
interface RangePolicy {

    /** What {@link #allocate} returns if there is no room. */
    long NONE = -1;

    /** Returns a number, 0 or more, by which the range is freed, or {@link #NONE}. */
    long allocate(long bytes);

    /** Frees a range. */
    void free(long number);

    /** Bytes taken from the device now; of a policy that knows no device, up to the highest address it ever used. */
    long reservedBytes();
}
