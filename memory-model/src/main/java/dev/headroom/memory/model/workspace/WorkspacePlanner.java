package dev.headroom.memory.model.workspace;

import dev.headroom.memory.ByteSize;
import java.util.List;
import java.util.Objects;

/**
 * Sizes workspaces and batches. Pure: the same figures give the same plan, and nothing is asked or allocated. Immutable.
 *
 * <p>The rules are those of BitNet-rs. With {@code available} from {@link GpuMemoryInfo}, {@code weights} the unpacked
 * weights of the layer and {@code row} what one row takes:
 *
 * <pre>
 * spare     = floor(0.8 x available) - weights, at least MIN_WORKSPACE, else {@link InsufficientGpuMemoryException}
 * batch     = spare / row, at most that of the card's class, at least 1, at most MAX_BATCH
 * workspace = weights + batch x row, at most MAX_WORKSPACE, at most floor(0.6 x available),
 *             at least MIN_WORKSPACE, else {@link WorkspaceAllocationFailedException}
 * </pre>
 *
 * <p>{@code MAX_WORKSPACE} is theirs. {@code MIN_WORKSPACE} and {@code MAX_BATCH} have no value there; these are ours.
 */
public final class WorkspacePlanner {

    /** The smallest useful workspace unless set, in bytes: 16 MiB. */
    public static final long MIN_WORKSPACE = 16L << 20;

    /** The largest workspace unless set, in bytes: 8 GiB. */
    public static final long MAX_WORKSPACE = 8L << 30;

    /** The most rows in a batch unless set. */
    public static final int MAX_BATCH = 1024;

    /** Rows in a batch where there is no GPU. */
    private static final int HOST_BATCH = 64;

    /** Margins in percent, so that cutting to whole bytes is exact. */
    private static final int USABLE_PERCENT = 80;

    private static final int WORKSPACE_PERCENT = 60;

    private final long minWorkspace;
    private final long maxWorkspace;
    private final int maxBatch;
    private final GpuClasses classes;

    private WorkspacePlanner(Builder builder) {
        minWorkspace = builder.minWorkspace;
        maxWorkspace = builder.maxWorkspace;
        maxBatch = builder.maxBatch;
        classes = builder.classes;
    }

    /**
     * A planner with the values above.
     *
     * @return the planner
     */
    public static WorkspacePlanner standard() {
        return builder().build();
    }

    /**
     * A builder that starts from the values above.
     *
     * @return the builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * The smallest workspace it plans.
     *
     * @return bytes
     */
    public long minWorkspaceBytes() {
        return minWorkspace;
    }

    /**
     * How many rows to work on at a time on the host.
     *
     * @return 64, or the most that is allowed
     */
    public int hostBatch() {
        return Math.min(HOST_BATCH, maxBatch);
    }

    /**
     * Sizes the workspace of a layer on a device.
     *
     * @param info the device's figures
     * @param layer the layer
     * @return the plan
     * @throws InsufficientGpuMemoryException if the layer's weights leave less than the smallest workspace
     * @throws WorkspaceAllocationFailedException if the workspace would be below the smallest
     */
    public WorkspacePlan plan(GpuMemoryInfo info, WorkspaceLayer layer) {
        long weights = layer.dequantizedBytes();
        long row = layer.rowBytes();
        long usable = percent(USABLE_PERCENT, info.availableMemory());
        long spare = Math.max(0, usable - weights);
        if (spare < minWorkspace) {
            long required = weights > Long.MAX_VALUE - minWorkspace ? Long.MAX_VALUE : weights + minWorkspace;
            throw new InsufficientGpuMemoryException(required, info.availableMemory(), info.deviceId());
        }
        GpuClasses.Step step = classes.of(info.totalMemory());
        int batch = Math.clamp(Math.min(spare / row, step.maxBatch()), 1, maxBatch);
        // Cannot wrap unless a single row does: the batch fits into what is spare otherwise.
        long rows = WorkspaceLayer.times(batch, row);
        long wanted = rows > Long.MAX_VALUE - weights ? Long.MAX_VALUE : weights + rows;
        long ceiling = percent(WORKSPACE_PERCENT, info.availableMemory());
        long size = Math.min(Math.min(wanted, maxWorkspace), ceiling);
        if (size < minWorkspace) {
            throw new WorkspaceAllocationFailedException(info, size, minWorkspace);
        }
        int fitting = Math.clamp((size - weights) / row, 0, batch);
        List<String> reasons = List.of(
                "available %s: what is free less %s, 10 %% of %s"
                        .formatted(text(info.availableMemory()), text(info.reservedMemory()), text(info.totalMemory())),
                "usable %s: %d %% of that; the unpacked weights take %s, which leaves %s"
                        .formatted(text(usable), USABLE_PERCENT, text(weights), text(spare)),
                "batch %d: %d rows of %s would fit, the card's class takes %d, and nothing takes more than %d"
                        .formatted(batch, spare / row, text(row), step.maxBatch(), maxBatch),
                "workspace %s: weights and batch take %s, %d %% of what is available is %s, and no workspace exceeds %s"
                        .formatted(text(size), text(wanted), WORKSPACE_PERCENT, text(ceiling), text(maxWorkspace))
                        .concat(fitting < batch ? "; %d rows of the batch fit at a time".formatted(fitting) : ""));
        return new WorkspacePlan(info, layer, size, batch, fitting, reasons);
    }

    private static String text(long bytes) {
        return ByteSize.format(bytes);
    }

    /** {@code floor(bytes x percent / 100)}, exact for every {@code bytes}. */
    private static long percent(int percent, long bytes) {
        return bytes / 100 * percent + bytes % 100 * percent / 100;
    }

    /** Collects the settings of a {@link WorkspacePlanner}. Not thread-safe. */
    public static final class Builder {

        private long minWorkspace = MIN_WORKSPACE;
        private long maxWorkspace = MAX_WORKSPACE;
        private int maxBatch = MAX_BATCH;
        private GpuClasses classes = GpuClasses.DEFAULT;

        private Builder() {}

        /**
         * Sets the smallest useful workspace.
         *
         * @param bytes above 0
         * @return this builder
         */
        public Builder minWorkspaceBytes(long bytes) {
            minWorkspace = bytes;
            return this;
        }

        /**
         * Sets the largest workspace.
         *
         * @param bytes at least the smallest
         * @return this builder
         */
        public Builder maxWorkspaceBytes(long bytes) {
            maxWorkspace = bytes;
            return this;
        }

        /**
         * Sets the most rows in a batch.
         *
         * @param rows above 0
         * @return this builder
         */
        public Builder maxBatch(int rows) {
            maxBatch = rows;
            return this;
        }

        /**
         * Sets the classes of cards.
         *
         * @param newClasses the classes
         * @return this builder
         */
        public Builder classes(GpuClasses newClasses) {
            classes = Objects.requireNonNull(newClasses, "newClasses");
            return this;
        }

        /**
         * The planner.
         *
         * @return the planner
         * @throws IllegalArgumentException if a value is out of its range
         */
        public WorkspacePlanner build() {
            if (minWorkspace <= 0) {
                throw new IllegalArgumentException("minWorkspaceBytes is " + minWorkspace + ": must be above 0");
            }
            if (maxWorkspace < minWorkspace) {
                throw new IllegalArgumentException("maxWorkspaceBytes is " + maxWorkspace
                        + ": must be minWorkspaceBytes, " + minWorkspace + ", or more");
            }
            if (maxBatch <= 0) {
                throw new IllegalArgumentException("maxBatch is " + maxBatch + ": must be above 0");
            }
            return new WorkspacePlanner(this);
        }
    }
}
