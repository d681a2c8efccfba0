package dev.headroom.memory.model;

import org.jspecify.annotations.Nullable;

/** The type of a metadata value in a GGUF file. Immutable. */
public enum GgufValueType {
    /** Unsigned 8-bit integer. */
    U8(0, 1),
    /** Signed 8-bit integer. */
    I8(1, 1),
    /** Unsigned 16-bit integer. */
    U16(2, 2),
    /** Signed 16-bit integer. */
    I16(3, 2),
    /** Unsigned 32-bit integer. */
    U32(4, 4),
    /** Signed 32-bit integer. */
    I32(5, 4),
    /** Single-precision float. */
    F32(6, 4),
    /** Truth value in one byte. */
    BOOL(7, 1),
    /** UTF-8 text after its length. */
    STRING(8, 8),
    /** Values of one other type after their type and number. */
    ARRAY(9, 12),
    /** Unsigned 64-bit integer. */
    U64(10, 8),
    /** Signed 64-bit integer. */
    I64(11, 8),
    /** Double-precision float. */
    F64(12, 8);

    /** In the order of their ids, which have no gaps. */
    private static final GgufValueType[] BY_ID = values();

    private final int id;
    private final int minimumBytes;

    GgufValueType(int id, int minimumBytes) {
        this.id = id;
        this.minimumBytes = minimumBytes;
    }

    /**
     * The number that stands for this type in a file.
     *
     * @return 0 to 12
     */
    public int id() {
        return id;
    }

    /**
     * The fewest bytes a value of this type takes in a file.
     *
     * @return the exact size of a number or truth value; for text and arrays what comes before the contents
     */
    public int minimumBytes() {
        return minimumBytes;
    }

    /**
     * Whether values of this type are whole numbers.
     *
     * @return true for U8 to I64 without the floats, BOOL, STRING and ARRAY
     */
    public boolean isInteger() {
        return switch (this) {
            case U8, I8, U16, I16, U32, I32, U64, I64 -> true;
            case F32, F64, BOOL, STRING, ARRAY -> false;
        };
    }

    /** Whether every value of this type has the same size. */
    boolean hasFixedSize() {
        return this != STRING && this != ARRAY;
    }

    /** The type of that number, or null if the format knows none. */
    static @Nullable GgufValueType ofId(int id) {
        return id >= 0 && id < BY_ID.length ? BY_ID[id] : null;
    }
}
