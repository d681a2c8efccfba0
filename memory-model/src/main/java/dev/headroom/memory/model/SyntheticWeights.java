package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.nio.ByteBuffer;

/**
 * Tensor contents out of a seed: bytes that look like weights, are valid in their type, and can be made again anywhere.
 *
 * <p>The bytes at an offset of a tensor depend only on the seed, the tensor's name and type, and the offset, so that
 * whoever has copied a tensor somewhere can check any part of it without the file. Every float and every scale is finite:
 * matrices hold values of magnitude below 2 of either sign, vectors of F32 (the norms) values from 1 to 2, scales of
 * blocks are from 2^-7 to 2^-6.
 *
 * <p>Immutable; may be used by any thread.
 */
public final class SyntheticWeights implements TensorSource {

    private static final long GOLDEN = 0x9e37_79b9_7f4a_7c15L;

    private final long seed;

    /**
     * Contents of a seed.
     *
     * @param seed any number
     */
    public SyntheticWeights(long seed) {
        this.seed = seed;
    }

    /**
     * Whether contents of that type can be made.
     *
     * @param type the type
     * @return false for the types whose blocks have structure beyond half-precision scales
     */
    public static boolean supports(DataType type) {
        return switch (type) {
            case F32, F16, BF16, F64, I8, I16, I32, I64 -> true;
            default -> scaleOffsets(type).length > 0;
        };
    }

    /**
     * Fills the target with the bytes of a tensor.
     *
     * @param tensor the tensor; its name, type and number of dimensions count
     * @param offset where in the tensor the chunk starts, a multiple of 8 and of the block
     * @param target takes the bytes from its position to its limit, which must not cut a block
     * @throws IllegalArgumentException if the type is not supported, or offset or target cut a block
     */
    @Override
    public void fill(GgufTensor tensor, long offset, ByteBuffer target) {
        DataType type = tensor.type();
        int block = type.bytesPerBlock();
        if (!supports(type)) {
            throw new IllegalArgumentException("no synthetic contents for " + type);
        }
        if (offset % Long.BYTES != 0 || offset % block != 0 || target.remaining() % block != 0) {
            throw new IllegalArgumentException("offset " + offset + " and length " + target.remaining()
                    + " must be multiples of the block, " + block + " bytes, the offset also of 8");
        }
        boolean norm = tensor.dims().size() == 1;
        switch (type) {
            case F32 -> {
                if (norm) {
                    fill(tensor, offset, target, 0x007f_ffff_007f_ffffL, 0x3f80_0000_3f80_0000L);
                } else {
                    // Without its highest bit an exponent stays finite and the value below 2.
                    fill(tensor, offset, target, 0xbfff_ffff_bfff_ffffL, 0);
                }
            }
            case F16, BF16 -> fill(tensor, offset, target, 0xbfff_bfff_bfff_bfffL, 0);
            case F64 -> fill(tensor, offset, target, 0xbfff_ffff_ffff_ffffL, 0);
            default -> {
                int start = target.position();
                fill(tensor, offset, target, -1L, 0);
                for (int scale : scaleOffsets(type)) {
                    for (int at = start + scale; at < target.limit(); at += block) {
                        target.putShort(at, (short) ((target.getShort(at) & 0x03ff) | 0x2000));
                    }
                }
            }
        }
    }

    /** Random 64-bit words, by counter rather than by chain, so that any offset can be entered directly. */
    private void fill(GgufTensor tensor, long offset, ByteBuffer target, long and, long or) {
        long key = mix(seed
                ^ mix(GOLDEN * tensor.name().hashCode() + tensor.type().label().hashCode()));
        long counter = key + offset / Long.BYTES * GOLDEN;
        int at = target.position();
        int end = target.limit() - (Long.BYTES - 1);
        for (; at < end; at += Long.BYTES) {
            target.putLong(at, (mix(counter) & and) | or);
            counter += GOLDEN;
        }
        if (at < target.limit()) {
            ByteBuffer last = ByteBuffer.allocate(Long.BYTES).order(target.order());
            last.putLong(0, (mix(counter) & and) | or);
            target.put(at, last, 0, target.limit() - at);
        }
        target.position(target.limit());
    }

    /** The output function of SplitMix64. */
    private static long mix(long z) {
        long a = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
        long b = (a ^ (a >>> 27)) * 0x94d0_49bb_1331_11ebL;
        return b ^ (b >>> 31);
    }

    /** Where in a block half-precision scales lie; everything else in these blocks may be any bits. */
    private static int[] scaleOffsets(DataType type) {
        return switch (type) {
            case Q4_0, Q5_0, Q8_0, IQ4_NL -> new int[] {0};
            case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
            case Q2_K -> new int[] {80, 82};
            case Q3_K -> new int[] {108};
            case Q6_K -> new int[] {208};
            default -> new int[0];
        };
    }
}
