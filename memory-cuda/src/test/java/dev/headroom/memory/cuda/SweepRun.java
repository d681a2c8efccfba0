package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.cuda.CudaDouble.Lasting;
import dev.headroom.memory.cuda.CudaDouble.Live;
import dev.headroom.memory.engine.HostBooks;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DriverException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;

/** One run of a workload with one fault, and everything that has to hold afterwards whatever went wrong. */
final class SweepRun {

    /**
     * A planned fault.
     *
     * @param call    the call that fails, 0 for none
     * @param code    its code
     * @param lasting how long it lasts
     */
    record Fault(long call, int code, Lasting lasting) {
        static final Fault NONE = new Fault(0, 0, Lasting.ONCE);

        /** Whether it tells that the device is gone. */
        boolean loses() {
            return CudaError.kind(code) == DriverException.Kind.DEVICE_LOST;
        }
    }

    /** What a driver may still be asked once it has said that its device is lost: each object is let go of, no more. */
    private static final Set<String> CLEAN_UP = Set.of(
            "cuMemFree_v2",
            "cuMemFreeHost",
            "cuMemUnmap",
            "cuMemRelease",
            "cuMemAddressFree",
            "cuStreamDestroy_v2",
            "cuEventDestroy_v2",
            "cuDevicePrimaryCtxRelease_v2",
            "cuCtxPushCurrent_v2",
            "cuCtxPopCurrent_v2");

    /** The program and the pump may each be in the middle of something when the other learns of the loss. */
    private static final int IN_FLIGHT = 2;

    private static final AtomicLong CARDS = new AtomicLong();

    private static final int REUSED_BYTES = 5000;
    private static final long PATIENCE_SECONDS = 20;

    /** Memory that could not be given back is out of use, and that may be all a small pool has. */
    private static final long ENOUGH = 1 << 20;

    private static final Map<List<Integer>, byte[]> PATTERNS = new ConcurrentHashMap<>();

    private final SweepWorkload workload;
    private final Fault fault;
    private final CudaDouble driver;
    private final Arena arena = Arena.ofAuto();
    private final Set<GpuMemoryPool> pools = new LinkedHashSet<>();
    private final List<CompletableFuture<?>> futures = new ArrayList<>();
    private final long hostBefore = HostBooks.heldBytes();
    private GpuMemory memory;

    SweepRun(SweepWorkload workload, Fault fault) {
        this.workload = workload;
        this.fault = fault;
        driver = CudaDouble.machine(
                workload.devices().stream().mapToLong(Long::longValue).toArray());
        // The engine keeps a book for each card, and what a lost one holds stays in it.
        for (int i = 0; i < workload.devices().size(); i++) {
            driver.set(i, CudaDouble.Property.IDENTITY, CARDS.incrementAndGet());
        }
        workload.set().accept(driver);
    }

    // What workloads use.

    CudaDouble driver() {
        return driver;
    }

    GpuMemory memory() {
        return memory;
    }

    /** A device, or the typed refusal of one that was not found. */
    GpuDevice device(int number) {
        List<GpuDevice> found = memory.devices().stream()
                .filter(device -> device.backend().equals(CudaBackend.NAME))
                .toList();
        if (found.size() <= number) {
            throw new GpuMemoryException("device " + number + " was not found");
        }
        return found.get(number);
    }

    GpuMemoryPool pool(int number) {
        GpuMemoryPool pool = memory.pool(device(number));
        pools.add(pool);
        return pool;
    }

    GpuMemoryPool hostPool() {
        return memory.pool(memory.devices().getLast());
    }

    SweepStream stream(GpuMemoryPool pool) {
        return new SweepStream(driver, pool);
    }

    /** Native bytes that stay valid, whatever becomes of the transfer. */
    MemorySegment nativeBytes(int size, int seed) {
        MemorySegment bytes = arena.allocate(size);
        MemorySegment.copy(MemorySegment.ofArray(pattern(size, seed)), 0, bytes, 0, size);
        return bytes;
    }

    static byte[] pattern(int size, int seed) {
        return PATTERNS.computeIfAbsent(List.of(size, seed), _ -> {
                    byte[] bytes = new byte[size];
                    for (int i = 0; i < size; i++) {
                        bytes[i] = (byte) (seed + i * 31 + (i >> 8));
                    }
                    return bytes;
                })
                .clone();
    }

