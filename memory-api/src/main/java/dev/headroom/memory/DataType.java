package dev.headroom.memory;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * How the values of a tensor are laid out in memory.
 *
 * <p>Every type stores its values in <em>blocks</em>: {@link #valuesPerBlock} values share {@link #bytesPerBlock} bytes.
 * A plain type has one value per block. A quantised type packs 32 to 256 values with their common scale into one block;
 * the sub-byte floats pack as many values as fill whole bytes. A block is never cut, so the only exact size of a tensor
 * is {@link #byteSize}; "bits per weight times parameters" is not one.
 *
 * <table>
 *   <caption>Examples</caption>
 *   <tr><th>type</th><th>values per block</th><th>bytes per block</th><th>bytes of 4096 values</th></tr>
 *   <tr><td>{@link #F32}</td><td>1</td><td>4</td><td>16384</td></tr>
 *   <tr><td>{@link #F16}</td><td>1</td><td>2</td><td>8192</td></tr>
 *   <tr><td>{@link #Q8_0}</td><td>32</td><td>34</td><td>4352</td></tr>
 *   <tr><td>{@link #Q4_K}</td><td>256</td><td>144</td><td>2304</td></tr>
 * </table>
 *
 * <p>The GGML ids that were withdrawn (4, 5, 31 to 33, 36 to 38) and the private ids of forks name no type here.
 *
 * <p>Constants are immutable and may be used by any thread.
 */
public enum DataType {
    /** IEEE 754 single precision. */
    F32(0, 1, 4),
    /** IEEE 754 half precision. */
    F16(1, 1, 2),
    /** 32 values of 4 bits and a half-precision scale. */
    Q4_0(2, 32, 18),
    /** 32 values of 4 bits, a half-precision scale and minimum. */
    Q4_1(3, 32, 20),
    /** 32 values of 5 bits and a half-precision scale. */
    Q5_0(6, 32, 22),
    /** 32 values of 5 bits, a half-precision scale and minimum. */
    Q5_1(7, 32, 24),
    /** 32 values of 8 bits and a half-precision scale. */
    Q8_0(8, 32, 34),
    /** 32 values of 8 bits, a half-precision scale and sum. */
    Q8_1(9, 32, 36),
    /** 2-bit values in super-blocks of 256. */
    Q2_K(10, 256, 84),
    /** 3-bit values in super-blocks of 256. */
    Q3_K(11, 256, 110),
    /** 4-bit values in super-blocks of 256. */
    Q4_K(12, 256, 144),
    /** 5-bit values in super-blocks of 256. */
    Q5_K(13, 256, 176),
    /** 6-bit values in super-blocks of 256. */
    Q6_K(14, 256, 210),
    /** 8-bit values in super-blocks of 256, used for intermediate results. */
    Q8_K(15, 256, 292),
    /** About 2.06 bits per value from a code book. */
    IQ2_XXS(16, 256, 66),
    /** About 2.31 bits per value from a code book. */
    IQ2_XS(17, 256, 74),
    /** About 3.06 bits per value from a code book. */
    IQ3_XXS(18, 256, 98),
    /** About 1.56 bits per value from a code book. */
    IQ1_S(19, 256, 50),
    /** 32 values of 4 bits on a non-linear scale. */
    IQ4_NL(20, 32, 18),
    /** About 3.44 bits per value from a code book. */
    IQ3_S(21, 256, 110),
    /** About 2.56 bits per value from a code book. */
    IQ2_S(22, 256, 82),
    /** 4.25 bits per value on a non-linear scale, in super-blocks of 256. */
    IQ4_XS(23, 256, 136),
    /** Signed 8-bit integer. */
    I8(24, 1, 1),
    /** Signed 16-bit integer. */
    I16(25, 1, 2),
    /** Signed 32-bit integer. */
    I32(26, 1, 4),
    /** Signed 64-bit integer. */
    I64(27, 1, 8),
    /** IEEE 754 double precision. */
    F64(28, 1, 8),
    /** 1.75 bits per value from a code book. */
    IQ1_M(29, 256, 56),
    /** The upper half of a single-precision value. */
    BF16(30, 1, 2),
    /** Ternary values, 1.69 bits each. */
    TQ1_0(34, 256, 54),
    /** Ternary values, 2.06 bits each. */
    TQ2_0(35, 256, 66),
    /** 32 values of 4 bits (E2M1) and an E8M0 scale. */
    MXFP4(39, 32, 17),
    /** 64 values of 4 bits (E2M1) and four E4M3 scales. */
    NVFP4(40, 64, 36),
    /** 128 values of 1 bit and a half-precision scale. */
    Q1_0(41, 128, 18),
    /** 64 values of 2 bits and a half-precision scale. */
    Q2_0(42, 64, 18),
    /** Unsigned 8-bit integer. */
    U8(1, 1),
    /** Unsigned 16-bit integer. */
    U16(1, 2),
    /** Unsigned 32-bit integer. */
    U32(1, 4),
    /** Unsigned 64-bit integer. */
    U64(1, 8),
    /** Truth value in one byte. */
    BOOL(1, 1),
    /** Two single-precision values, real and imaginary part. */
    C64(1, 8),
    /** 8-bit float, 5 exponent and 2 mantissa bits. */
    F8_E5M2(1, 1),
    /** 8-bit float, 4 exponent and 3 mantissa bits. */
    F8_E4M3(1, 1),
    /** 8-bit power of two. */
    F8_E8M0(1, 1),
    /** 8-bit float, 4 exponent and 3 mantissa bits, no infinities, one zero. */
    F8_E4M3FNUZ(1, 1),
    /** 8-bit float, 5 exponent and 2 mantissa bits, no infinities, one zero. */
    F8_E5M2FNUZ(1, 1),
    /** 6-bit float, 2 exponent and 3 mantissa bits; four values fill three bytes. */
    F6_E2M3(4, 3),
    /** 6-bit float, 3 exponent and 2 mantissa bits; four values fill three bytes. */
    F6_E3M2(4, 3),
    /** 4-bit float; two values fill a byte. */
    F4(2, 1);

    private static final int NO_ID = -1;

    /** Indexed by GGUF id. The ids are few and dense, so that a header with a million tensors costs no hashing. */
    private static final Optional<DataType>[] BY_GGUF_ID = indexByGgufId();

    private final int ggufId;
    private final int valuesPerBlock;
    private final int bytesPerBlock;

    DataType(int ggufId, int valuesPerBlock, int bytesPerBlock) {
        this.ggufId = ggufId;
        this.valuesPerBlock = valuesPerBlock;
        this.bytesPerBlock = bytesPerBlock;
    }

    DataType(int valuesPerBlock, int bytesPerBlock) {
        this(NO_ID, valuesPerBlock, bytesPerBlock);
    }

    /**
     * The name model files and their tools use for this type, for example {@code Q4_K}.
     *
     * @return the label, the same as {@link #name}
     */
    public String label() {
        return name();
    }

    /**
     * The number that stands for this type in a GGUF file.
     *
     * @return the id, or empty for a type GGUF cannot express
     */
    public OptionalInt ggufId() {
        return ggufId == NO_ID ? OptionalInt.empty() : OptionalInt.of(ggufId);
    }

    /**
     * How many values share one block.
     *
     * @return 1 for plain types, 2 to 256 otherwise
     */
    public int valuesPerBlock() {
        return valuesPerBlock;
    }

    /**
     * How many bytes one block takes.
     *
     * @return a positive number of bytes
     */
    public int bytesPerBlock() {
        return bytesPerBlock;
    }

    /**
     * Whether several values share a block, so that single values have no address.
     *
     * @return true if {@link #valuesPerBlock} is above one
     */
    public boolean isBlockType() {
        return valuesPerBlock > 1;
    }

    /**
     * The exact number of bytes a run of values takes.
     *
     * <p>The caller checks that each <em>row</em> of a tensor is a multiple of the block; this method sees only the total.
     *
     * @param elements the number of values, at least 0 and a multiple of {@link #valuesPerBlock}
     * @return the size in bytes
     * @throws IllegalArgumentException if {@code elements} is negative or would cut a block
     * @throws ArithmeticException if the size does not fit in a {@code long}
     */
    public long byteSize(long elements) {
        if (elements < 0) {
            throw new IllegalArgumentException("elements must be at least 0, but is " + elements);
        }
        if (elements % valuesPerBlock != 0) {
            throw new IllegalArgumentException(name() + " stores " + valuesPerBlock + " values per block, but "
                    + elements + " is no multiple of it");
        }
        return Math.multiplyExact(elements / valuesPerBlock, (long) bytesPerBlock);
    }

    /**
     * Finds the type a GGUF file means.
     *
     * @param id the number in the file, any value
     * @return the type, or empty if the id is unknown or was withdrawn
     */
    public static Optional<DataType> tryOfGgufId(int id) {
        return id >= 0 && id < BY_GGUF_ID.length ? BY_GGUF_ID[id] : Optional.empty();
    }

    /**
     * Finds a type by its label, in any letter case.
     *
     * @param label for example {@code "q4_k"}
     * @return the type, or empty if there is none of that name
     */
    public static Optional<DataType> tryParse(String label) {
        String upper = label.toUpperCase(Locale.ROOT);
        return Stream.of(values()).filter(type -> type.name().equals(upper)).findFirst();
    }

    /**
     * The type of that label, in any letter case.
     *
     * @param label for example {@code "q4_k"}
     * @return the type
     * @throws IllegalArgumentException if there is none of that name; the message lists those there are
     */
    public static DataType parse(String label) {
        return tryParse(label)
                .orElseThrow(() -> new IllegalArgumentException("no data type \"" + label + "\"; known are "
                        + Stream.of(values()).map(DataType::name).collect(Collectors.joining(", "))));
    }

    private static Optional<DataType>[] indexByGgufId() {
        int highest = Stream.of(values()).mapToInt(type -> type.ggufId).max().orElse(NO_ID);
        // Generic arrays cannot be created directly; nothing but Optional<DataType> is ever stored.
        @SuppressWarnings({"unchecked", "rawtypes"})
        Optional<DataType>[] index = new Optional[highest + 1];
        Arrays.fill(index, Optional.empty());
        for (DataType type : values()) {
            if (type.ggufId != NO_ID) {
                index[type.ggufId] = Optional.of(type);
            }
        }
        return index;
    }
}
