package dev.headroom.memory.model;

import java.util.List;

/**
 * One metadata value of a GGUF file.
 *
 * <p>Writers of GGUF files choose integer widths freely, so values are told apart by what they mean, not by how wide
 * they are. All values are immutable.
 */
public sealed interface GgufValue {

    /**
     * A whole number of any width.
     *
     * @param type the width in the file, one of the integer types
     * @param value the number; a {@code U64} above {@link Long#MAX_VALUE} appears negative here, as its two's complement
     */
    record Whole(GgufValueType type, long value) implements GgufValue {
        /** Checks that the type is an integer type. */
        public Whole {
            if (!type.isInteger()) {
                throw new IllegalArgumentException(type + " is no integer type");
            }
        }

        /**
         * A 32-bit unsigned number, the usual width.
         *
         * @param value 0 to 2^32 - 1
         * @return the value
         */
        public static Whole u32(long value) {
            if (value < 0 || value > 0xffff_ffffL) {
                throw new IllegalArgumentException("value must be 0 to 4294967295, but is " + value);
            }
            return new Whole(GgufValueType.U32, value);
        }
    }

    /**
     * A floating-point number.
     *
     * @param type {@code F32} or {@code F64}
     * @param value the number, possibly infinite or not a number
     */
    record Real(GgufValueType type, double value) implements GgufValue {
        /** Checks that the type is a float type. */
        public Real {
            if (type != GgufValueType.F32 && type != GgufValueType.F64) {
                throw new IllegalArgumentException(type + " is no float type");
            }
        }
    }

    /**
     * A truth value.
     *
     * @param value the value
     */
    record Flag(boolean value) implements GgufValue {}

    /**
     * A text.
     *
     * @param value the text; malformed UTF-8 in the file has become replacement characters
     */
    record Text(String value) implements GgufValue {}

    /**
     * An array of whole numbers or truth values, often one per layer.
     *
     * @param elementType an integer type, or {@code BOOL}, whose values appear as 0 and 1
     * @param values the numbers
     */
    record WholeList(GgufValueType elementType, List<Long> values) implements GgufValue {
        /** Checks the type and copies the list. */
        public WholeList {
            if (!elementType.isInteger() && elementType != GgufValueType.BOOL) {
                throw new IllegalArgumentException(elementType + " is no integer type");
            }
            values = List.copyOf(values);
        }
    }

    /**
     * An array of floating-point numbers.
     *
     * @param elementType {@code F32} or {@code F64}
     * @param values the numbers
     */
    record RealList(GgufValueType elementType, List<Double> values) implements GgufValue {
        /** Checks the type and copies the list. */
        public RealList {
            if (elementType != GgufValueType.F32 && elementType != GgufValueType.F64) {
                throw new IllegalArgumentException(elementType + " is no float type");
            }
            values = List.copyOf(values);
        }
    }

    /**
     * A value that was checked but not kept: an array of texts, or anything above 64 KiB. Vocabularies are of this kind;
     * what matters of them is how long they are.
     *
     * @param type {@code ARRAY} or {@code STRING}
     * @param elementType the type of the elements; {@code U8} for a text
     * @param count how many elements the file has; bytes for a text
     */
    record Omitted(GgufValueType type, GgufValueType elementType, long count) implements GgufValue {}
}
