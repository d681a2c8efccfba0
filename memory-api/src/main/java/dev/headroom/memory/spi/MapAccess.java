package dev.headroom.memory.spi;

/** What the host will do with a mapping. */
public enum MapAccess {
    /** Only read. */
    READ,
    /** Overwrite every byte; the old contents need not be brought over. */
    WRITE_DISCARD,
    /** Read and write. */
    READ_WRITE
}
