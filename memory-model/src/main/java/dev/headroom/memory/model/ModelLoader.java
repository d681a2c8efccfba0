package dev.headroom.memory.model;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;

/**
 * Loads all tensors of a model file into buffers of a pool.
 *
 * {@snippet lang = java :
 * GgufFile file = GgufFile.read(path);
 * GpuMemoryPool pool = memory.selectBackendForModel(file.tensorBytes()).pool();
 * try (LoadedModel model = ModelLoader.builder(pool).verify(true).build().load(file)) {
 *     FallbackBuffer weights = model.buffer("blk.0.attn_q.weight");
 * }
 * }
 *
 * <p>All buffers are allocated before the first byte is copied, in the order of the file: if the device fills up, it is the
 * tail of the model that falls back to the host, and if that is not allowed, nothing has been copied in vain. Then the mapped
 * file is copied in pieces of no more than {@value #CHUNK_BYTES} bytes.
 *
 * <p><b>All or nothing.</b> Whatever ends a load early, all its buffers have been closed and no thread of it runs when
 * {@link #load} throws. A file that changes meanwhile is noticed, before and after, and also when it is cut short under
 * the mapping.
 *
 * <p>A loader is immutable and may be used by any thread, and more than once; its builder is for one thread.
 */
public final class ModelLoader {

    /** The most that is copied between two looks at the progress, the interrupt flag and the file. */
    public static final long CHUNK_BYTES = 32L << 20;

    /** The most threads a loader takes. */
    public static final int MAX_THREADS = 64;

    /** Several pieces, so that a device with copy engines is never idle; the pool's staging ring bounds it further. */
    private static final long MAX_BYTES_UNDER_WAY = 4 * CHUNK_BYTES;

    private static final long VERIFY_CHUNK_BYTES = 4L << 20;

    private final GpuMemoryPool pool;
    private final TensorPools pools;
    private final boolean fallbackAllowed;
    private final boolean verifying;
    private final int threads;
    private final LoadProgress progress;
    private final BooleanSupplier cancelled;

    private ModelLoader(Builder builder) {
        this.pool = builder.pool;
        this.pools = builder.pools;
        this.fallbackAllowed = builder.fallbackAllowed;
        this.verifying = builder.verifying;
        this.threads = builder.threads;
        this.progress = builder.progress;
        this.cancelled = builder.cancelled;
    }

    /**
     * A loader that lets the host stand in for a full device, copies on the calling thread and does not verify.
     *
     * @param pool where the tensors go
     * @return the loader
     */
    public static ModelLoader of(GpuMemoryPool pool) {
        return builder(pool).build();
    }

    /**
     * A builder that starts from the settings of {@link #of}.
     *
     * @param pool where the tensors go
     * @return the builder
     */
    public static Builder builder(GpuMemoryPool pool) {
        return new Builder(pool);
    }

    /**
     * Loads a model.
     *
     * @param file the file, or all shards of a split one
     * @return the tensors in their buffers, to be closed by the caller
     * @throws ModelFileException if the file is not the one that was read any more, or changes while it is loaded
     * @throws LoadCancelledException if the load was called off, or the thread interrupted
     * @throws TensorMismatchException if verifying finds a difference
     * @throws dev.headroom.memory.DeviceOutOfMemoryException if there is no room, and the fallback is not allowed or full too
     * @throws dev.headroom.memory.AllocationTooLargeException if a tensor is larger than any allocation of the device, and
     *     the fallback is not allowed
     * @throws IOException if the file cannot be read
     */
    public LoadedModel load(GgufFile file) throws IOException {
        Map<String, FallbackBuffer> buffers = new LinkedHashMap<>();
        boolean done = false;
        try {
            LoadStats stats = fill(file, buffers);
            done = true;
            return new LoadedModel(file, pool, buffers, stats);
        } catch (ClosedChannelException closed) {
            throw interruptedOr(closed);
        } catch (InternalError fault) {
            throw unreadable(file, fault);
        } finally {
            if (!done) {
                buffers.values().forEach(FallbackBuffer::close);
            }
        }
    }

    private LoadStats fill(GgufFile file, Map<String, FallbackBuffer> buffers) throws IOException {
        ChunkLoop.requireWanted(cancelled);
        file.verifyUnchanged();
        try (OpenShards shards = OpenShards.open(file)) {
            // Large, because OpenCL maps each piece anew; smaller with several threads, so that none is left alone for
            // long.
            List<TensorChunk> chunks = TensorChunk.cut(file.tensors(), threads == 1 ? CHUNK_BYTES : CHUNK_BYTES / 4);
            long start = System.nanoTime();
            allocate(file, buffers);
            loop(file, chunks, LoadProgress.Stage.COPY)
                    .run(threads, () -> new CopyWorker(shards, buffers, MAX_BYTES_UNDER_WAY / threads));
            Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
            file.verifyUnchanged();
            if (verifying) {
                loop(file, TensorChunk.cut(file.tensors(), VERIFY_CHUNK_BYTES), LoadProgress.Stage.VERIFY)
                        .run(threads, () -> new VerifyWorker(shards, buffers, VERIFY_CHUNK_BYTES));
                file.verifyUnchanged();
            }
            return stats(file, buffers, elapsed);
        }
    }

