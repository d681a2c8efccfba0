package dev.headroom.memory;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * The shape of a tensor and how its values are stored: what it takes to know its size, without any memory.
 *
 * {@snippet :
 * TensorSpec weights = TensorSpec.of(DataType.Q4_K, 4096, 11008).named("blk.0.ffn_up.weight");
 * weights.byteSize();      // 4096 rows of 11008 values, 6192 bytes each
 * }
 *
 * <p>Values lie in row-major order without gaps: the last extent is the row, whose values are neighbours. GGUF files write the
 * extents the other way round. A shape without extents is a single value; an extent of 0 makes a tensor without values.
 *
 * <p>A type that packs several values into a block needs rows of whole blocks. A spec that exists has a size that fits into
 * a {@code long}.
 *
 * <p>Threads: immutable.
 *
 * @param name  what the tensor is called, if anything
 * @param shape the extents, the slowest-moving first, each 0 or more
 * @param type  how the values are stored
 */
public record TensorSpec(Optional<String> name, List<Long> shape, DataType type) {

    /**
     * Checks that the tensor can exist.
     *
     * @throws IllegalArgumentException if an extent is negative, a row would cut a block, or the size does not fit into a
     *                                  {@code long}; the message names the tensor
     */
    public TensorSpec {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(type, "type");
        shape = List.copyOf(shape);
        for (long extent : shape) {
            if (extent < 0) {
                throw new IllegalArgumentException(
                        describe(name, shape, type) + " has the extent " + extent + ": allowed are 0 or more");
            }
        }
        long row = rowLength(shape);
        if (row % type.valuesPerBlock() != 0) {
            throw new IllegalArgumentException(describe(name, shape, type) + " has rows of " + row + " values: "
                    + type.label() + " needs a multiple of " + type.valuesPerBlock());
        }
        try {
            // An extent of 0 must not hide that the others are absurd.
            long rows = 1;
            for (long extent : shape.subList(0, Math.max(0, shape.size() - 1))) {
                rows = Math.multiplyExact(rows, Math.max(1, extent));
            }
            Math.multiplyExact(rows, Math.max(1, Math.max(row, type.byteSize(row))));
        } catch (ArithmeticException overflow) {
            throw new IllegalArgumentException(
                    describe(name, shape, type) + " is too large: its size does not fit into 63 bits", overflow);
        }
    }

    /**
     * A tensor without a name.
     *
     * @param type  how the values are stored
     * @param shape the extents, the slowest-moving first, each 0 or more; none for a single value
     * @return the spec
     * @throws IllegalArgumentException if no such tensor can exist
     */
    public static TensorSpec of(DataType type, long... shape) {
        List<Long> extents = new ArrayList<>(shape.length);
        for (long extent : shape) {
            extents.add(extent);
        }
        return new TensorSpec(Optional.empty(), extents, type);
    }

    /**
     * The same tensor under a name.
     *
     * @param newName the name
     * @return a copy
     */
    public TensorSpec named(String newName) {
        return new TensorSpec(Optional.of(newName), shape, type);
    }

    /**
     * How many values there are: the product of all extents.
     *
     * @return 0 or more
     */
    public long elementCount() {
        return rowCount() * rowLength();
    }

    /**
     * How many bytes the values take: the product of all extents times the size of the type.
     *
     * @return bytes, 0 or more
     */
    public long byteSize() {
        return rowCount() * rowByteSize();
    }

    /**
     * How many values a row has.
     *
     * @return the last extent, or 1 for a single value
     */
    public long rowLength() {
        return rowLength(shape);
    }

    /**
     * How many bytes a row takes: rows lie this far apart, for block types too.
     *
     * @return bytes, 0 or more
     */
    public long rowByteSize() {
        return type.byteSize(rowLength());
    }

    /**
     * How many rows there are.
     *
     * @return the product of all extents but the last
     */
    public long rowCount() {
        long rows = 1;
        for (int i = 0; i < shape.size() - 1; i++) {
            rows *= shape.get(i);
        }
        return rows;
    }

    /**
     * How far apart neighbours along each extent lie.
     *
     * @return bytes per extent, in the order of the shape; empty for block types, whose single values have no address
     */
    public Optional<List<Long>> byteStrides() {
        if (type.isBlockType()) {
            return Optional.empty();
        }
        List<Long> strides = new ArrayList<>(shape);
        long stride = type.bytesPerBlock();
        for (int i = shape.size() - 1; i >= 0; i--) {
            strides.set(i, stride);
            stride *= shape.get(i);
        }
        return Optional.of(List.copyOf(strides));
    }

    /**
     * The tensor as it stands in messages, such as {@code 'output.weight' F32 [128, 256]}.
     *
     * @return name, type and shape
     */
    @Override
    public String toString() {
        return describe(name, shape, type);
    }

    private static long rowLength(List<Long> shape) {
        return shape.isEmpty() ? 1 : shape.getLast();
    }

    private static String describe(Optional<String> name, List<Long> shape, DataType type) {
        return name.map(text -> "'" + text + "' ").orElse("") + type.label() + " " + shape;
    }
}
