package dev.headroom.memory;

import java.util.ArrayList;
import java.util.List;

/**
 * How a pool cuts its memory into buffers. Immutable. Choose one with {@link MemoryConfig.Builder#profile}.
 */
public sealed interface PoolProfile {

    /** What block sizes and granted sizes are multiples of, in bytes. */
    long ALIGNMENT_BYTES = 256;

    /**
     * The default: every size is served from where it fits best, and nothing is set aside for any size.
     *
     * @return the profile
     */
    static PoolProfile engine() {
        return Engine.INSTANCE;
    }

    /**
     * Small buffers in blocks of three fixed sizes: 1 KiB, 64 KiB and 1 MiB; what is larger than 1 MiB is served as by
     * {@link #engine()}.
     *
     * @param maxPoolBytes the most bytes all classes may take together, above 0; a quarter of the device is never exceeded
     * @return the profile
     */
    static PoolProfile blockClasses(long maxPoolBytes) {
        return new BlockClasses(maxPoolBytes);
    }

    /** The default. */
    enum Engine implements PoolProfile {
        /** The one there is. */
        INSTANCE;

        @Override
        public String toString() {
            return "engine";
        }
    }

    /**
     * The blocks of one size.
     *
     * @param id         its number, from 0, by ascending size
     * @param blockBytes the size of each block in bytes, a multiple of {@link #ALIGNMENT_BYTES}
     * @param blocks     how many there may be, 0 or more
     */
    record BlockClass(int id, long blockBytes, long blocks) {}

    /**
     * Small buffers in blocks of fixed sizes. A request is rounded up to {@link #ALIGNMENT_BYTES} and gets a block of the first
     * class, by ascending size, whose blocks are large enough and not all in use. When there is none, or the request is larger
     * than the largest block, it is served directly, as by {@link PoolProfile#engine()}. Only the pool's main kind of memory is
     * divided, {@link MemoryKind#DEVICE}, or {@link MemoryKind#UNIFIED} where there is no other.
     *
     * <p>Blocks are taken from the pool when they are first needed, and go back to it when memory is short or on {@link
     * GpuMemoryPool#shrink()}, so a class that is not used costs nothing.
     *
     * @param maxPoolBytes the most bytes all classes may take together, above 0
     */
    record BlockClasses(long maxPoolBytes) implements PoolProfile {

        private static final long[] BLOCK_BYTES = {1L << 10, 64L << 10, 1L << 20};
        private static final int[] SHARES = {4, 2, 1};
        private static final int ALL_SHARES = 7;
        private static final int DEVICE_SHARE = 4;

        /** Refuses a limit of nothing. */
        public BlockClasses {
            if (maxPoolBytes <= 0) {
                throw new IllegalArgumentException("maxPoolBytes is " + maxPoolBytes + ": must be above 0");
            }
        }

        /**
         * What the classes may take on a device: the lower of {@link #maxPoolBytes} and a quarter of its memory.
         *
         * @param deviceBytes all memory of the device, 0 or more
         * @return bytes
         */
        public long capBytes(long deviceBytes) {
            return Math.min(maxPoolBytes, deviceBytes / DEVICE_SHARE);
        }

        /**
         * The classes on a device. The cap is shared 4 : 2 : 1 among 1 KiB, 64 KiB and 1 MiB; a class has as many blocks as fit
         * into its share: floor(cap x share / 7 / block size).
         *
         * @param deviceBytes all memory of the device, 0 or more
         * @return the classes by ascending size; one without room has 0 blocks
         */
        public List<BlockClass> classes(long deviceBytes) {
            long cap = capBytes(deviceBytes);
            List<BlockClass> classes = new ArrayList<>();
            for (int id = 0; id < BLOCK_BYTES.length; id++) {
                long share = cap / ALL_SHARES * SHARES[id] + cap % ALL_SHARES * SHARES[id] / ALL_SHARES;
                classes.add(new BlockClass(id, BLOCK_BYTES[id], share / BLOCK_BYTES[id]));
            }
            return List.copyOf(classes);
        }

        /**
         * The arithmetic of the design these classes come from (BitNet-rs), for comparison; no pool uses it. There the classes get
         * pools of 512, 256 and 128 KiB, created in this order while their sum stays within the maximum, which leaves the 1 MiB
         * class without a single block.
         *
         * @param maxPoolBytes the most bytes all pools may take together, 0 or more
         * @return the classes that are created, by ascending size
         */
        public static List<BlockClass> seedClasses(long maxPoolBytes) {
            List<BlockClass> classes = new ArrayList<>();
            long sum = 0;
            for (int id = 0; id < BLOCK_BYTES.length; id++) {
                long poolBytes = (512L << 10) >> id;
                sum += poolBytes;
                if (sum > maxPoolBytes) {
                    break;
                }
                classes.add(new BlockClass(id, BLOCK_BYTES[id], poolBytes / BLOCK_BYTES[id]));
            }
            return List.copyOf(classes);
        }
    }
}
