package dev.headroom.memory.model;

/**
 * What a GGUF file may ask of its reader. Real files stay far below; hostile ones ask for more than they have bytes.
 * Every length is also held against the bytes left in the file before anything is done about it.
 */
final class GgufLimits {

    static final int MIN_VERSION = 2;
    static final int MAX_VERSION = 3;

    static final long MAX_TENSORS = 1L << 20;
    static final long MAX_KEYS = 1L << 20;

    /** The longest key the format allows. */
    static final long MAX_KEY_BYTES = 65_535;

    /** The reference keeps names in 64 bytes, one of them the final NUL. */
    static final int MAX_TENSOR_NAME_BYTES = 63;

    static final int MAX_DIMS = 4;
    static final long MAX_STRING_BYTES = 16L << 20;
    static final long MAX_ALIGNMENT = 1L << 20;
    static final int DEFAULT_ALIGNMENT = 32;

    /** Real headers, vocabulary included, take 1 to 30 MB. */
    static final long MAX_HEADER_BYTES = 256L << 20;

    /** Bigger metadata values are checked and forgotten. */
    static final int MAX_KEPT_VALUE_BYTES = 64 << 10;

    /** Name length, one byte of name, number of dimensions, one dimension, type, offset. */
    static final int MIN_TENSOR_INFO_BYTES = 8 + 1 + 4 + 8 + 4 + 8;

    /** Key length, one byte of key, value type, one byte of value. */
    static final int MIN_KEY_BYTES = 8 + 1 + 4 + 1;

    private GgufLimits() {}

    static boolean isAlignment(long alignment) {
        return alignment > 0 && alignment <= MAX_ALIGNMENT && Long.bitCount(alignment) == 1;
    }

    /** Rounds up to a multiple of a power of two; throws ArithmeticException where that does not fit. */
    static long align(long value, long alignment) {
        return Math.addExact(value, alignment - 1) & -alignment;
    }
}
