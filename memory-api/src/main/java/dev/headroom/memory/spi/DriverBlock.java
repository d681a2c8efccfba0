package dev.headroom.memory.spi;

import dev.headroom.memory.MemoryKind;

/**
 * What a driver gave: one raw allocation, or one reserved address range. Opaque to the engine; the backend casts it back
 * to its own class.
 */
public interface DriverBlock {

    /**
     * The size of the block, or of the reserved range.
     *
     * @return bytes
     */
    long byteSize();

    /**
     * What the block was asked for.
     *
     * @return the kind
     */
    MemoryKind kind();
}
