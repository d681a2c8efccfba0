package dev.headroom.memory;

/**
 * Where the bytes of a buffer live.
 *
 * <p>The name of a constant is also its text: {@code GPU}, {@code CPU}.
 */
public enum BufferLocation {
    /** In memory that belongs to a device pool. */
    GPU,
    /** In host memory: the pool of the {@code cpu} backend, or a buffer that fell back to it. */
    CPU
}
