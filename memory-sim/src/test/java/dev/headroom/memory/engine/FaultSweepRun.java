package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.VirtualClock;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * One run of a workload under one plan of faults, with everything that has to hold afterwards whatever went wrong: while the
 * pools are still open, and once they are closed.
 */
final class FaultSweepRun {

    /** What a driver may still be asked once it has said that its device is lost: each live object is let go of, no more. */
    private static final Set<String> CLEAN_UP =
            Set.of("free", "release", "unmap", "closeQueue", "closeFence", "close", "closeBackend");

    /** The pump and the program may each be in the middle of something when the other learns of the loss. */
    private static final int IN_FLIGHT = 2;

    private static final int REUSED_BYTES = 5000;
    private static final long ENOUGH = 1 << 20;

    /** How a fault shows. */
    enum Fault {
        NONE,
        /** One call fails; the device lives on. */
        ONCE,
        /** One call says that the device is lost. */
        LOST,
        /** From one call on every call fails. */
        FOR_EVER,
        /** One call throws what no driver should throw. */
        THROWN
    }

    private static final Map<List<Integer>, byte[]> PATTERNS = new ConcurrentHashMap<>();

    private final FaultPlan plan;
    private final Fault fault;
    private final VirtualClock clock = VirtualClock.automatic();
    private final Arena arena = Arena.ofAuto();
    private final List<SimulatedBackend> backends;
    private final FaultSweepWorkload workload;
    private final Set<PoolEngine> pools = Collections.newSetFromMap(new IdentityHashMap<>());
    private final List<CompletableFuture<?>> futures = new ArrayList<>();
    private final long hostBefore = Domains.host().figures().heldBytes();
    private final long hostReservedBefore = Domains.host().figures().reservedBytes();

    private GpuMemory memory;

    FaultSweepRun(FaultSweepWorkload workload, FaultPlan plan, Fault fault) {
        this.workload = workload;
        this.plan = plan;
        this.fault = fault;
        this.backends = workload.backends().make(clock, plan);
    }

    // What workloads use.

    GpuMemory memory() {
        return memory;
    }

    /** The pool of a device, or the typed refusal of a device that was not found. */
    PoolEngine pool(int number) {
        SimulatedDevice wanted = devices().get(number);
        GpuDevice device = memory.devices().stream()
                .filter(wanted.device()::equals)
                .findFirst()
                .orElseThrow(() -> new GpuMemoryException(wanted + " was not found"));
        return note(memory.pool(device));
    }

    PoolEngine note(GpuMemoryPool pool) {
        pools.add((PoolEngine) pool);
        return (PoolEngine) pool;
    }

    SimulatedDevice device(int number) {
        return devices().get(number);
    }

    VirtualClock clock() {
        return clock;
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
        long at = bytes.mismatch(MemorySegment.ofArray(expected));
        assertThat(at).as("first wrong byte").isEqualTo(-1);
    }

    /** Every future has to end, at the latest with its pool. */
    <T> CompletableFuture<T> note(CompletableFuture<T> future) {
        futures.add(future);
        return future;
    }

    static void join(CompletableFuture<?> future) {
        try {
            future.get(20, TimeUnit.SECONDS);
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
            MemoryStats after = pool.stats();
            assertThat(after.activeBuffers()).as("open buffers after " + e).isEqualTo(before.activeBuffers());
            assertThat(after.cpuFallbacks()).isEqualTo(before.cpuFallbacks());
            throw e;
        }
    }

    // The run.

    /** Runs, checks, and tells how many calls there were. */
    long run() {
        try {
            runAndClose();
        } catch (Throwable e) {
            throw new AssertionError(
                    "%s; %s; calls %s".formatted(describe(e), devices(), new TreeMap<>(plan.callsByOperation())), e);
        }
        return plan.calls();
    }

    private void runAndClose() {
        GpuMemory.Builder builder =
                GpuMemory.builder().config(workload.config()).clock(clock);
        backends.forEach(builder::backend);
        memory = builder.open();
        try {
            attempt(workload.body());
            for (PoolEngine pool : pools) {
                pool.validate();
                requireEmpty(pool);
                requireReusable(pool);
                pool.validate();
            }
            requireBooksAgree();
        } finally {
            memory.close();
        }
        try {
            requireNothingLeft();
        } finally {
            // What was left to the system is truly held; the next run shall not have to do without it.
            Domains.host().release(Domains.host().figures().heldBytes() - hostBefore);
        }
    }

    /** Something that may fail, but only in ways that are announced. Returns whether it was done. */
    private boolean attempt(FaultSweepWorkload.Body action) {
        try {
            action.run(this);
            return true;
        } catch (Throwable e) {
            Throwable cause = e instanceof CompletionException ? e.getCause() : e;
            boolean announced = cause instanceof GpuMemoryException
                    || (fault == Fault.THROWN && cause instanceof FaultSweepTest.Thrown);
            if (!announced || fault == Fault.NONE || plan.fired() == 0) {
                throw sneaky(cause);
            }
            return false;
        }
    }

    private void requireEmpty(PoolEngine pool) {
        MemoryStats stats = pool.stats();
        assertThat(stats.activeBuffers()).as("open buffers of " + pool).isBetween(0L, workload.leaves());
        boolean settled = attempt(_ -> {
            clock.runUntilIdle();
            pool.shrink();
        });
        requireFuturesEnded();
        assertThat(pool.isStagingIdle()).as("staging memory of " + pool).isTrue();
        boolean answers = fault != Fault.FOR_EVER && !pool.session().isLost();
        if (settled && answers && workload.leaves() == 0) {
            MemoryStats after = pool.stats();
            assertThat(after.inUseBytes()).as("bytes in use of " + pool).isZero();
            if (pool.session().quarantined() == 0) {
                assertThat(after.totalAllocatedBytes()).as("blocks of " + pool).isZero();
            }
        }
    }

