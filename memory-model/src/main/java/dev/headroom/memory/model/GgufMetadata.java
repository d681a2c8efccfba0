package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * The metadata of a GGUF file: values under unique keys.
 *
 * <p>Numbers, truth values, texts and arrays of numbers of up to 64 KiB are kept; of anything else only type and length
 * ({@link GgufValue.Omitted}). Numbers are asked for by value, whatever width the file gives them.
 *
 * <p>A key that is absent gives an empty result. A key that is present with a value of the wrong kind is a
 * {@link ModelFileException} naming its position: an unexpected form must not look like a missing key.
 *
 * <p>Immutable; may be used by any thread.
 */
public final class GgufMetadata {
    // A header may have a million keys of a few bytes each, and reading it may cost no more than eight times its size.
    // A map of objects would cost twenty times, so the kept part of the header stays what it was: bytes. An entry is
    // the file position of the key (4 bytes, as headers are bounded), the length of the key (2), the key, the type of
    // the value (1), then what tells the size of the value, and the value as in the file where it is kept.

    /** Where the key starts in an entry. */
    private static final int KEY_AT = 4 + 2;

    private final Path path;
    private final byte[] kept;
    private final ByteBuffer view;
    /** Where each entry starts in {@link #kept}, in file order. */
    private final int[] starts;
    /** Indexes into {@link #starts}, by key. */
    private final int[] sorted;

    private GgufMetadata(Path path, byte[] kept, ByteOrder order, int[] starts, int[] sorted) {
        this.path = path;
        this.kept = kept;
        this.view = ByteBuffer.wrap(kept).order(order);
        this.starts = starts;
        this.sorted = sorted;
    }

    /**
     * How many keys there are.
     *
     * @return 0 or more
     */
    public int size() {
        return starts.length;
    }

    /**
     * All keys in the order of the file.
     *
     * @return an unmodifiable list, built on each call
     */
    public List<String> keys() {
        List<String> keys = new ArrayList<>(starts.length);
        for (int start : starts) {
            keys.add(new String(kept, keyAt(start), keyLength(start), StandardCharsets.UTF_8));
        }
        return Collections.unmodifiableList(keys);
    }

    /**
     * The value under a key, in the form the file has it.
     *
     * @param key the full key, for example {@code llama.block_count}
     * @return the value, or empty if the key is absent
     */
    public Optional<GgufValue> value(String key) {
        OptionalInt entry = find(key);
        return entry.isPresent() ? Optional.of(decode(entry.getAsInt())) : Optional.empty();
    }

    /**
     * A whole number of any width.
     *
     * @param key the full key
     * @return the number, or empty if the key is absent
     * @throws ModelFileException if the value is of another kind or above {@link Long#MAX_VALUE}
     */
    public OptionalLong integer(String key) throws ModelFileException {
        Optional<GgufValue> value = value(key);
        if (value.isEmpty()) {
            return OptionalLong.empty();
        }
        return OptionalLong.of(
                switch (value.get()) {
                    case GgufValue.Whole whole -> nonWrapped(key, whole.type(), whole.value());
                    case GgufValue other -> throw refuse(key, "a whole number", describe(other));
                });
    }

    /**
     * One whole number per layer. Files give either an array or a single number that holds for every layer.
     *
     * @param key the full key, for example {@code llama.attention.head_count_kv}
     * @param layers how many layers the model has
     * @return that many numbers, or empty if the key is absent
     * @throws ModelFileException if the value is of another kind, or an array of another length
     */
    public Optional<List<Long>> perLayer(String key, int layers) throws ModelFileException {
        Optional<GgufValue> value = value(key);
        if (value.isEmpty()) {
            return Optional.empty();
        }
        switch (value.get()) {
            case GgufValue.Whole whole -> {
                return Optional.of(Collections.nCopies(layers, nonWrapped(key, whole.type(), whole.value())));
            }
            case GgufValue.WholeList list
            when list.values().size() == layers -> {
                for (long number : list.values()) {
                    nonWrapped(key, list.elementType(), number);
                }
                return Optional.of(list.values());
            }
            case GgufValue other ->
                throw refuse(key, "a whole number or an array of " + layers + " of them", describe(other));
        }
    }

