package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.util.EnumSet;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;

/**
 * How a model will be run, as far as its memory depends on it. The names and defaults are those of llama.cpp.
 *
 * {@snippet lang = java :
 * FootprintOptions options = FootprintOptions.builder()
 *         .contextLength(32_768)
 *         .kvTypes(DataType.Q8_0, DataType.Q8_0)
 *         .flashAttention(true)
 *         .build();
 * }
 *
 * <p>Immutable; may be used by any thread.
 *
 * @param contextLength tokens of context for all sequences together, 1 or more; empty for the smaller of what the model
 *     was trained for and {@link #DEFAULT_CONTEXT}
 * @param batch tokens taken in at once, 1 or more; 2048 unless set
 * @param ubatch tokens computed at once, 1 or more; 512 unless set
 * @param sequences how many texts are worked on at once, 1 to 65536; 1 unless set
 * @param keyType type of the keys in the cache, one of {@link #KV_TYPES}; F16 unless set
 * @param valueType type of the values in the cache; F16 unless set
 * @param flashAttention whether the engine computes attention without the score matrix; false unless set
 * @param fullWindows whether window layers hold the whole context, as engines without a window cache do; false unless set
 * @param unifiedCache whether all sequences share one cache of the whole context, as {@code --kv-unified} makes them; false
 *     unless set, and then each has a cache of its own with its share of the context
 * @param gpuLayers how many blocks, from the last, lie on the device; the output does if it is more than there are; empty
 *     for everything
 * @param latentCache how the cache of latent layers is laid out; {@link LatentCache#BY_FILE} unless set
 * @param encoderCache whether an encoder gets a cache, as engines before 2025 gave it; false unless set
 * @param stateCopies further copies of a recurrent state, kept to go back to; 0 unless set
 * @param overhead what the device's driver takes for itself
 * @param marginBytes room left on purpose; 0 unless set, as devices have a margin of their own
 * @param onHost whether the device is the host itself, where everything lies in one memory; false unless set
 */
