package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * What is to be placed. Start from {@link #builder}.
 *
 * @param layers the layers in order, 1 to 65536
 * @param embeddingBytes the token embedding
 * @param embeddingOnHost whether the embedding stays on the host if there is one, as most engines keep it; otherwise it goes
 *     where the first layer goes
 * @param outputBytes what turns the last layer's values into tokens: the output matrix and its buffers. Goes where the last
 *     layer goes, unless more layers fit on devices without it
 * @param tiedBytes how much of the output is the embedding itself, as in tied models: counted once where both lie at the same
 *     place, and twice where they do not, as each place needs a copy then
 * @param computeBytes what computing takes on each device that holds a layer or the output
 * @param hostComputeBytes what the host takes for its share of the work, if it holds any part
 * @param groups layers that must lie together
 */
public record PlacementModel(
        List<LayerBytes> layers,
        long embeddingBytes,
        boolean embeddingOnHost,
        long outputBytes,
        long tiedBytes,
        long computeBytes,
        long hostComputeBytes,
        List<LayerGroup> groups) {

    private static final int MAX_LAYERS = 65_536;

    /** Refuses what is no model, and sizes that together are more than a {@code long} can count. */
    public PlacementModel {
        layers = List.copyOf(layers);
        if (layers.isEmpty() || layers.size() > MAX_LAYERS) {
            throw new IllegalArgumentException("layers are " + layers.size() + ": must be 1 to " + MAX_LAYERS);
        }
        Sizes.requireNotNegative("embeddingBytes", embeddingBytes);
        Sizes.requireNotNegative("outputBytes", outputBytes);
        Sizes.requireNotNegative("tiedBytes", tiedBytes);
        if (tiedBytes > Math.min(embeddingBytes, outputBytes)) {
            throw new IllegalArgumentException("tiedBytes is " + tiedBytes + ": must be up to the embedding's "
                    + embeddingBytes + " and the output's " + outputBytes);
        }
        Sizes.requireNotNegative("computeBytes", computeBytes);
        Sizes.requireNotNegative("hostComputeBytes", hostComputeBytes);
        groups = groups.stream()
                .sorted(Comparator.comparingInt(LayerGroup::first))
                .toList();
        requireDisjoint(groups, layers.size());
        requireCountable(layers, embeddingBytes, outputBytes, computeBytes, hostComputeBytes);
    }

    /**
     * A builder of a model without layers.
     *
     * @return the builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Whether any layer has experts.
     *
     * @return true if so
     */
    public boolean hasExperts() {
        return layers.stream().anyMatch(layer -> layer.expertBytes() > 0);
    }

    private static void requireDisjoint(List<LayerGroup> groups, int layers) {
        int next = 0;
        for (LayerGroup group : groups) {
            if (group.first() < next) {
                throw new IllegalArgumentException("groups overlap at layer " + group.first());
            }
            if (group.last() >= layers) {
                throw new IllegalArgumentException(
                        "a group ends at layer " + group.last() + ", but the last layer is " + (layers - 1));
            }
            next = group.last() + 1;
        }
    }

    private static void requireCountable(List<LayerBytes> layers, long... shared) {
        try {
            long sum = 0;
            for (long bytes : shared) {
                sum = Math.addExact(sum, bytes);
            }
            for (LayerBytes layer : layers) {
                sum = Math.addExact(sum, Math.addExact(layer.weightBytes(), layer.expertBytes()));
                sum = Math.addExact(sum, Math.addExact(layer.cacheBytes(), layer.stateBytes()));
            }
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("the parts of the model are more than " + Long.MAX_VALUE + " bytes", e);
        }
    }

    /** Collects a {@link PlacementModel}. Not thread-safe. */
    public static final class Builder {

        private final List<LayerBytes> layers = new ArrayList<>();
        private final List<LayerGroup> groups = new ArrayList<>();
        private long embeddingBytes;
        private boolean embeddingOnHost = true;
        private long outputBytes;
        private long tiedBytes;
        private long computeBytes;
        private long hostComputeBytes;

        private Builder() {}

        /**
         * Adds a layer.
         *
         * @param layer the next one
         * @return this builder
         */
        public Builder layer(LayerBytes layer) {
            layers.add(layer);
            return this;
        }

        /**
         * Adds layers.
         *
         * @param more the next ones
         * @return this builder
         */
        public Builder layers(List<LayerBytes> more) {
            layers.addAll(more);
            return this;
        }

        /**
         * Sets the token embedding; 0 unless set.
         *
         * @param bytes 0 or more
         * @param onHost whether it stays on the host if there is one
         * @return this builder
         */
        public Builder embedding(long bytes, boolean onHost) {
            embeddingBytes = bytes;
            embeddingOnHost = onHost;
            return this;
        }

        /**
         * Sets what turns the last layer's values into tokens; 0 unless set.
         *
         * @param bytes 0 or more
         * @return this builder
         */
        public Builder output(long bytes) {
            outputBytes = bytes;
            return this;
        }

        /**
         * Sets how much of the output is the embedding itself; 0 unless set.
         *
         * @param bytes 0 or more, contained both in what {@link #embedding} and in what {@link #output} was given
         * @return this builder
         */
        public Builder tied(long bytes) {
            tiedBytes = bytes;
            return this;
        }

        /**
         * Sets what computing takes; 0 unless set.
         *
         * @param perDeviceBytes on each device used
         * @param hostBytes on the host, if it is used
         * @return this builder
         */
        public Builder compute(long perDeviceBytes, long hostBytes) {
            computeBytes = perDeviceBytes;
            hostComputeBytes = hostBytes;
            return this;
        }

        /**
         * Adds layers that must lie together.
         *
         * @param first the first of them, from 0
         * @param last the last of them
         * @return this builder
         */
        public Builder together(int first, int last) {
            groups.add(new LayerGroup(first, last));
            return this;
        }

        /**
         * The model.
         *
         * @return the model
         * @throws IllegalArgumentException if it has no layers, a size is below 0, groups overlap, more is tied than the
         *     embedding or the output has, or the sizes together are more than a {@code long} can count
         */
        public PlacementModel build() {
            return new PlacementModel(
                    layers,
                    embeddingBytes,
                    embeddingOnHost,
                    outputBytes,
                    tiedBytes,
                    computeBytes,
                    hostComputeBytes,
                    groups);
        }
    }
}