    static void requirePattern(MemorySegment bytes, int seed) {
        requireSame(bytes, pattern((int) bytes.byteSize(), seed));
    }

    static void requireAll(MemorySegment bytes, int value) {
        byte[] expected = new byte[(int) bytes.byteSize()];
        Arrays.fill(expected, (byte) value);
        requireSame(bytes, expected);
    }

    private static void requireSame(MemorySegment bytes, byte[] expected) {
        assertThat(bytes.mismatch(MemorySegment.ofArray(expected)))
                .as("first wrong byte")
                .isEqualTo(-1);
    }

    /** Every future has to end, at the latest with its pool. */
    <T> CompletableFuture<T> note(CompletableFuture<T> future) {
        futures.add(future);
        return future;
    }

    static void join(CompletableFuture<?> future) {
        try {
            future.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw sneaky(e.getCause());
        } catch (InterruptedException | TimeoutException e) {
            throw new AssertionError("a future did not end", e);
        }
    }

    /** Allocates, and checks that a failed allocation leaves the counters as they were. */
    DeviceBuffer allocate(GpuMemoryPool pool, AllocationRequest request) {
        MemoryStats before = pool.stats();
        try {
            return pool.allocate(request);
        } catch (GpuMemoryException e) {
            assertThat(pool.stats().activeBuffers())
                    .as("open buffers after " + e)
                    .isEqualTo(before.activeBuffers());
            throw e;
        }
    }

    // The run.

    /** Runs, checks, and tells how many calls there were. */
    long run() {
        try {
            if (fault.call() > 0) {
                driver.failAt(CudaDouble.ANY_CALL, fault.call(), fault.code(), fault.lasting());
            }
            runAndClose();
            requireNothingLeft();
            return driver.calls();
        } catch (Throwable e) {
            throw new AssertionError("%s; struck %s".formatted(describe(e), firstOf(driver.firedCalls())), e);
        } finally {
            HostBooks.backTo(hostBefore);
        }
    }

    private void runAndClose() {
        memory = GpuMemory.builder()
                .config(workload.config())
                .backend(new CudaBackend())
                .backend(SimulatedBackend.host(1L << 30))
                .open();
        try {
            boolean worked = attempt(workload.body());
            if (fault.call() == 0) {
                assertThat(worked).isTrue();
            }
            for (GpuMemoryPool pool : pools) {
                requireEmpty(pool);
                requireReusable(pool);
            }
        } finally {
            memory.close();
        }
    }

    /** Something that may fail, but only in ways that are announced. Returns whether it was done. */
    private boolean attempt(SweepWorkload.Body action) {
        try {
            action.run(this);
            return true;
        } catch (Throwable e) {
            Throwable cause = e instanceof CompletionException ? e.getCause() : e;
            if (cause instanceof GpuMemoryException announced && driver.fired() > 0) {
                return requireTold(announced);
            }
            throw sneaky(cause);
        }
    }

    /** A loss is told with the code that the driver gave. */
    private boolean requireTold(GpuMemoryException announced) {
        if (announced instanceof DeviceLostException) {
            assertThat(describe(announced)).contains("code " + fault.code());
        }
        return false;
    }

    private void requireEmpty(GpuMemoryPool pool) {
        if (workload.leaves()) {
            return;
        }
        assertThat(pool.stats().activeBuffers()).as("open buffers of " + pool).isZero();
        attempt(_ -> pool.shrink());
        requireFuturesEnded();
    }

    private void requireReusable(GpuMemoryPool pool) {
        boolean works = attempt(_ -> {
            try (DeviceBuffer buffer = pool.allocate(AllocationRequest.of(REUSED_BYTES))) {
                MemorySegment back = MemorySegment.ofArray(new byte[REUSED_BYTES]);
                buffer.write(0, MemorySegment.ofArray(pattern(REUSED_BYTES, 77)));
                buffer.read(0, back);
                requirePattern(back, 77);
            }
        });
        boolean goesOn = fault.lasting() == Lasting.ONCE && !fault.loses();
        if (goesOn && driver.fired() > 0 && !works && pool.usableBytes() >= ENOUGH) {
            // The fault may have struck in this very attempt, but not in the next.
            assertThat(attempt(_ -> pool.allocate(REUSED_BYTES).close()))
                    .as(pool + " works after one failed call")
                    .isTrue();
        }
    }

