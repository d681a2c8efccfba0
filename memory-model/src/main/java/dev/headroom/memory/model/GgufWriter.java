package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.IntFunction;

/**
 * Writes a GGUF file: a header that is complete before the first byte is written, then the tensors, streamed.
 *
 * {@snippet lang = java :
 * GgufWriter writer = GgufWriter.builder()
 *         .put("general.architecture", new GgufValue.Text("llama"))
 *         .put("llama.block_count", GgufValue.Whole.u32(1))
 *         .tensor("token_embd.weight", DataType.F16, 64, 1000)
 *         .build();
 * writer.write(path, new SyntheticWeights(42), WriteProgress.none());
 * }
 *
 * <p>The file appears under its final name only when it is complete: it is written under a temporary name in the same
 * folder and moved in one step, over a file of that name if there is one. On any failure the temporary file is deleted.
 * Whether the file fits is checked before it is begun.
 *
 * <p>An interrupt of the writing thread ends the writing within a chunk with {@link InterruptedIOException}; the
 * interrupt flag stays set.
 *
 * <p>A writer is immutable and may be used by any thread, and more than once; its builder is for one thread.
 */
public final class GgufWriter {

    /** As many as systems follow. */
    private static final int MAX_LINKS = 40;

    private static final int CHUNK_BYTES = 4 << 20;

    private final byte[] header;
    private final ByteOrder order;
    private final int alignment;
    private final List<GgufTensor> tensors;
    private final long fileBytes;

    private GgufWriter(byte[] header, ByteOrder order, int alignment, List<GgufTensor> tensors, long fileBytes) {
        this.header = header;
        this.order = order;
        this.alignment = alignment;
        this.tensors = tensors;
        this.fileBytes = fileBytes;
    }

    /**
     * Starts the description of a file: version 3, little-endian, alignment 32, empty.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * The size of the file.
     *
     * @return bytes, header and padding included
     */
    public long byteSize() {
        return fileBytes;
    }

    /**
     * The tensors as they will lie in the file.
     *
     * @return an unmodifiable list in file order
     */
    public List<GgufTensor> tensors() {
        return tensors;
    }

    /**
     * Writes the file.
     *
     * @param target its final name; the folder must exist. Of a link the file behind it is written
     * @param source the bytes of the tensors
     * @param progress is told how far it is
     * @throws ModelWriteException if the file does not fit or cannot be written; nothing is left behind
     * @throws InterruptedIOException if the thread was interrupted; nothing is left behind
     * @throws IOException never otherwise
     */
    public void write(Path target, TensorSource source, WriteProgress progress) throws IOException {
        OptionalLong free = freeBytes(target);
        if (free.isPresent() && free.getAsLong() < fileBytes) {
            throw new ModelWriteException(target, fileBytes, free, "the file system is too full", null);
        }
        writeAndMove(target, channel -> {
            writeFully(channel, ByteBuffer.wrap(header));
            progress.wrote(header.length, fileBytes);
            long position = header.length;
            try (Arena arena = Arena.ofConfined()) {
                ByteBuffer chunk =
                        arena.allocate(CHUNK_BYTES, Long.BYTES).asByteBuffer().order(order);
                for (GgufTensor tensor : tensors) {
                    position += pad(channel, tensor.fileOffset() - position);
                    position += copy(channel, tensor, source, chunk, progress, position);
                }
            }
            if (position < fileBytes) {
                pad(channel, fileBytes - position);
                progress.wrote(fileBytes, fileBytes);
            }
        });
    }

    /**
     * Writes the header and leaves the tensors a hole of the right size, which reads as zeros and takes no space where
     * the file system knows sparse files. For tests of what only reads headers.
     *
     * @param target its final name; the folder must exist
     * @throws ModelWriteException if the file cannot be written; nothing is left behind
     * @throws InterruptedIOException if the thread was interrupted; nothing is left behind
     * @throws IOException never otherwise
     */
    public void writeSparse(Path target) throws IOException {
        writeAndMove(target, channel -> {
            writeFully(channel, ByteBuffer.wrap(header));
            if (fileBytes > header.length) {
                channel.position(fileBytes - 1);
                writeFully(channel, ByteBuffer.allocate(1));
            }
        });
    }

    private long copy(
            FileChannel channel,
            GgufTensor tensor,
            TensorSource source,
            ByteBuffer chunk,
            WriteProgress progress,
            long position)
            throws IOException {
        int unit = tensor.type().bytesPerBlock() * 8;
        int step = chunk.capacity() / unit * unit;
        long offset = 0;
        while (offset < tensor.byteSize()) {
            if (Thread.currentThread().isInterrupted()) {
                throw new ClosedByInterruptException();
            }
            int bytes = (int) Math.min(step, tensor.byteSize() - offset);
            source.fill(tensor, offset, chunk.clear().limit(bytes));
            if (chunk.position() != bytes || chunk.limit() != bytes) {
                throw new IllegalStateException("the source gave " + chunk.position() + " of " + bytes + " bytes of "
                        + tensor.name() + " at offset " + offset);
            }
            writeFully(channel, chunk.flip());
            offset += bytes;
            progress.wrote(position + offset, fileBytes);
        }
        return offset;
    }

