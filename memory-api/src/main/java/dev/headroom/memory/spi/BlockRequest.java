package dev.headroom.memory.spi;

import dev.headroom.memory.MemoryKind;

/**
 * A request for one block. The engine has rounded the size to the granularity and checked it against the largest block.
 *
 * @param byteSize      how many bytes, above 0
 * @param byteAlignment the alignment in bytes, a power of two and at least the kind's base alignment
 * @param kind          a supported kind
 * @param name          a name for the driver's debugging tools
 */
public record BlockRequest(long byteSize, long byteAlignment, MemoryKind kind, String name) {}
