package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import tools.jackson.core.JsonToken;

/**
 * Reads the header of one safetensors file: eight bytes that say how long it is, then JSON.
 *
 * <p>The tensors must cover the data without hole or overlap, to the last byte of the file: bytes nobody claims are how
 * a file can be two things at once. For one thread.
 */
final class SafetensorsHeaderReader {

    /** The limit of the reference. */
    static final long MAX_HEADER_BYTES = 100_000_000;

    private static final int LENGTH_BYTES = 8;
    private static final int MAX_RANK = 64;

    /** Trainers write some fifty keys. */
    private static final int MAX_METADATA_KEYS = 4096;

    private static final String METADATA = "__metadata__";

    /** What is said about a tensor, each once. */
    private static final List<String> KEYS = List.of("dtype", "shape", "data_offsets");

    private static final int ALL_KEYS = (1 << KEYS.size()) - 1;

    /** The types the format knows; those GGUF alone has are none of them. */
    private static final Set<DataType> TYPES = EnumSet.of(
            DataType.F4,
            DataType.F6_E2M3,
            DataType.F6_E3M2,
            DataType.BOOL,
            DataType.U8,
            DataType.I8,
            DataType.F8_E5M2,
            DataType.F8_E4M3,
            DataType.F8_E8M0,
            DataType.F8_E4M3FNUZ,
            DataType.F8_E5M2FNUZ,
            DataType.I16,
            DataType.U16,
            DataType.F16,
            DataType.BF16,
            DataType.I32,
            DataType.U32,
            DataType.F32,
            DataType.C64,
            DataType.F64,
            DataType.I64,
            DataType.U64);

    private final Path path;
    private final int shard;
    private final long fileBytes;
    private final long dataOffset;
    private final JsonInput json;
    private final List<SafetensorsTensor> tensors = new ArrayList<>();

    private SafetensorsHeaderReader(Path path, int shard, long fileBytes, long dataOffset, JsonInput json) {
        this.path = path;
        this.shard = shard;
        this.fileBytes = fileBytes;
        this.dataOffset = dataOffset;
        this.json = json;
    }

    /**
     * One file, read.
     *
     * @param path the file
     * @param headerBytes its header, the length included
     * @param tensors its tensors in the order of their data
     * @param stamp the state of the file
     */
    record Header(Path path, long headerBytes, List<SafetensorsTensor> tensors, FileStamp stamp) {}