    private long pad(FileChannel channel, long bytes) throws IOException {
        if (bytes < 0 || bytes >= alignment) {
            throw new IllegalStateException("padding of " + bytes + " bytes");
        }
        writeFully(channel, ByteBuffer.allocate((int) bytes));
        return bytes;
    }

    private static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    /** What to do with the open temporary file. */
    private interface Body {
        void writeTo(FileChannel channel) throws IOException;
    }

    private void writeAndMove(Path named, Body body) throws IOException {
        Path target = behindLinks(named);
        Path folder = folderOf(target);
        if (!Files.isDirectory(folder)) {
            throw new ModelWriteException(target, fileBytes, OptionalLong.empty(), "its folder does not exist", null);
        }
        if (Files.isDirectory(target)) {
            throw new ModelWriteException(target, fileBytes, freeBytes(target), "it is a folder", null);
        }
        if (Files.exists(target) && !Files.isRegularFile(target)) { // a device, say, which the move would replace
            throw new ModelWriteException(target, fileBytes, OptionalLong.empty(), "it is not a regular file", null);
        }
        Path temporary = folder.resolve(
                ".headroom-" + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".part");
        try {
            try (FileChannel channel =
                    FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                body.writeTo(channel);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (ClosedByInterruptException e) {
            discard(temporary, e);
            InterruptedIOException interrupted =
                    new InterruptedIOException("writing " + target + " was stopped by an interrupt");
            interrupted.initCause(e);
            throw interrupted;
        } catch (IOException e) {
            discard(temporary, e);
            String reason = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
            throw new ModelWriteException(target, fileBytes, freeBytes(target), reason, e);
        } catch (RuntimeException | Error e) {
            // From the source or the progress listener: theirs to explain, ours to clean up after.
            discard(temporary, e);
            throw e;
        }
    }

    /** What a link stands for: the file behind it is replaced, and the link stays. */
    private Path behindLinks(Path target) throws IOException {
        Path at = target;
        for (int i = 0; i < MAX_LINKS; i++) {
            if (!Files.isSymbolicLink(at)) {
                return at;
            }
            at = at.resolveSibling(Files.readSymbolicLink(at));
        }
        throw new ModelWriteException(target, fileBytes, OptionalLong.empty(), "it is a link that leads nowhere", null);
    }

    private static void discard(Path temporary, Throwable cause) {
        try {
            Files.deleteIfExists(temporary);
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    private static Path folderOf(Path target) {
        Path folder = target.toAbsolutePath().getParent();
        return folder == null ? target.toAbsolutePath() : folder;
    }

    private static OptionalLong freeBytes(Path target) {
        try {
            return OptionalLong.of(Files.getFileStore(folderOf(target)).getUsableSpace());
        } catch (IOException _) {
            return OptionalLong.empty();
        }
    }

    /**
     * Describes a file. Every limit a reader enforces is enforced here, so that what is built can be read. For one
     * thread.
     */
    public static final class Builder {

        private record Planned(String name, DataType type, List<Long> dims, long byteSize) {}

        private final Set<String> keys = new HashSet<>();
        private final Set<String> names = new HashSet<>();
        private final List<Planned> planned = new ArrayList<>();
        private int version = GgufLimits.MAX_VERSION;
        private int alignment = GgufLimits.DEFAULT_ALIGNMENT;
        private final Encoder values = new Encoder();

        private Builder() {}

        /**
         * Sets the format version.
         *
         * @param newVersion 2 or 3
         * @return this builder
         */
        public Builder version(int newVersion) {
            if (newVersion < GgufLimits.MIN_VERSION || newVersion > GgufLimits.MAX_VERSION) {
                throw new IllegalArgumentException("version must be 2 or 3, but is " + newVersion);
            }
            version = newVersion;
            return this;
        }

        /**
         * Sets the byte order of header and tensor data. Must come before the first key.
         *
         * @param newOrder the order
         * @return this builder
         */
        public Builder order(ByteOrder newOrder) {
            if (!keys.isEmpty()) {
                throw new IllegalStateException("the byte order must be set before the first key");
            }
            values.order(newOrder);
            return this;
        }

        /**
         * Sets what tensor offsets are multiples of. Anything but 32 is written into the metadata.
         *
         * @param newAlignment a power of two, at most 1 MiB
         * @return this builder
         */
        public Builder alignment(int newAlignment) {
            if (!GgufLimits.isAlignment(newAlignment)) {
                throw new IllegalArgumentException("alignment must be a power of two of at most "
                        + GgufLimits.MAX_ALIGNMENT + ", but is " + newAlignment);
            }
            alignment = newAlignment;
            return this;
        }

        /**
         * Adds a metadata value.
         *
         * @param key a new key of 1 to 65535 bytes of UTF-8; the alignment has a method of its own
         * @param value anything but {@link GgufValue.Omitted}
         * @return this builder
         */
        public Builder put(String key, GgufValue value) {
            switch (value) {
                case GgufValue.Whole whole -> {
                    checkFits(key, whole.type(), whole.value());
                    key(key, whole.type()).whole(whole.type(), whole.value());
                }
                case GgufValue.Real real -> key(key, real.type()).real(real.type(), real.value());
                case GgufValue.Flag flag ->
                    key(key, GgufValueType.BOOL).whole(GgufValueType.BOOL, flag.value() ? 1 : 0);
                case GgufValue.Text text -> key(key, GgufValueType.STRING).text(text.value());
                case GgufValue.WholeList list -> {
                    list.values().forEach(number -> checkFits(key, list.elementType(), number));
                    Encoder encoder =
                            array(key, list.elementType(), list.values().size());
                    list.values().forEach(number -> encoder.whole(list.elementType(), number));
                }
                case GgufValue.RealList list -> {
                    Encoder encoder =
                            array(key, list.elementType(), list.values().size());
                    list.values().forEach(number -> encoder.real(list.elementType(), number));
                }
                case GgufValue.Omitted _ ->
                    throw new IllegalArgumentException("the value under " + key + " was not kept when it was read");
            }
            return this;
        }

        /**
         * Adds an array of texts, for example a vocabulary.
         *
         * @param key a new key
         * @param count how many texts, at least 0
         * @param text gives each of them
         * @return this builder
         */
        public Builder putTexts(String key, int count, IntFunction<String> text) {
            if (count < 0) {
                throw new IllegalArgumentException("count must be at least 0, but is " + count);
            }
            Encoder encoder = array(key, GgufValueType.STRING, count);
            for (int i = 0; i < count; i++) {
                encoder.text(text.apply(i));
            }
            return this;
        }

        /**
         * Adds a tensor behind those added before.
         *
         * @param name a new name of 1 to 63 bytes of UTF-8
         * @param type a type GGUF can express
         * @param dims one to four extents, fastest-moving first, the first a multiple of the block
         * @return this builder
         */
        public Builder tensor(String name, DataType type, long... dims) {
            int length = name.getBytes(StandardCharsets.UTF_8).length;
            if (length < 1 || length > GgufLimits.MAX_TENSOR_NAME_BYTES) {
                throw new IllegalArgumentException("a tensor name must have 1 to " + GgufLimits.MAX_TENSOR_NAME_BYTES
                        + " bytes, but " + ModelFileException.quote(name) + " has " + length);
            }
            if (type.ggufId().isEmpty()) {
                throw new IllegalArgumentException("GGUF cannot express " + type);
            }
            if (dims.length < 1 || dims.length > GgufLimits.MAX_DIMS) {
                throw new IllegalArgumentException(name + " must have 1 to 4 dimensions, but has " + dims.length);
            }
            long elements = 1;
            List<Long> extents = new ArrayList<>();
            for (long dim : dims) {
                if (dim < 1) {
                    throw new IllegalArgumentException(
                            "dimensions of " + name + " must be at least 1, but one is " + dim);
                }
                elements = Math.multiplyExact(elements, dim);
                extents.add(dim);
            }
            if (dims[0] % type.valuesPerBlock() != 0) {
                throw new IllegalArgumentException("the first dimension of " + name + " must be a multiple of "
                        + type.valuesPerBlock() + " for " + type + ", but is " + dims[0]);
            }
            if (planned.size() == GgufLimits.MAX_TENSORS) {
                throw new IllegalArgumentException("a file has at most " + GgufLimits.MAX_TENSORS + " tensors");
            }
            if (!names.add(name)) {
                throw new IllegalArgumentException("a second tensor " + ModelFileException.quote(name));
            }
            planned.add(new Planned(name, type, extents, type.byteSize(elements)));
            return this;
        }

        /**
         * Lays the file out.
         *
         * @return a writer; this builder must not be used any more
         * @throws ArithmeticException if the file would have 2^63 bytes or more
         */
        public GgufWriter build() {
            if (alignment != GgufLimits.DEFAULT_ALIGNMENT) {
                key("general.alignment", GgufValueType.U32).whole(GgufValueType.U32, alignment);
            }
            Encoder header = new Encoder();
            header.bytes("GGUF".getBytes(StandardCharsets.US_ASCII));
            header.order(values.order());
            header.whole(GgufValueType.U32, version);
            header.whole(GgufValueType.U64, planned.size());
            header.whole(GgufValueType.U64, keys.size());
            header.bytes(values.toByteArray());
            long end = 0;
            List<Long> offsets = new ArrayList<>();
            for (Planned tensor : planned) {
                offsets.add(end);
                header.text(tensor.name());
                header.whole(GgufValueType.U32, tensor.dims().size());
                tensor.dims().forEach(dim -> header.whole(GgufValueType.U64, dim));
                header.whole(GgufValueType.U32, tensor.type().ggufId().orElseThrow());
                header.whole(GgufValueType.U64, end);
                end = GgufLimits.align(Math.addExact(end, tensor.byteSize()), alignment);
            }
            byte[] bytes = header.toByteArray();
            if (bytes.length > GgufLimits.MAX_HEADER_BYTES) {
                throw new IllegalArgumentException("the header would have " + bytes.length + " bytes, but may have "
                        + GgufLimits.MAX_HEADER_BYTES);
            }
            long dataOffset = GgufLimits.align(bytes.length, alignment);
            List<GgufTensor> tensors = new ArrayList<>();
            for (int i = 0; i < planned.size(); i++) {
                Planned tensor = planned.get(i);
                tensors.add(new GgufTensor(
                        tensor.name(),
                        tensor.type(),
                        tensor.dims(),
                        0,
                        Math.addExact(dataOffset, offsets.get(i)),
                        tensor.byteSize()));
            }
            return new GgufWriter(
                    bytes, values.order(), alignment, List.copyOf(tensors), Math.addExact(dataOffset, end));
        }

        private Encoder key(String key, GgufValueType type) {
            int length = key.getBytes(StandardCharsets.UTF_8).length;
            if (length < 1 || length > GgufLimits.MAX_KEY_BYTES) {
                throw new IllegalArgumentException("a key must have 1 to " + GgufLimits.MAX_KEY_BYTES + " bytes, but "
                        + ModelFileException.quote(key) + " has " + length);
            }
            if (keys.size() == GgufLimits.MAX_KEYS) {
                throw new IllegalArgumentException("a file has at most " + GgufLimits.MAX_KEYS + " keys");
            }
            if (!keys.add(key)) {
                throw new IllegalArgumentException("a second value under " + ModelFileException.quote(key));
            }
            values.text(key);
            return values.whole(GgufValueType.U32, type.id());
        }

        private Encoder array(String key, GgufValueType elementType, int count) {
            return key(key, GgufValueType.ARRAY)
                    .whole(GgufValueType.U32, elementType.id())
                    .whole(GgufValueType.U64, count);
        }

        private static void checkFits(String key, GgufValueType type, long value) {
            int bits = type.minimumBytes() * 8;
            boolean fits = switch (type) {
                case U8, U16, U32 -> value >>> bits == 0;
                case I8, I16, I32 -> value >> (bits - 1) == value >> 63;
                case BOOL -> value == 0 || value == 1;
                case U64, I64 -> true;
                case F32, F64, STRING, ARRAY -> false;
            };
            if (!fits) {
                throw new IllegalArgumentException(value + " under " + key + " does not fit in " + type);
            }
        }
    }

    /** Numbers and texts as bytes of one order. */
    private static final class Encoder {

        private final ByteArrayOutputStream out = new ByteArrayOutputStream();
        private final ByteBuffer scratch = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);

        void order(ByteOrder order) {
            scratch.order(order);
        }

        ByteOrder order() {
            return scratch.order();
        }

        Encoder whole(GgufValueType type, long value) {
            scratch.clear();
            switch (type.minimumBytes()) {
                case 1 -> scratch.put((byte) value);
                case 2 -> scratch.putShort((short) value);
                case 4 -> scratch.putInt((int) value);
                default -> scratch.putLong(value);
            }
            out.write(scratch.array(), 0, scratch.position());
            return this;
        }

        Encoder real(GgufValueType type, double value) {
            return type == GgufValueType.F32
                    ? whole(GgufValueType.U32, Float.floatToRawIntBits((float) value))
                    : whole(GgufValueType.U64, Double.doubleToRawLongBits(value));
        }

        Encoder text(String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            if (bytes.length > GgufLimits.MAX_STRING_BYTES) {
                throw new IllegalArgumentException("a text must have at most " + GgufLimits.MAX_STRING_BYTES
                        + " bytes, but " + ModelFileException.quote(text) + " has " + bytes.length);
            }
            whole(GgufValueType.U64, bytes.length);
            return bytes(bytes);
        }

        Encoder bytes(byte[] bytes) {
            out.writeBytes(bytes);
            return this;
        }

        byte[] toByteArray() {
            return out.toByteArray();
        }
    }
}