    private void allocate(GgufFile file, Map<String, FallbackBuffer> buffers) throws IOException {
        List<GpuMemoryPool> targets = file.tensors().stream().map(pools::poolOf).toList();
        for (int i = 0; i < targets.size(); i++) {
            GgufTensor tensor = file.tensors().get(i);
            GpuMemoryPool target = targets.get(i);
            ChunkLoop.requireWanted(cancelled);
            AllocationRequest request = AllocationRequest.of(tensor.byteSize()).tagged(tensor.name());
            buffers.put(
                    tensor.name(), target.allocateWithFallback(fallbackAllowed ? request : request.withoutFallback()));
        }
    }

    private ChunkLoop loop(GgufFile file, List<TensorChunk> chunks, LoadProgress.Stage stage) {
        return new ChunkLoop(chunks, file.tensorBytes(), stage, progress, cancelled);
    }

    private LoadStats stats(GgufFile file, Map<String, FallbackBuffer> buffers, Duration elapsed) {
        int fallbackBuffers = 0;
        long fallbackBytes = 0;
        for (FallbackBuffer buffer : buffers.values()) {
            if (buffer.isCpuFallback()) {
                fallbackBuffers++;
                fallbackBytes += buffer.byteSize();
            }
        }
        return new LoadStats(
                buffers.size(), file.tensorBytes(), elapsed, fallbackBuffers, fallbackBytes, verifying, threads);
    }

    /** Java closes a channel under a thread that is interrupted, and other threads that read it see it closed. */
    private static IOException interruptedOr(ClosedChannelException closed) {
        if (!Thread.currentThread().isInterrupted()) {
            return closed;
        }
        LoadCancelledException cancelled = new LoadCancelledException(true);
        cancelled.initCause(closed);
        return cancelled;
    }

    /** What the JVM throws when a mapped page cannot be had is no error of the JVM's. */
    private static IOException unreadable(GgufFile file, InternalError fault) {
        if (!String.valueOf(fault.getMessage()).contains("unsafe memory access")) {
            throw fault;
        }
        IOException failure;
        try {
            file.verifyUnchanged();
            failure = new ModelFileException(
                    file.shards().getFirst().path(),
                    "a file that can be read to its end",
                    "a part its storage does not give, or gave only later");
        } catch (IOException changed) {
            failure = changed;
        }
        failure.addSuppressed(fault);
        return failure;
    }

    /** Collects the settings of a {@link ModelLoader}. Not thread-safe. */
    public static final class Builder {

        private final GpuMemoryPool pool;
        private TensorPools pools;
        private boolean fallbackAllowed = true;
        private boolean verifying;
        private int threads = 1;
        private LoadProgress progress = LoadProgress.none();
        private BooleanSupplier cancelled = () -> false;

        private Builder(GpuMemoryPool pool) {
            this.pool = Objects.requireNonNull(pool, "pool");
            this.pools = _ -> pool;
        }

        /**
         * Sets which tensor goes where, as {@link PlacedTensors#pools} says; all go to the builder's pool unless set.
         *
         * @param targets the pool of every tensor
         * @return this builder
         */
        public Builder pools(TensorPools targets) {
            pools = Objects.requireNonNull(targets, "targets");
            return this;
        }

        /**
         * Sets whether the host may stand in where the device is full, if the pool's configuration allows it too.
         *
         * @param allowed true to allow it, as unless set
         * @return this builder
         */
        public Builder fallback(boolean allowed) {
            fallbackAllowed = allowed;
            return this;
        }

        /**
         * Sets whether all tensors are read back and compared with the file.
         *
         * @param verify true to compare; false unless set
         * @return this builder
         */
        public Builder verify(boolean verify) {
            verifying = verify;
            return this;
        }

        /**
         * Sets how many threads copy, the calling one included. Two come closer to what the machine's memory gives than one;
         * where the host has to copy into staging memory for a fast device, three or four may be needed to keep it busy.
         *
         * @param count 1 to {@value #MAX_THREADS}; 1 unless set
         * @return this builder
         * @throws IllegalArgumentException if the count is out of range
         */
        public Builder threads(int count) {
            if (count < 1 || count > MAX_THREADS) {
                throw new IllegalArgumentException("threads is " + count + ": must be from 1 to " + MAX_THREADS);
            }
            threads = count;
            return this;
        }

        /**
         * Sets who is told how far it is.
         *
         * @param listener the listener
         * @return this builder
         */
        public Builder progress(LoadProgress listener) {
            progress = Objects.requireNonNull(listener, "listener");
            return this;
        }

        /**
         * Sets what calls a load off. Asked between any two pieces, by the thread that loads; an interrupt of that thread
         * calls the load off too.
         *
         * @param condition true to stop
         * @return this builder
         */
        public Builder cancelWhen(BooleanSupplier condition) {
            cancelled = Objects.requireNonNull(condition, "condition");
            return this;
        }

        /**
         * The loader.
         *
         * @return the loader
         */
        public ModelLoader build() {
            return new ModelLoader(this);
        }
    }
}