public record FootprintOptions(
        OptionalLong contextLength,
        long batch,
        long ubatch,
        long sequences,
        DataType keyType,
        DataType valueType,
        boolean flashAttention,
        boolean fullWindows,
        boolean unifiedCache,
        OptionalLong gpuLayers,
        LatentCache latentCache,
        boolean encoderCache,
        long stateCopies,
        Overhead overhead,
        long marginBytes,
        boolean onHost) {

    /** The context where nothing else is said and the model was trained for more. */
    public static final long DEFAULT_CONTEXT = 4096;

    /** The types a cache can have. */
    public static final Set<DataType> KV_TYPES = Set.copyOf(EnumSet.of(
            DataType.F32,
            DataType.F16,
            DataType.BF16,
            DataType.Q8_0,
            DataType.Q5_1,
            DataType.Q5_0,
            DataType.Q4_1,
            DataType.Q4_0,
            DataType.IQ4_NL));

    private static final long MAX_SEQUENCES = 1 << 16;
    private static final long MAX_STATE_COPIES = 1 << 10;

    /** How the cache of a model with multi-head latent attention is laid out. */
    public enum LatentCache {
        /** As the file was made for: expanded for old files, latent otherwise. */
        BY_FILE,
        /** The latent vector as key, and again, without positions, as value. */
        LATENT,
        /** The latent vector once. */
        LATENT_KEY_ONLY,
        /** Keys and values of every head. */
        EXPANDED
    }

    /** What the driver takes when a device is opened. */
    public enum Overhead {
        /** A context and kernels: 150 to 500 MiB as measured. */
        NEW_CONTEXT,
        /** Nothing more: a context is open already, or the device has none. */
        NONE
    }

    /** Checks the numbers. */
    public FootprintOptions {
        Objects.requireNonNull(latentCache, "latentCache");
        Objects.requireNonNull(overhead, "overhead");
        if (contextLength.isPresent()) {
            requireFrom("contextLength", contextLength.getAsLong(), 1, Long.MAX_VALUE);
        }
        if (gpuLayers.isPresent()) {
            requireFrom("gpuLayers", gpuLayers.getAsLong(), 0, Long.MAX_VALUE);
        }
        requireFrom("batch", batch, 1, Long.MAX_VALUE);
        requireFrom("ubatch", ubatch, 1, Long.MAX_VALUE);
        requireFrom("sequences", sequences, 1, MAX_SEQUENCES);
        requireFrom("stateCopies", stateCopies, 0, MAX_STATE_COPIES);
        requireFrom("marginBytes", marginBytes, 0, Long.MAX_VALUE);
        requireKvType("keyType", keyType);
        requireKvType("valueType", valueType);
        if (valueType.isBlockType() && !flashAttention) {
            throw new IllegalArgumentException("values of type " + valueType
                    + " need flash attention: turn it on, or keep values in F16, BF16 or F32");
        }
    }

    /**
     * The defaults.
     *
     * @return options of a builder nothing was set on
     */
    public static FootprintOptions defaults() {
        return builder().build();
    }

    /**
     * Starts with the defaults.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Starts with these options.
     *
     * @return a builder
     */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.contextLength = contextLength;
        builder.batch = batch;
        builder.ubatch = ubatch;
        builder.sequences = sequences;
        builder.keyType = keyType;
        builder.valueType = valueType;
        builder.flashAttention = flashAttention;
        builder.fullWindows = fullWindows;
        builder.unifiedCache = unifiedCache;
        builder.gpuLayers = gpuLayers;
        builder.latentCache = latentCache;
        builder.encoderCache = encoderCache;
        builder.stateCopies = stateCopies;
        builder.overhead = overhead;
        builder.marginBytes = marginBytes;
        builder.onHost = onHost;
        return builder;
    }

    private static void requireFrom(String name, long value, long least, long most) {
        if (value < least || value > most) {
            throw new IllegalArgumentException(name + " must be "
                    + (most == Long.MAX_VALUE ? least + " or more" : least + " to " + most) + ", but is " + value);
        }
    }

    private static void requireKvType(String name, DataType type) {
        if (!KV_TYPES.contains(type)) {
            throw new IllegalArgumentException(
                    name + " must be one of " + KV_TYPES.stream().sorted().toList() + ", but is " + type);
        }
    }

    /** Collects options. For one thread. */
    public static final class Builder {
        private OptionalLong contextLength = OptionalLong.empty();
        private long batch = 2048;
        private long ubatch = 512;
        private long sequences = 1;
        private DataType keyType = DataType.F16;
        private DataType valueType = DataType.F16;
        private boolean flashAttention;
        private boolean fullWindows;
        private boolean unifiedCache;
        private OptionalLong gpuLayers = OptionalLong.empty();
        private LatentCache latentCache = LatentCache.BY_FILE;
        private boolean encoderCache;
        private long stateCopies;
        private Overhead overhead = Overhead.NEW_CONTEXT;
        private long marginBytes;
        private boolean onHost;

        private Builder() {}

        /**
         * Sets {@link FootprintOptions#contextLength}.
         *
         * @param tokens 1 or more
         * @return this
         */
        public Builder contextLength(long tokens) {
            contextLength = OptionalLong.of(tokens);
            return this;
        }

        /**
         * Sets {@link FootprintOptions#batch}.
         *
         * @param tokens 1 or more
         * @return this
         */
        public Builder batch(long tokens) {
            batch = tokens;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#ubatch}.
         *
         * @param tokens 1 or more
         * @return this
         */
        public Builder ubatch(long tokens) {
            ubatch = tokens;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#sequences}.
         *
         * @param count 1 to 65536
         * @return this
         */
        public Builder sequences(long count) {
            sequences = count;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#keyType} and {@link FootprintOptions#valueType}.
         *
         * @param key one of {@link FootprintOptions#KV_TYPES}
         * @param value another, or the same; a quantised one needs flash attention
         * @return this
         */
        public Builder kvTypes(DataType key, DataType value) {
            keyType = Objects.requireNonNull(key, "key");
            valueType = Objects.requireNonNull(value, "value");
            return this;
        }

        /**
         * Sets {@link FootprintOptions#flashAttention}.
         *
         * @param on whether it is used
         * @return this
         */
        public Builder flashAttention(boolean on) {
            flashAttention = on;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#fullWindows}.
         *
         * @param full whether window layers hold the whole context
         * @return this
         */
        public Builder fullWindows(boolean full) {
            fullWindows = full;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#unifiedCache}.
         *
         * @param unified whether all sequences share one cache
         * @return this
         */
        public Builder unifiedCache(boolean unified) {
            unifiedCache = unified;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#gpuLayers}.
         *
         * @param blocks 0 or more
         * @return this
         */
        public Builder gpuLayers(long blocks) {
            gpuLayers = OptionalLong.of(blocks);
            return this;
        }

        /**
         * Sets {@link FootprintOptions#latentCache}.
         *
         * @param layout how the cache is laid out
         * @return this
         */
        public Builder latentCache(LatentCache layout) {
            latentCache = layout;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#encoderCache}.
         *
         * @param counted whether an encoder gets a cache
         * @return this
         */
        public Builder encoderCache(boolean counted) {
            encoderCache = counted;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#stateCopies}.
         *
         * @param copies 0 to 1024
         * @return this
         */
        public Builder stateCopies(long copies) {
            stateCopies = copies;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#overhead}.
         *
         * @param newOverhead what the driver takes
         * @return this
         */
        public Builder overhead(Overhead newOverhead) {
            overhead = newOverhead;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#marginBytes}.
         *
         * @param bytes 0 or more
         * @return this
         */
        public Builder marginBytes(long bytes) {
            marginBytes = bytes;
            return this;
        }

        /**
         * Sets {@link FootprintOptions#onHost}.
         *
         * @param host whether the device is the host itself
         * @return this
         */
        public Builder onHost(boolean host) {
            onHost = host;
            return this;
        }

        /**
         * The options.
         *
         * @return them
         * @throws IllegalArgumentException if one is outside its range, or two do not go together
         */
        public FootprintOptions build() {
            return new FootprintOptions(
                    contextLength,
                    batch,
                    ubatch,
                    sequences,
                    keyType,
                    valueType,
                    flashAttention,
                    fullWindows,
                    unifiedCache,
                    gpuLayers,
                    latentCache,
                    encoderCache,
                    stateCopies,
                    overhead,
                    marginBytes,
                    onHost);
        }
    }
}