    /**
     * A number, whole or not.
     *
     * @param key the full key
     * @return the number, or empty if the key is absent
     * @throws ModelFileException if the value is not a number
     */
    public OptionalDouble real(String key) throws ModelFileException {
        Optional<GgufValue> value = value(key);
        if (value.isEmpty()) {
            return OptionalDouble.empty();
        }
        return OptionalDouble.of(
                switch (value.get()) {
                    case GgufValue.Real real -> real.value();
                    case GgufValue.Whole whole -> nonWrapped(key, whole.type(), whole.value());
                    case GgufValue other -> throw refuse(key, "a number", describe(other));
                });
    }

    /**
     * A truth value.
     *
     * @param key the full key
     * @return the value, or empty if the key is absent
     * @throws ModelFileException if the value is of another kind
     */
    public Optional<Boolean> flag(String key) throws ModelFileException {
        Optional<GgufValue> value = value(key);
        if (value.isEmpty()) {
            return Optional.empty();
        }
        return switch (value.get()) {
            case GgufValue.Flag flag -> Optional.of(flag.value());
            case GgufValue other -> throw refuse(key, "a truth value", describe(other));
        };
    }

    /**
     * A text.
     *
     * @param key the full key
     * @return the text, or empty if the key is absent
     * @throws ModelFileException if the value is of another kind or was too long to be kept
     */
    public Optional<String> text(String key) throws ModelFileException {
        Optional<GgufValue> value = value(key);
        if (value.isEmpty()) {
            return Optional.empty();
        }
        return switch (value.get()) {
            case GgufValue.Text text -> Optional.of(text.value());
            case GgufValue other -> throw refuse(key, "a text", describe(other));
        };
    }

    /**
     * The length of an array, kept or not. That of {@code tokenizer.ggml.tokens} is the size of the vocabulary.
     *
     * @param key the full key
     * @return the number of elements, or empty if the key is absent
     * @throws ModelFileException if the value is not an array
     */
    public OptionalLong arrayLength(String key) throws ModelFileException {
        OptionalInt entry = find(key);
        if (entry.isEmpty()) {
            return OptionalLong.empty();
        }
        int at = valueAt(entry.getAsInt());
        if (typeAt(at) != GgufValueType.ARRAY) {
            throw refuse(key, "an array", describe(decode(entry.getAsInt())));
        }
        return OptionalLong.of(view.getLong(at + 2));
    }

    /**
     * Where a value lies in the file, for messages about it.
     *
     * @param key the full key
     * @return the position of the first byte of the value, or empty if the key is absent
     */
    public OptionalLong position(String key) {
        OptionalInt entry = find(key);
        if (entry.isEmpty()) {
            return OptionalLong.empty();
        }
        int start = entry.getAsInt();
        return OptionalLong.of(view.getInt(start) + 8L + keyLength(start) + 4);
    }

    /** The complaint about the value under a key that is present. */
    ModelFileException refuse(String key, String expected, String found) {
        return new ModelFileException(
                path,
                position(key).orElse(ModelFileException.NO_POSITION),
                expected + " under " + ModelFileException.quote(key),
                found);
    }

    private long nonWrapped(String key, GgufValueType type, long value) throws ModelFileException {
        if (type == GgufValueType.U64 && value < 0) {
            throw refuse(key, "a number of at most " + Long.MAX_VALUE, Long.toUnsignedString(value));
        }
        return value;
    }

    private static String describe(GgufValue value) {
        return switch (value) {
            case GgufValue.Whole whole -> "the " + whole.type() + " " + whole.value();
            case GgufValue.Real real -> "the " + real.type() + " " + real.value();
            case GgufValue.Flag flag -> "the truth value " + flag.value();
            case GgufValue.Text text -> "the text " + ModelFileException.quote(text.value());
            case GgufValue.WholeList list -> "an array of " + list.values().size() + " " + list.elementType();
            case GgufValue.RealList list -> "an array of " + list.values().size() + " " + list.elementType();
            case GgufValue.Omitted omitted
            when omitted.type() == GgufValueType.STRING -> "a text of " + omitted.count() + " bytes";
            case GgufValue.Omitted omitted -> "an array of " + omitted.count() + " " + omitted.elementType();
        };
    }

