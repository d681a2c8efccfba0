package dev.headroom.examples.matmul;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.DriverFailedException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.LongAdder;

/**
 * Matrix products, large ones on a device and small ones on the host. The answer always comes: when the device has no room,
 * the host computes that product; when the device fails, the host computes all from then on; {@link #report()} says so.
 *
 * {@snippet :
 * try (GpuMemory memory = GpuMemory.open();
 *         HybridScheduler scheduler = HybridScheduler.of(memory.selectBackendForModel(1L << 30).pool())) {
 *     AsyncGpuResult pending = scheduler.matmulAsync(a, b, m, k, n);
 *     prepareWhatComesNext();       // while the device computes
 *     float[] c = pending.await();
 * }
 * }
 *
 * <p>Thread-safe. Close it before its {@code GpuMemory}.
 */
public final class HybridScheduler implements AutoCloseable {

    /** The least m x k x n that is worth the way to a device: 64 x 64 x 64. */
    public static final long DEFAULT_THRESHOLD = 262_144;

    private static final int DEFAULT_IDLE_PER_SIZE = 8;

    /** Enough to keep a device busy while the host fetches a result, few enough not to fill its memory. */
    private static final int BATCH_IN_FLIGHT = 4;

    private final Optional<MatmulKernels> kernels;
    private final GpuBufferPool buffers;
    private final long threshold;

    private final LongAdder onDevice = new LongAdder();
    private final LongAdder onHost = new LongAdder();
    private final LongAdder fallbacks = new LongAdder();
    private volatile boolean deviceFailed;
    private volatile Optional<String> lastFailure = Optional.empty();

    private HybridScheduler(Optional<MatmulKernels> kernels, GpuBufferPool buffers, long threshold) {
        this.kernels = kernels;
        this.buffers = buffers;
        this.threshold = threshold;
    }

    /**
     * A scheduler with the kernels for the pool's device, and the default threshold.
     *
     * @param pool where matrices lie
     * @return the scheduler, to be closed by the caller
     * @throws KernelFailedException if the kernels cannot be compiled
     */
    public static HybridScheduler of(GpuMemoryPool pool) {
        return of(pool, MatmulKernels.of(pool), DEFAULT_THRESHOLD);
    }

    /**
     * A scheduler with everything said.
     *
     * @param pool      where matrices lie
     * @param kernels   what the scheduler closes at its end; empty to compute on the host
     * @param threshold the least m x k x n that goes to the device
     * @return the scheduler, to be closed by the caller
     */
    public static HybridScheduler of(GpuMemoryPool pool, Optional<MatmulKernels> kernels, long threshold) {
        return new HybridScheduler(kernels, new GpuBufferPool(pool, DEFAULT_IDLE_PER_SIZE), threshold);
    }

    /**
     * Computes A x B and waits for the answer.
     *
     * @param a m rows of k values
     * @param b k rows of n values
     * @param m rows of A
     * @param k values in a row of A
     * @param n values in a row of B
     * @return m rows of n values, from the host where the device could not do it
     */
    public float[] matmul(float[] a, float[] b, int m, int k, int n) {
        MatmulTask task = MatmulTask.of(a, b, m, k, n);
        return finish(task, start(task));
    }

    /**
     * Starts A x B and does not wait for the device. The operands have been copied when this returns. What stays on the host,
     * for its size or for want of room, has been computed when this returns.
     *
     * @param a m rows of k values
     * @param b k rows of n values
     * @param m rows of A
     * @param k values in a row of A
     * @param n values in a row of B
     * @return the answer, or what the device failed with
     */
    public AsyncGpuResult matmulAsync(float[] a, float[] b, int m, int k, int n) {
        return start(MatmulTask.of(a, b, m, k, n));
    }

    /**
     * Starts A x B and leaves the answer on the device. Does not wait.
     *
     * @param a m rows of k values
     * @param b k rows of n values
     * @param m rows of A
     * @param k values in a row of A
     * @param n values in a row of B
     * @return the answer, the caller's until {@link #releaseBuffer}
     */
    public PooledMatrix matmulPooled(float[] a, float[] b, int m, int k, int n) {
        MatmulTask task = MatmulTask.of(a, b, m, k, n);
        if (staysOnHost(task.shape())) {
            onHost.increment();
            return PooledMatrix.onHost(HostMatmul.multiply(task));
        }
        try {
            return launch(task);
        } catch (GpuMemoryException failure) {
            note(failure);
            return PooledMatrix.onHost(computeInstead(task));
        }
    }