    private void requireReusable(PoolEngine pool) {
        long before = plan.fired();
        boolean lost = pool.session().isLost(); // the pump may find out at any moment later
        boolean works = attempt(_ -> {
            try (DeviceBuffer buffer = pool.allocate(AllocationRequest.of(REUSED_BYTES))) {
                MemorySegment back = MemorySegment.ofArray(new byte[REUSED_BYTES]);
                buffer.write(0, MemorySegment.ofArray(pattern(REUSED_BYTES, 77)));
                buffer.read(0, back);
                requirePattern(back, 77);
            }
        });
        // Memory that could not be given back is out of use, and that may be all a small device has.
        boolean mustWork = fault == Fault.ONCE && before > 0 && (works || pool.usableBytes() >= ENOUGH);
        if (mustWork) {
            assertThat(works).as(pool + " works after one failed call").isTrue();
        }
        if (fault == Fault.ONCE) {
            assertThat(pool.session().isLost())
                    .as("one failed call does not lose " + pool)
                    .isFalse();
        }
        if (lost) {
            assertThat(works).as("a lost pool works").isFalse();
            try {
                pool.allocate(1);
                throw new AssertionError("a lost device gave memory");
            } catch (DeviceLostException e) {
                // as it should be
            }
        }
    }

    /** What the ledgers say is what the drivers gave and did not get back. */
    private void requireBooksAgree() {
        Set<PhysicalMemory> cards = new LinkedHashSet<>();
        Set<PhysicalMemory> hosts = new LinkedHashSet<>();
        for (SimulatedDevice device : devices()) {
            (device.memory().id().host() ? hosts : cards).add(device.memory());
            hosts.add(device.hostMemory());
        }
        for (PoolEngine pool : pools) {
            DomainLedger ledger = pool.ledger();
            if (ledger != Domains.host()) {
                long used = devices().stream()
                        .filter(device -> device.device().equals(pool.device()))
                        .mapToLong(device -> device.memory().usedBytes())
                        .sum();
                assertThat(ledger.figures().heldBytes()).as("held by " + pool).isEqualTo(used);
                assertThat(ledger.figures().reservedBytes())
                        .as("reserved by " + pool)
                        .isZero();
                assertThat(ledger.figures().inFlightBytes()).isZero();
            }
        }
        long onHost = hosts.stream().mapToLong(PhysicalMemory::usedBytes).sum();
        DomainLedger.Figures host = Domains.host().figures();
        assertThat(host.heldBytes() - hostBefore).as("held on the host").isEqualTo(onHost);
        assertThat(host.reservedBytes()).as("reserved on the host").isEqualTo(hostReservedBefore);
        assertThat(host.inFlightBytes()).isZero();
    }

    private void requireNothingLeft() {
        // What the devices still had to do shows now whether anything was taken from under it.
        clock.runUntilIdle();
        backends.forEach(SimulatedBackend::requireNoViolations);
        requireBooksAgree();
        boolean abandoned = pools.stream().anyMatch(PoolEngine::isAbandoned);
        if (abandoned) {
            // Only a driver that no longer answers leaves it open whether work is under way.
            assertThat(fault).isIn(Fault.FOR_EVER, Fault.THROWN);
            assertThat(pools).anyMatch(pool -> pool.session().isLost());
        } else {
            for (SimulatedDevice device : devices()) {
                assertThat(device.ledger().isEmpty()).as(device.toString()).isTrue();
                assertThat(device.memory().usedBytes())
                        .as("memory of " + device)
                        .isZero();
                assertThat(device.hostMemory().usedBytes())
                        .as("host memory of " + device)
                        .isZero();
            }
            for (PoolEngine pool : pools) {
                assertThat(pool.ledger().isIdle() || pool.ledger() == Domains.host())
                        .as("ledger of " + pool)
                        .isTrue();
            }
        }
        for (SimulatedDevice device : devices()) {
            device.callsSinceTold()
                    .forEach((operation, times) -> assertThat(
                                    CLEAN_UP.contains(operation) || (workload.pumps() && times <= IN_FLIGHT))
                            .as("%d x %s although %s is lost".formatted(times, operation, device))
                            .isTrue());
        }
        requireFuturesEnded();
        requireNoThreads();
    }

    private void requireFuturesEnded() {
        for (CompletableFuture<?> future : futures) {
            try {
                future.get(20, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                assertThat(e.getCause()).isInstanceOfAny(GpuMemoryException.class, FaultSweepTest.Thrown.class);
            } catch (InterruptedException | TimeoutException e) {
                throw new AssertionError("a future did not end", e);
            }
        }
    }

    private static void requireNoThreads() {
        Thread[] threads = new Thread[2 * Thread.activeCount() + 100]; // those of our group, which the engine's are in
        int count = Thread.enumerate(threads);
        for (int i = 0; i < count; i++) {
            assertThat(threads[i].getName()).as("a thread left").doesNotStartWith("headroom-");
        }
    }

    /** Whether the engine has left memory to the operating system. */
    boolean abandoned() {
        return pools.stream().anyMatch(PoolEngine::isAbandoned);
    }

    private List<SimulatedDevice> devices() {
        return backends.stream().flatMap(backend -> backend.devices().stream()).toList();
    }

    private static String describe(Throwable failure) {
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

    static Duration millis(long millis) {
        return Duration.ofMillis(millis);
    }
}
