package dev.headroom.memory;

import java.util.Objects;

/**
 * The part of a device buffer that a buffer, view or slice stands for at this moment.
 *
 * @param buffer     the buffer that owns the memory
 * @param byteOffset where the part begins in it
 */
public record BufferRange(DeviceBuffer buffer, long byteOffset) {

    /** Refuses a range of nothing. */
    public BufferRange {
        Objects.requireNonNull(buffer, "buffer");
    }
}
