package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Reads the header of one GGUF file.
 *
 * <p>Order of suspicion: is it the format; do the announced counts fit in the bytes left; is each value inside the
 * file; do the tensors lie one behind the other, inside the file. Nothing is allocated by an announced number that was
 * not held against the bytes left. Arrays of arrays are refused, so nothing recurses. For one thread.
 */
final class GgufHeaderReader {

    private static final int MAGIC_BYTES = 4;
    private static final String ALIGNMENT_KEY = "general.alignment";

    private final Path path;
    private final int shard;
    private final HeaderInput input;
    private final byte[] nameBytes = new byte[GgufLimits.MAX_TENSOR_NAME_BYTES];

    private GgufHeaderReader(Path path, int shard, HeaderInput input) {
        this.path = path;
        this.shard = shard;
        this.input = input;
    }

    /**
     * One file, read.
     *
     * @param shard the file
     * @param metadata its keys
     * @param tensors its tensors in file order
     * @param stamp the state of the file
     */
    record Header(GgufShard shard, GgufMetadata metadata, List<GgufTensor> tensors, FileStamp stamp) {

        /** Where a tensor is announced. */
        long infoPosition(int index) {
            return GgufHeaderReader.infoPosition(tensors, index, shard.headerBytes());
        }
    }

    /** Reads the header of a file that is shard number {@code shard}, counted from 0, of its model. */
    static Header read(Path path, int shard) throws IOException {
        FileStamp stamp = FileStamp.of(path);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            HeaderInput input = new HeaderInput(path, channel, stamp.bytes());
            Header header = new GgufHeaderReader(path, shard, input).header(stamp);
            stamp.verify(path);
            return header;
        }
    }

    private Header header(FileStamp stamp) throws IOException {
        refuseOtherFormats();
        input.skip(MAGIC_BYTES, "the magic");
        int version = version();
        long tensorCount = count("tensors", GgufLimits.MAX_TENSORS, GgufLimits.MIN_TENSOR_INFO_BYTES);
        long keyCount = count("metadata keys", GgufLimits.MAX_KEYS, GgufLimits.MIN_KEY_BYTES);

        GgufMetadata metadata = metadata(keyCount);
        int alignment = alignment(metadata);

        List<GgufTensor> tensors = new ArrayList<>();
        long end = 0;
        for (long i = 0; i < tensorCount; i++) {
            long position = input.position();
            GgufTensor tensor = tensor(end);
            tensors.add(tensor);
            end = paddedEnd(tensor, alignment, position);
        }
        long headerBytes = input.position();
        long dataOffset = GgufLimits.align(headerBytes, alignment);
        place(tensors, headerBytes, dataOffset, stamp.bytes());

        GgufShard file = new GgufShard(
                path,
                version,
                input.order(),
                alignment,
                headerBytes,
                dataOffset,
                stamp.bytes(),
                tensors.size(),
                metadata.size());
        return new Header(file, metadata, tensors, stamp);
    }

    private void refuseOtherFormats() throws IOException {
        FileStart start = new FileStart(input.peek(FileStart.MOST_BYTES), input.remaining());
        if (!start.isGguf()) {
            throw start.refuse(path, "the magic \"GGUF\"", "GGUF");
        }
    }

    /** The version word also tells the byte order: a small number whose lower half is empty was written the other way. */
    private int version() throws IOException {
        long position = input.position();
        input.order(ByteOrder.LITTLE_ENDIAN);
        int version = input.i32("the version");
        if ((version & 0xffff) == 0) {
            version = Integer.reverseBytes(version);
            input.order(ByteOrder.BIG_ENDIAN);
        }
        if (version == 1) {
            throw input.refuse(
                    position,
                    "GGUF version 2 or 3",
                    "version 1, whose counts have 32 bits",
                    "convert the model again with a current tool");
        }
        if (version < GgufLimits.MIN_VERSION || version > GgufLimits.MAX_VERSION) {
            throw input.refuse(
                    position, "GGUF version 2 or 3", "the unsupported version " + Integer.toUnsignedString(version));
        }
        return version;
    }

    private long count(String what, long limit, int minimumBytes) throws IOException {
        long position = input.position();
        long count = input.i64("the number of " + what);
        if (count < 0 || count > limit) {
            throw input.refuse(position, "at most " + limit + " " + what, Long.toUnsignedString(count));
        }
        // Both factors are bounded by the limit above: the product cannot wrap.
        if (count * minimumBytes > input.remaining()) {
            throw input.refuse(
                    position,
                    "no more " + what + " than fit in the " + input.remaining() + " bytes left, "
                            + input.remaining() / minimumBytes,
                    Long.toString(count));
        }
        return count;
    }

    private GgufMetadata metadata(long keyCount) throws IOException {
        GgufMetadata.Collector collector = new GgufMetadata.Collector(input);
        for (long i = 0; i < keyCount; i++) {
            long position = input.position();
            long length = input.i64("the length of a key");
            if (length < 1 || length > GgufLimits.MAX_KEY_BYTES) {
                throw input.refuse(
                        position,
                        "a key of 1 to " + GgufLimits.MAX_KEY_BYTES + " bytes",
                        "one of " + Long.toUnsignedString(length));
            }
            collector.key(position, (int) length);
            GgufValueType type = valueType("the type of a value");
            collector.type(type);
            switch (type) {
                case STRING -> text(collector);
                case ARRAY -> array(collector);
                case U8, I8, U16, I16, U32, I32, F32, BOOL, U64, I64, F64 ->
                    collector.take(type.minimumBytes(), "a value");
            }
        }
        return collector.finish(path);
    }

    private GgufValueType valueType(String what) throws IOException {
        long position = input.position();
        int id = input.i32(what);
        GgufValueType type = GgufValueType.ofId(id);
        if (type == null) {
            throw input.refuse(position, "a value type from 0 to 12", Integer.toUnsignedString(id));
        }
        return type;
    }

    private void text(GgufMetadata.Collector collector) throws IOException {
        long length = textLength();
        collector.length(length);
        if (GgufMetadata.isKept(GgufValueType.STRING, GgufValueType.STRING, length)) {
            collector.take((int) length, "a text");
        } else {
            input.skip(length, "a text");
        }
    }

    private long textLength() throws IOException {
        long position = input.position();
        long length = input.i64("the length of a text");
        if (length < 0 || length > GgufLimits.MAX_STRING_BYTES) {
            throw input.refuse(
                    position,
                    "a text of at most " + GgufLimits.MAX_STRING_BYTES + " bytes",
                    "one of " + Long.toUnsignedString(length));
        }
        return length;
    }

    private void array(GgufMetadata.Collector collector) throws IOException {
        long typePosition = input.position();
        GgufValueType elementType = valueType("the type of the elements of an array");
        if (elementType == GgufValueType.ARRAY) {
            throw input.refuse(typePosition, "an array of plain values", "an array of arrays");
        }
        long countPosition = input.position();
        long count = input.i64("the length of an array");
        int width = elementType.minimumBytes();
        if (count < 0 || count > input.remaining() / width) {
            throw input.refuse(
                    countPosition,
                    "no more " + elementType + " elements than fit in the " + input.remaining() + " bytes left, "
                            + input.remaining() / width,
                    Long.toUnsignedString(count));
        }
        collector.type(elementType);
        collector.length(count);
        if (elementType == GgufValueType.STRING) {
            for (long i = 0; i < count; i++) {
                input.skip(textLength(), "a text");
            }
        } else if (GgufMetadata.isKept(GgufValueType.ARRAY, elementType, count)) {
            collector.take((int) count * width, "an array");
        } else {
            input.skip(Math.multiplyExact(count, (long) width), "an array");
        }
    }

    private int alignment(GgufMetadata metadata) throws ModelFileException {
        long alignment = metadata.integer(ALIGNMENT_KEY).orElse(GgufLimits.DEFAULT_ALIGNMENT);
        if (!GgufLimits.isAlignment(alignment)) {
            throw metadata.refuse(
                    ALIGNMENT_KEY, "a power of two of at most " + GgufLimits.MAX_ALIGNMENT, Long.toString(alignment));
        }
        return (int) alignment;
    }

    /** One tensor, its offset still relative to the start of the data. */
    private GgufTensor tensor(long expectedOffset) throws IOException {
        String name = tensorName();
        List<Long> dims = dims(name);
        DataType type = tensorType(name);
        long typePosition = input.position() - 4;
        if (dims.getFirst() % type.valuesPerBlock() != 0) {
            throw input.refuse(
                    typePosition,
                    "a first dimension of " + ModelFileException.quote(name) + " that is a multiple of "
                            + type.valuesPerBlock() + ", the block of " + type,
                    Long.toString(dims.getFirst()));
        }
        long byteSize;
        try {
            long elements = 1;
            for (long dim : dims) {
                elements = Math.multiplyExact(elements, dim);
            }
            byteSize = type.byteSize(elements);
        } catch (ArithmeticException _) {
            throw input.refuse(
                    typePosition,
                    "a tensor of less than 2^63 bytes",
                    ModelFileException.quote(name) + " of type " + type + " with dimensions " + dims);
        }
        long offsetPosition = input.position();
        long offset = input.i64("the offset of a tensor");
        if (offset != expectedOffset) {
            throw input.refuse(
                    offsetPosition,
                    "offset " + expectedOffset + " for " + ModelFileException.quote(name)
                            + ", right behind the tensor before it",
                    Long.toUnsignedString(offset));
        }
        return new GgufTensor(name, type, dims, shard, offset, byteSize);
    }

    private String tensorName() throws IOException {
        long position = input.position();
        long length = input.i64("the length of a tensor name");
        if (length < 1 || length > GgufLimits.MAX_TENSOR_NAME_BYTES) {
            throw input.refuse(
                    position,
                    "a tensor name of 1 to " + GgufLimits.MAX_TENSOR_NAME_BYTES + " bytes",
                    "one of " + Long.toUnsignedString(length));
        }
        long textPosition = input.position();
        input.bytes(nameBytes, 0, (int) length, "a tensor name");
        input.requireText(nameBytes, 0, (int) length, textPosition, "a tensor name");
        return new String(nameBytes, 0, (int) length, StandardCharsets.UTF_8);
    }

    private List<Long> dims(String name) throws IOException {
        long position = input.position();
        int count = input.i32("the number of dimensions");
        if (count < 1 || count > GgufLimits.MAX_DIMS) {
            throw input.refuse(
                    position,
                    "1 to " + GgufLimits.MAX_DIMS + " dimensions of " + ModelFileException.quote(name),
                    Integer.toUnsignedString(count));
        }
        if (count == 1) {
            return List.of(dim(name));
        }
        Long[] dims = new Long[count];
        for (int i = 0; i < count; i++) {
            dims[i] = dim(name);
        }
        return List.of(dims);
    }

    private long dim(String name) throws IOException {
        long dimPosition = input.position();
        long dim = input.i64("a dimension");
        if (dim < 1) {
            throw input.refuse(
                    dimPosition,
                    "a dimension of " + ModelFileException.quote(name) + " from 1 to " + Long.MAX_VALUE,
                    Long.toUnsignedString(dim));
        }
        return dim;
    }

    private DataType tensorType(String name) throws IOException {
        long position = input.position();
        int id = input.i32("the type of a tensor");
        Optional<DataType> type = DataType.tryOfGgufId(id);
        if (type.isEmpty()) {
            throw input.refuse(
                    position,
                    "a known type of " + ModelFileException.quote(name),
                    "unknown type " + Integer.toUnsignedString(id));
        }
        return type.get();
    }

    private long paddedEnd(GgufTensor tensor, int alignment, long infoPosition) throws ModelFileException {
        try {
            return GgufLimits.align(Math.addExact(tensor.fileOffset(), tensor.byteSize()), alignment);
        } catch (ArithmeticException _) {
            throw input.refuse(
                    infoPosition,
                    "tensors of less than 2^63 bytes together",
                    ModelFileException.quote(tensor.name()) + " of " + tensor.byteSize() + " bytes at offset "
                            + tensor.fileOffset());
        }
    }

    /** Makes offsets absolute, and refuses the file if a tensor ends behind it. Holes of sparse files are data. */
    private void place(List<GgufTensor> tensors, long headerBytes, long dataOffset, long fileBytes)
            throws ModelFileException {
        long room = Math.max(0, fileBytes - dataOffset);
        for (int i = 0; i < tensors.size(); i++) {
            GgufTensor tensor = tensors.get(i);
            // Compared without adding: the sum of an offset and a size may wrap.
            if (tensor.fileOffset() > room || tensor.byteSize() > room - tensor.fileOffset()) {
                throw input.refuse(
                        infoPosition(tensors, i, headerBytes),
                        "the data of " + ModelFileException.quote(tensor.name()) + " inside the file of " + fileBytes
                                + " bytes",
                        tensor.byteSize() + " bytes of it from byte "
                                + Long.toUnsignedString(dataOffset + tensor.fileOffset()));
            }
            tensors.set(
                    i,
                    new GgufTensor(
                            tensor.name(),
                            tensor.type(),
                            tensor.dims(),
                            tensor.shard(),
                            dataOffset + tensor.fileOffset(),
                            tensor.byteSize()));
        }
    }

    /**
     * Where a tensor is announced: the infos end where the header ends, and their sizes follow from the tensors. Only
     * complaints ask, so the positions of a million good tensors need not be kept.
     */
    private static long infoPosition(List<GgufTensor> tensors, int index, long headerBytes) {
        long position = headerBytes;
        for (GgufTensor tensor : tensors.subList(index, tensors.size())) {
            int nameLength = tensor.name().getBytes(StandardCharsets.UTF_8).length;
            position -= 8 + nameLength + 4 + 8L * tensor.dims().size() + 4 + 8;
        }
        return position;
    }
}