    /**
     * Computes A x B with an A that is in a buffer already, as the weights of a model are, and waits for the answer. It is
     * computed where A lies, however small it is: to fetch A would take longer.
     *
     * @param a m rows of k values, in a buffer that may be larger
     * @param b k rows of n values
     * @param m rows of A
     * @param k values in a row of A
     * @param n values in a row of B
     * @return m rows of n values
     * @throws GpuMemoryException if the device failed, and A is lost with it
     */
    public float[] matmulFrom(FallbackBuffer a, float[] b, int m, int k, int n) {
        MatmulShape shape = new MatmulShape(m, k, n);
        Optional<DeviceBuffer> there =
                a.asGpu().filter(_ -> kernels.isPresent() && kernels.get().supports(shape));
        if (there.isEmpty()) {
            onHost.increment();
            return HostMatmul.multiply(fetch(a, b, shape));
        }
        MatmulTask.requireLength("b", b, shape.sizeOfB());
        try {
            CompletableFuture<Void> uploaded = CompletableFuture.completedFuture(null);
            PooledMatrix c = PooledMatrix.onDevice(shape.sizeOfC(), launch(there.get(), uploaded, b, shape));
            return AsyncGpuResult.of(read(c)).await();
        } catch (GpuMemoryException failure) {
            note(failure);
            return computeInstead(fetch(a, b, shape));
        }
    }

    /**
     * Computes several products. A few are in flight at a time, so that the device computes one while another is copied.
     *
     * @param tasks the products
     * @return the answers in the same order, from the host where the device could not do it
     */
    public List<float[]> matmulBatch(List<MatmulTask> tasks) {
        List<AsyncGpuResult> started = new ArrayList<>(tasks.size());
        List<float[]> answers = new ArrayList<>(tasks.size());
        for (MatmulTask task : tasks) {
            if (started.size() - answers.size() == BATCH_IN_FLIGHT) {
                finishNext(tasks, started, answers);
            }
            started.add(start(task));
        }
        while (answers.size() < tasks.size()) {
            finishNext(tasks, started, answers);
        }
        return answers;
    }

    /**
     * Gives a product back. It must not be used any more; a second time does nothing.
     *
     * @param matrix what {@link #matmulPooled} of this scheduler gave
     */
    public void releaseBuffer(PooledMatrix matrix) {
        matrix.release().ifPresent(work -> buffers.release(work.buffer(), work.kernel()));
    }

    /**
     * How often a buffer was there already.
     *
     * @return a snapshot
     */
    public BufferPoolStats poolStats() {
        return buffers.stats();
    }

    /**
     * Where the products were computed, and what the device said last.
     *
     * @return a snapshot
     */
    public SchedulerReport report() {
        return new SchedulerReport(
                onDevice.sum(), onHost.sum(), fallbacks.sum(), kernels.isPresent() && !deviceFailed, lastFailure);
    }

    private boolean staysOnHost(MatmulShape shape) {
        return kernels.isEmpty()
                || deviceFailed
                || shape.m() <= 1
                || shape.multiplications() < threshold
                || !kernels.get().supports(shape);
    }

    /** Starts a product wherever it belongs. What the device fails with is in the answer. */
    private AsyncGpuResult start(MatmulTask task) {
        if (staysOnHost(task.shape())) {
            onHost.increment();
            return AsyncGpuResult.of(CompletableFuture.completedFuture(HostMatmul.multiply(task)));
        }
        try {
            return AsyncGpuResult.of(read(launch(task)));
        } catch (GpuMemoryException failure) {
            note(failure);
            return AsyncGpuResult.of(
                    isLasting(failure)
                            ? CompletableFuture.failedFuture(failure)
                            : CompletableFuture.completedFuture(computeInstead(task)));
        }
    }