    private GgufValue decode(int start) {
        int at = valueAt(start);
        GgufValueType type = typeAt(at++);
        return switch (type) {
            case U8, I8, U16, I16, U32, I32, U64, I64 -> new GgufValue.Whole(type, wholeAt(type, at));
            case F32, F64 -> new GgufValue.Real(type, realAt(type, at));
            case BOOL -> new GgufValue.Flag(kept[at] != 0);
            case STRING -> {
                long length = view.getLong(at);
                yield isKept(type, type, length)
                        ? new GgufValue.Text(new String(kept, at + 8, (int) length, StandardCharsets.UTF_8))
                        : new GgufValue.Omitted(type, GgufValueType.U8, length);
            }
            case ARRAY -> decodeArray(typeAt(at), view.getLong(at + 1), at + 9);
        };
    }

    private GgufValue decodeArray(GgufValueType elementType, long count, int at) {
        if (!isKept(GgufValueType.ARRAY, elementType, count)) {
            return new GgufValue.Omitted(GgufValueType.ARRAY, elementType, count);
        }
        int width = elementType.minimumBytes();
        if (elementType.isInteger() || elementType == GgufValueType.BOOL) {
            List<Long> values = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                values.add(wholeAt(elementType, at + i * width));
            }
            return new GgufValue.WholeList(elementType, values);
        }
        List<Double> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            values.add(realAt(elementType, at + i * width));
        }
        return new GgufValue.RealList(elementType, values);
    }

    private long wholeAt(GgufValueType type, int at) {
        return switch (type) {
            case U8 -> kept[at] & 0xff;
            case BOOL -> kept[at] == 0 ? 0 : 1;
            case I8 -> kept[at];
            case U16 -> view.getShort(at) & 0xffff;
            case I16 -> view.getShort(at);
            case U32 -> view.getInt(at) & 0xffff_ffffL;
            case I32 -> view.getInt(at);
            case U64, I64 -> view.getLong(at);
            case F32, F64, STRING, ARRAY -> throw new IllegalArgumentException(type + " is no integer type");
        };
    }

    private double realAt(GgufValueType type, int at) {
        return type == GgufValueType.F32 ? view.getFloat(at) : view.getDouble(at);
    }

    private GgufValueType typeAt(int at) {
        GgufValueType type = GgufValueType.ofId(kept[at]);
        if (type == null) {
            throw new IllegalStateException("kept metadata is damaged at " + at);
        }
        return type;
    }

    private int keyLength(int start) {
        return view.getShort(start + 4) & 0xffff;
    }

    private static int keyAt(int start) {
        return start + KEY_AT;
    }

    private int valueAt(int start) {
        return keyAt(start) + keyLength(start);
    }

    /** The start of the entry of a key. */
    private OptionalInt find(String key) {
        byte[] wanted = key.getBytes(StandardCharsets.UTF_8);
        int low = 0;
        int high = sorted.length - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            int start = starts[sorted[middle]];
            int at = keyAt(start);
            int order = Arrays.compareUnsigned(kept, at, at + keyLength(start), wanted, 0, wanted.length);
            if (order == 0) {
                return OptionalInt.of(start);
            }
            if (order < 0) {
                low = middle + 1;
            } else {
                high = middle - 1;
            }
        }
        return OptionalInt.empty();
    }

    /** Where the entry behind this one starts. */
    private int endOf(int start) {
        int at = valueAt(start);
        GgufValueType type = typeAt(at++);
        return switch (type) {
            case STRING -> {
                long length = view.getLong(at);
                yield at + 8 + (isKept(type, type, length) ? (int) length : 0);
            }
            case ARRAY -> {
                GgufValueType elementType = typeAt(at);
                long length = view.getLong(at + 1);
                yield at + 9 + (isKept(type, elementType, length) ? (int) length * elementType.minimumBytes() : 0);
            }
            case U8, I8, U16, I16, U32, I32, F32, BOOL, U64, I64, F64 -> at + type.minimumBytes();
        };
    }

    private int compareKeys(int first, int second) {
        int a = starts[first];
        int b = starts[second];
        return Arrays.compareUnsigned(kept, keyAt(a), keyAt(a) + keyLength(a), kept, keyAt(b), keyAt(b) + keyLength(b));
    }

    /**
     * A merge sort of indexes, from runs of one up. By comparison and not by hash, because a file could be made of keys
     * that all have one hash; by hand, because the JDK sorts indexes by a comparison only as objects. Stable.
     */
    private void sortByKey() {
        int count = starts.length;
        int[] from = new int[count];
        int[] to = new int[count];
        Arrays.setAll(from, i -> i);
        for (int run = 1; run < count; run *= 2) {
            for (int low = 0; low < count; low += 2 * run) {
                int middle = Math.min(low + run, count);
                int high = Math.min(low + 2 * run, count);
                int left = low;
                int right = middle;
                for (int i = low; i < high; i++) {
                    boolean takeLeft = left < middle && (right == high || compareKeys(from[left], from[right]) <= 0);
                    to[i] = takeLeft ? from[left++] : from[right++];
                }
            }
            int[] swapped = from;
            from = to;
            to = swapped;
        }
        System.arraycopy(from, 0, sorted, 0, count);
    }

    /** Whether the contents of a text or array are kept; a matter of type and length alone. */
    static boolean isKept(GgufValueType type, GgufValueType elementType, long count) {
        if (type == GgufValueType.ARRAY) {
            return elementType.hasFixedSize() && count <= GgufLimits.MAX_KEPT_VALUE_BYTES / elementType.minimumBytes();
        }
        return count <= GgufLimits.MAX_KEPT_VALUE_BYTES;
    }

    /** Takes the entries in the order of the file. For one thread. */
    static final class Collector {

        private final HeaderInput input;
        private ByteBuffer kept;
        private int count;

        Collector(HeaderInput input) {
            this.input = input;
            this.kept = ByteBuffer.allocate(1024).order(input.order());
        }

        /** Begins an entry; the key follows in the input. */
        void key(long filePosition, int keyLength) throws IOException {
            reserve(KEY_AT + keyLength);
            kept.putInt((int) filePosition).putShort((short) keyLength);
            int from = kept.position();
            take(keyLength, "a key");
            input.requireText(kept.array(), from, keyLength, filePosition + 8, "a key");
            count++;
        }

        void type(GgufValueType type) {
            reserve(1);
            kept.put((byte) type.id());
        }

        void length(long length) {
            reserve(8);
            kept.putLong(length);
        }

        /** Moves bytes from the input into the entry begun last. */
        void take(int bytes, String what) throws IOException {
            input.require(bytes, what);
            reserve(bytes);
            input.bytes(kept.array(), kept.position(), bytes, what);
            kept.position(kept.position() + bytes);
        }

        /** Sorts the entries and refuses the file if a key occurs twice. */
        GgufMetadata finish(Path path) throws ModelFileException {
            byte[] bytes = Arrays.copyOf(kept.array(), kept.position());
            int[] starts = new int[count];
            int[] sorted = new int[count];
            GgufMetadata metadata = new GgufMetadata(path, bytes, kept.order(), starts, sorted);
            int at = 0;
            for (int i = 0; i < count; i++) {
                starts[i] = at;
                at = metadata.endOf(at);
            }
            metadata.sortByKey();
            for (int i = 1; i < count; i++) {
                if (metadata.compareKeys(sorted[i - 1], sorted[i]) == 0) {
                    int start = starts[sorted[i]];
                    String key = new String(bytes, keyAt(start), metadata.keyLength(start), StandardCharsets.UTF_8);
                    throw input.refuse(
                            metadata.view.getInt(start),
                            "unique keys",
                            ModelFileException.quote(key) + " a second time");
                }
            }
            return metadata;
        }

        private void reserve(int bytes) {
            if (kept.remaining() < bytes) {
                int needed = kept.position() + bytes;
                byte[] larger = Arrays.copyOf(kept.array(), needed + (needed >> 1));
                kept = ByteBuffer.wrap(larger).order(kept.order()).position(kept.position());
            }
        }
    }
}