    private void requireNothingLeft() {
        driver.work(CudaDouble.Work.AT_ONCE, 0);
        requireFuturesEnded();
        driver.failNoMore();
        assertThat(driver.misuses()).as("misuses").allMatch(this::isWorkOfALostDevice);
        assertThat(driver.foreignUses()).as("uses of another context").isZero();
        if (fault.lasting() != Lasting.FOR_EVER) { // else memory may be left to the system, and the backend with it
            assertThat(driver.managementUsers()).as("users of NVML").isZero();
        }
        List<Live> left = driver.ledger();
        boolean stillMapped = left.stream().anyMatch(live -> live.kind().equals("mapping") && live.refused());
        for (Live live : left) {
            assertThat(live.refused() || fault.lasting() == Lasting.FOR_EVER || (stillMapped && isOfARange(live)))
                    .as("%s is left", live)
                    .isTrue();
            if (fault.loses()) {
                assertThat(live.releases()).as("attempts to give back %s", live).isLessThanOrEqualTo(1);
            }
        }
        if (fault.lasting() == Lasting.ONCE && driver.fired() > 0) {
            requireOnlyTheRefused(firstOf(driver.firedCalls()));
        }
        if (fault.loses() && fault.lasting() != Lasting.ONCE) {
            requireNoStorm();
        }
        requireNoThreads();
    }

    /** A device that said it is lost, and was not: nobody waits for what it still does. */
    private boolean isWorkOfALostDevice(String misuse) {
        return fault.loses() && fault.lasting() != Lasting.FOR_EVER && misuse.contains("work ");
    }

    /** Where memory could not be unmapped, it stays, and so do the addresses it lies behind. */
    private static boolean isOfARange(Live live) {
        return Set.of("mapping", "physical memory", "address range").contains(live.kind());
    }

    /** One failed call leaves at most the one object it was to give back, and what hangs on it. */
    private void requireOnlyTheRefused(String struck) {
        List<Live> left = driver.ledger();
        if (!left.isEmpty()) {
            assertThat(struck).as("left: %s", left).containsPattern("Free|Destroy|Release|Unmap");
        }
        boolean several = struck.startsWith("cuMemUnmap") || struck.startsWith("cuDevicePrimaryCtxRelease");
        assertThat(left.size() <= 1 || several).as("left: %s", left).isTrue();
    }

    private void requireNoStorm() {
        List<String> since = driver.firedCalls();
        long others = since.stream()
                .skip(1)
                .filter(call -> !CLEAN_UP.contains(call.substring(0, call.indexOf(' '))))
                .count();
        long allowed = (long) IN_FLIGHT * workload.devices().size();
        assertThat(others)
                .as("calls after the loss: %s", since)
                .isLessThanOrEqualTo(
                        workload.pumps() ? allowed : workload.devices().size());
    }

    private void requireFuturesEnded() {
        for (CompletableFuture<?> future : futures) {
            try {
                future.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                assertThat(e.getCause()).isInstanceOf(GpuMemoryException.class);
            } catch (InterruptedException | TimeoutException e) {
                throw new AssertionError("a future did not end", e);
            }
        }
    }

    private static void requireNoThreads() {
        Thread[] threads = new Thread[2 * Thread.activeCount() + 100];
        int count = Thread.enumerate(threads);
        for (int i = 0; i < count; i++) {
            assertThat(threads[i].getName()).as("a thread left").doesNotStartWith("headroom-");
        }
    }

    private static String firstOf(List<String> calls) {
        return calls.isEmpty() ? "nothing" : calls.getFirst();
    }

    static String describe(Throwable failure) {
        StringBuilder text = new StringBuilder(failure.toString());
        for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
            text.append(" <- ").append(cause);
        }
        return text.toString();
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneaky(Throwable failure) throws T {
        throw (T) failure;
    }
}
