package dev.headroom.memory;

import java.util.Objects;
import java.util.Optional;

/**
 * What a buffer should be like. Immutable; start from {@link #of} and refine:
 * {@snippet :
 * AllocationRequest.of(64L << 20).aligned(4096).zeroed().tagged("kv cache");
 * }
 *
 * @param byteSize        how many bytes, above 0
 * @param byteAlignment   where it may begin in its block, in bytes: a power of two up to 2 MiB; drivers are asked for blocks
 *                        that begin at 2 MiB
 * @param kind            what the memory is for
 * @param zero            whether the contents are cleared; otherwise they are undefined
 * @param fallbackAllowed whether host memory may stand in, where the configuration allows it too
 * @param tag             a name for reports
 */
public record AllocationRequest(
        long byteSize,
        long byteAlignment,
        MemoryKind kind,
        boolean zero,
        boolean fallbackAllowed,
        Optional<String> tag) {

    /** The alignment of a buffer unless it asks for more, in bytes. */
    public static final long DEFAULT_ALIGNMENT = 256;

    /** The largest alignment a buffer can ask for, in bytes. */
    public static final long MAX_ALIGNMENT = 2L << 20;

    /** Refuses sizes and alignments no device could serve. */
    public AllocationRequest {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(tag, "tag");
        if (byteSize <= 0) {
            throw new IllegalArgumentException("byteSize is " + byteSize + ": must be above 0");
        }
        if (byteAlignment <= 0 || Long.bitCount(byteAlignment) != 1 || byteAlignment > MAX_ALIGNMENT) {
            throw new IllegalArgumentException(
                    "byteAlignment is " + byteAlignment + ": must be a power of two from 1 to " + MAX_ALIGNMENT);
        }
    }

    /**
     * Device memory of a size, with the default alignment.
     *
     * @param byteSize how many bytes, above 0
     * @return the request
     */
    public static AllocationRequest of(long byteSize) {
        return new AllocationRequest(byteSize, DEFAULT_ALIGNMENT, MemoryKind.DEVICE, false, true, Optional.empty());
    }

    /**
     * The request with another alignment.
     *
     * @param alignment bytes, a power of two up to {@link #MAX_ALIGNMENT}
     * @return a copy
     */
    public AllocationRequest aligned(long alignment) {
        return new AllocationRequest(byteSize, alignment, kind, zero, fallbackAllowed, tag);
    }

    /**
     * The request for another kind of memory.
     *
     * @param memoryKind what the memory is for
     * @return a copy
     */
    public AllocationRequest ofKind(MemoryKind memoryKind) {
        return new AllocationRequest(byteSize, byteAlignment, memoryKind, zero, fallbackAllowed, tag);
    }

    /**
     * The request for cleared memory.
     *
     * @return a copy
     */
    public AllocationRequest zeroed() {
        return new AllocationRequest(byteSize, byteAlignment, kind, true, fallbackAllowed, tag);
    }

    /**
     * The request for memory of this device or none.
     *
     * @return a copy
     */
    public AllocationRequest withoutFallback() {
        return new AllocationRequest(byteSize, byteAlignment, kind, zero, false, tag);
    }

    /**
     * The request with a name for reports.
     *
     * @param name the name
     * @return a copy
     */
    public AllocationRequest tagged(String name) {
        return new AllocationRequest(byteSize, byteAlignment, kind, zero, fallbackAllowed, Optional.of(name));
    }
}