    /** Waits for a product, and computes it on the host if the device failed. */
    private float[] finish(MatmulTask task, AsyncGpuResult pending) {
        try {
            return pending.await();
        } catch (GpuMemoryException failure) {
            return computeInstead(task);
        }
    }

    private void finishNext(List<MatmulTask> tasks, List<AsyncGpuResult> started, List<float[]> answers) {
        int next = answers.size();
        answers.add(finish(tasks.get(next), started.get(next)));
    }

    private float[] computeInstead(MatmulTask task) {
        fallbacks.increment();
        return HostMatmul.multiply(task);
    }

    /** Copies the operands to the device and launches the kernel. Waits for neither. */
    private PooledMatrix launch(MatmulTask task) {
        DeviceBuffer a = buffers.acquire((long) task.shape().sizeOfA() * Float.BYTES);
        try {
            CompletableFuture<Void> upload = a.writeAsync(0, MemorySegment.ofArray(task.a()));
            PooledMatrix.OnDevice work = launch(a, upload, task.b(), task.shape());
            buffers.release(a, work.kernel()); // nobody gets it before the kernel is through
            return PooledMatrix.onDevice(task.shape().sizeOfC(), work);
        } catch (RuntimeException failure) {
            a.close(); // which waits, behind our back, for what is still going on in it
            throw failure;
        }
    }

    /** The same with an A that is on its way to the device, or there already. */
    private PooledMatrix.OnDevice launch(
            DeviceBuffer a, CompletableFuture<Void> uploadOfA, float[] valuesOfB, MatmulShape shape) {
        List<DeviceBuffer> taken = new ArrayList<>(2);
        try {
            DeviceBuffer b = take(shape.sizeOfB(), taken);
            DeviceBuffer c = take(shape.sizeOfC(), taken);
            CompletableFuture<Void> uploads =
                    CompletableFuture.allOf(uploadOfA, b.writeAsync(0, MemorySegment.ofArray(valuesOfB)));
            QueueFence kernel = kernels.orElseThrow().launch(shape, a, b, c);
            onDevice.increment();
            buffers.release(b, kernel);
            return new PooledMatrix.OnDevice(c, uploads, kernel);
        } catch (RuntimeException failure) {
            taken.forEach(DeviceBuffer::close);
            throw failure;
        }
    }

    private static MatmulTask fetch(FallbackBuffer a, float[] b, MatmulShape shape) {
        float[] values = new float[shape.sizeOfA()];
        a.read(0, MemorySegment.ofArray(values));
        return MatmulTask.of(values, b, shape.m(), shape.k(), shape.n());
    }

    private DeviceBuffer take(int values, List<DeviceBuffer> taken) {
        DeviceBuffer buffer = buffers.acquire((long) values * Float.BYTES);
        taken.add(buffer);
        return buffer;
    }

    /** Fetches a product and gives its buffer back, before whoever waits for it goes on. */
    private CompletableFuture<float[]> read(PooledMatrix matrix) {
        CompletableFuture<float[]> values;
        try {
            values = matrix.readAsync();
        } catch (RuntimeException failure) {
            discard(matrix);
            throw failure;
        }
        return values.whenComplete((_, failure) -> {
            if (failure == null) {
                releaseBuffer(matrix);
            } else {
                discard(matrix);
                note(failure);
            }
        });
    }

    private static void discard(PooledMatrix matrix) {
        matrix.release().ifPresent(work -> work.buffer().close());
    }

    private void note(Throwable thrown) {
        Throwable failure = thrown instanceof CompletionException wrapped && wrapped.getCause() != null
                ? wrapped.getCause()
                : thrown;
        lastFailure = Optional.of(failure.toString());
        if (isLasting(failure)) {
            deviceFailed = true;
            buffers.clear();
        }
    }

    /** Whether it is the device that failed: a full one has room again at some time, a broken one is not tried again. */
    private static boolean isLasting(Throwable failure) {
        return failure instanceof DeviceLostException
                || failure instanceof DriverFailedException
                || failure instanceof KernelFailedException;
    }

    /** Waits for the kernels and gives all memory back, but for products that were not released: close those before. */
    @Override
    public void close() {
        try {
            kernels.ifPresent(MatmulKernels::close);
        } finally {
            buffers.close();
        }
    }
}
