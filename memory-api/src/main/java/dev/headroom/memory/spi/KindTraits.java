package dev.headroom.memory.spi;

import dev.headroom.memory.AllocationRequest;
import java.util.OptionalLong;

/**
 * What one kind of memory is like on one device.
 *
 * @param supported     whether the device has it; if not, the rest means nothing
 * @param placement     whose memory it takes; a configured limit binds what is placed on the device. The host's own driver
 *                      places DEVICE memory on the device
 * @param baseAlignment the alignment of every block in bytes, a power of two
 * @param granularity   block sizes are multiples of this many bytes, a power of two
 * @param maxBlockBytes the largest single block in bytes
 * @param bindingLimit  the largest part a kernel can bind at once, where the device has such a limit
 * @param bindingAlignment where a part that a kernel binds may begin, in bytes, a power of two up to {@link
 *                      AllocationRequest#MAX_ALIGNMENT}: every buffer begins at a multiple of it
 * @param hostVisible   whether it can be mapped
 * @param coherent      whether mapped writes are visible without a flush
 */
public record KindTraits(
        boolean supported,
        Placement placement,
        long baseAlignment,
        long granularity,
        long maxBlockBytes,
        OptionalLong bindingLimit,
        long bindingAlignment,
        boolean hostVisible,
        boolean coherent) {

    /** Whose memory a kind takes. */
    public enum Placement {
        /** The device's own. */
        DEVICE,
        /** The host's. */
        HOST
    }

    private static final KindTraits UNSUPPORTED =
            new KindTraits(false, Placement.DEVICE, 1, 1, 1, OptionalLong.empty(), 1, false, false);

    /** Checks the numbers. */
    public KindTraits {
        requirePowerOfTwo("baseAlignment", baseAlignment);
        requirePowerOfTwo("granularity", granularity);
        requirePowerOfTwo("bindingAlignment", bindingAlignment);
        if (bindingAlignment > AllocationRequest.MAX_ALIGNMENT) {
            throw new IllegalArgumentException(
                    "bindingAlignment is " + bindingAlignment + ": must be up to " + AllocationRequest.MAX_ALIGNMENT);
        }
        if (maxBlockBytes <= 0) {
            throw new IllegalArgumentException("maxBlockBytes is " + maxBlockBytes + ": must be above 0");
        }
    }

    /**
     * The traits of a kind the device does not have.
     *
     * @return traits with {@code supported} false
     */
    public static KindTraits unsupported() {
        return UNSUPPORTED;
    }

    /**
     * Memory only the device reaches.
     *
     * @param baseAlignment alignment of every block in bytes, a power of two
     * @param granularity   block sizes are multiples of this, a power of two
     * @param maxBlockBytes the largest block in bytes
     * @return the traits
     */
    public static KindTraits deviceOnly(long baseAlignment, long granularity, long maxBlockBytes) {
        return new KindTraits(
                true,
                Placement.DEVICE,
                baseAlignment,
                granularity,
                maxBlockBytes,
                OptionalLong.empty(),
                1,
                false,
                false);
    }

    /**
     * Memory the host reaches too, without flushes.
     *
     * @param placement     whose memory it is
     * @param baseAlignment alignment of every block in bytes, a power of two
     * @param granularity   block sizes are multiples of this, a power of two
     * @param maxBlockBytes the largest block in bytes
     * @return the traits
     */
    public static KindTraits hostVisible(
            Placement placement, long baseAlignment, long granularity, long maxBlockBytes) {
        return new KindTraits(
                true, placement, baseAlignment, granularity, maxBlockBytes, OptionalLong.empty(), 1, true, true);
    }

    /**
     * These traits for a device whose kernels cannot bind memory from just anywhere.
     *
     * @param alignment where a bound part may begin in bytes, a power of two
     * @return a copy with the alignment
     */
    public KindTraits withBindingAlignment(long alignment) {
        return new KindTraits(
                supported,
                placement,
                baseAlignment,
                granularity,
                maxBlockBytes,
                bindingLimit,
                alignment,
                hostVisible,
                coherent);
    }

    private static void requirePowerOfTwo(String name, long value) {
        if (value <= 0 || Long.bitCount(value) != 1) {
            throw new IllegalArgumentException(name + " is " + value + ": must be a power of two");
        }
    }
}