    /** Reads the header of a file that is shard number {@code shard}, counted from 0, of its model. */
    static Header read(Path path, int shard) throws IOException {
        FileStamp stamp = FileStamp.of(path);
        FileStart start = FileStart.of(path);
        long fileBytes = stamp.bytes();
        if (start.isLfsPointer() || start.isGguf() || start.bytes().length < LENGTH_BYTES) {
            throw start.refuse(path, "a header length of 8 bytes", "safetensors");
        }
        long length =
                ByteBuffer.wrap(start.bytes()).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length < 2 || length > MAX_HEADER_BYTES) {
            throw new ModelFileException(
                    path,
                    0,
                    "a header of 2 to " + MAX_HEADER_BYTES + " bytes",
                    "one of " + Long.toUnsignedString(length),
                    "this is not a safetensors file");
        }
        if (length > fileBytes - LENGTH_BYTES) {
            throw new ModelFileException(
                    path,
                    0,
                    "a header that fits in the " + (fileBytes - LENGTH_BYTES) + " bytes left",
                    "one of " + length);
        }
        if (start.bytes()[LENGTH_BYTES] != '{') {
            throw new ModelFileException(
                    path,
                    LENGTH_BYTES,
                    "a header that starts with \"{\"",
                    ModelFileException.quote(String.valueOf((char) (start.bytes()[LENGTH_BYTES] & 0xff))),
                    "this is not a safetensors file");
        }
        long dataOffset = LENGTH_BYTES + length;
        try (JsonInput json = JsonInput.open(path, LENGTH_BYTES, length)) {
            SafetensorsHeaderReader reader = new SafetensorsHeaderReader(path, shard, fileBytes, dataOffset, json);
            reader.entries();
            reader.checkCover();
            stamp.verify(path);
            return new Header(path, dataOffset, reader.tensors, stamp);
        }
    }

    private void entries() throws IOException {
        json.expect(JsonToken.START_OBJECT, "an object");
        boolean metadata = false;
        while (json.nextName()) {
            String name = json.name();
            if (!name.equals(METADATA)) {
                tensor(name);
            } else if (metadata) {
                throw json.refuse("unique names", ModelFileException.quote(name) + " a second time");
            } else {
                metadata = true;
                metadata();
            }
        }
        json.end();
    }

    /** Texts under texts. They are judged, not kept. */
    private void metadata() throws IOException {
        json.expect(JsonToken.START_OBJECT, "an object under \"" + METADATA + "\"");
        Set<String> keys = new HashSet<>();
        while (json.nextName()) {
            if (!keys.add(json.name())) {
                throw json.refuse(
                        "unique keys in \"" + METADATA + "\"",
                        ModelFileException.quote(json.name()) + " a second time");
            }
            if (keys.size() > MAX_METADATA_KEYS) {
                throw json.refuse("at most " + MAX_METADATA_KEYS + " keys in \"" + METADATA + "\"", "one more");
            }
            json.expect(JsonToken.VALUE_STRING, "a text in \"" + METADATA + "\"");
        }
    }

    private void tensor(String name) throws IOException {
        json.about(name);
        json.expect(JsonToken.START_OBJECT, "an object for the tensor {}");
        Optional<DataType> type = Optional.empty();
        List<Long> shape = List.of();
        long begin = 0;
        long end = 0;
        int seen = 0;
        while (json.nextName()) {
            int key = KEYS.indexOf(json.name());
            if (key < 0) {
                throw json.refuse("dtype, shape and data_offsets of {}", ModelFileException.quote(json.name()));
            }
            if ((seen & 1 << key) != 0) {
                throw json.refuse("unique keys in {}", ModelFileException.quote(json.name()) + " a second time");
            }
            seen |= 1 << key;
            switch (key) {
                case 0 -> type = type();
                case 1 -> shape = shape();
                default -> {
                    json.expect(JsonToken.START_ARRAY, "the data_offsets of {}");
                    begin = offset();
                    end = offset();
                    json.expect(JsonToken.END_ARRAY, "two data_offsets of {}");
                }
            }
        }
        if (seen != ALL_KEYS) {
            throw json.refuse("dtype, shape and data_offsets of {}", "the end of the object");
        }
        add(name, type.orElseThrow(), shape, begin, end);
    }

    private Optional<DataType> type() throws IOException {
        json.expect(JsonToken.VALUE_STRING, "the dtype of {}");
        String text = json.text();
        for (DataType type : TYPES) {
            if (type.name().equals(text)) {
                return Optional.of(type);
            }
        }
        throw json.refuse("a known dtype of {}", json.describe());
    }

    private List<Long> shape() throws IOException {
        json.expect(JsonToken.START_ARRAY, "the shape of {}");
        List<Long> shape = new ArrayList<>(4);
        while (json.next("an extent of {}") != JsonToken.END_ARRAY) {
            if (shape.size() == MAX_RANK) {
                throw json.refuse("at most " + MAX_RANK + " extents of {}", "one more");
            }
            shape.add(json.count("an extent of {}"));
        }
        return shape;
    }

    private long offset() throws IOException {
        JsonToken ignored = json.next("two data_offsets of {}");
        return json.count("a data offset of {}");
    }

    private void add(String name, DataType type, List<Long> shape, long begin, long end) throws IOException {
        long bytes;
        try {
            long elements = 1;
            for (long extent : shape) {
                elements = Math.multiplyExact(elements, extent);
            }
            bytes = type.byteSize(elements);
        } catch (ArithmeticException _) {
            throw json.refuse("a tensor {} of less than 2^63 bytes", type + " with shape " + shape);
        } catch (IllegalArgumentException _) {
            throw json.refuse("values of {} that fill whole bytes", type + " with shape " + shape);
        }
        long room = fileBytes - dataOffset;
        if (begin > end || end > room) {
            throw json.refuse(
                    "the data of {} inside the " + room + " bytes behind the header", "bytes " + begin + " to " + end);
        }
        if (end - begin != bytes) {
            throw json.refuse(
                    bytes + " bytes for {}, " + type + " with shape " + shape,
                    end - begin + " from " + begin + " to " + end);
        }
        tensors.add(new SafetensorsTensor(name, type, shape, shard, dataOffset + begin, bytes));
    }

    private void checkCover() throws ModelFileException {
        tensors.sort(Comparator.comparingLong(SafetensorsTensor::fileOffset)
                .thenComparingLong(SafetensorsTensor::byteSize)
                .thenComparing(SafetensorsTensor::name));
        long end = dataOffset;
        for (SafetensorsTensor tensor : tensors) {
            if (tensor.fileOffset() != end) {
                throw new ModelFileException(
                        path,
                        tensor.fileOffset(),
                        "the data of " + ModelFileException.quote(tensor.name()) + " from byte " + end
                                + " on, right behind the tensor before it",
                        "a " + (tensor.fileOffset() > end ? "hole" : "second use") + " of "
                                + Math.abs(tensor.fileOffset() - end) + " bytes");
            }
            end += tensor.byteSize();
        }
        if (end != fileBytes) {
            throw new ModelFileException(
                    path, end, "the end of the file behind the last tensor", fileBytes - end + " bytes more");
        }
    }
}
