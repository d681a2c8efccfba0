package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Opening and closing, once and by many. */
@Timeout(120)
class GpuMemoryLifeTest {

    private static final Executor OWN_THREAD =
            task -> Thread.ofPlatform().daemon().start(task);

    private final SimulatedBackend cuda = backend("cuda", card("RTX", GIB));
    private final SimulatedBackend host = SimulatedBackend.host(GIB);

    @Test
    void openingLooksAndOpensNothing() {
        try (GpuMemory memory = open(whole(), cuda, host)) {
            memory.selectBackendForModel(1);
            memory.summary();
            memory.usableBytes(memory.devices().getFirst());
            assertThat(cuda.faults().calls("open")).isZero();
            assertThat(cuda.faults().calls("probe")).isEqualTo(1);
        }
        assertThat(cuda.faults().calls("closeBackend")).isEqualTo(1);
    }

    @Test
    void closingTwiceDoesNothing() {
        GpuMemory memory = open(whole(), cuda, host);
        memory.pool(memory.devices().getFirst()).allocate(1024).close();
        memory.close();
        long calls = cuda.faults().calls();
        memory.close();
        assertThat(cuda.faults().calls()).isEqualTo(calls);
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
        assertThat(cuda.device(0).ledger().openDrivers()).isZero();
        cuda.requireNoViolations();
    }

    @Test
    void everyUseAfterCloseIsTyped() {
        GpuMemory memory = open(whole(), cuda, host);
        GpuDevice device = memory.devices().getFirst();
        GpuMemoryPool pool = memory.pool(device);
        Selection selection = memory.selectBackendForModel(1);
        DeviceBuffer buffer = pool.allocate(1024);
        buffer.close();
        memory.close();
        long calls = cuda.faults().calls();
        for (ThrowingCallable call : List.<ThrowingCallable>of(
                memory::devices,
                memory::backends,
                memory::recommended,
                memory::summary,
                () -> memory.budget(device),
                () -> memory.usableBytes(device),
                () -> memory.domain(device),
                () -> memory.pressure(device),
                () -> memory.heldBytes(device),
                () -> memory.explainSelection(1),
                () -> memory.selectBackendForModel(1),
                () -> memory.initBackendWithMemoryCheck(BackendPreference.auto(), 1),
                () -> memory.pool(device),
                () -> memory.reserve(Map.of(device, 1L)),
                selection::pool,
                selection::reserve)) {
            assertThatExceptionOfType(BufferClosedException.class)
                    .isThrownBy(call)
                    .withMessage("this GpuMemory is closed");
        }
        for (ThrowingCallable call : List.<ThrowingCallable>of(
                () -> pool.allocate(1),
                () -> pool.allocateWithFallback(1),
                pool::budget,
                pool::usableBytes,
                pool::pressure,
                pool::shrink,
                pool::clearPool,
                () -> pool.awaitIdle(java.time.Duration.ZERO))) {
            assertThatExceptionOfType(BufferClosedException.class)
                    .isThrownBy(call)
                    .withMessage("cuda:0 pool is closed");
        }
        assertThat(memory.config()).isEqualTo(whole());
        assertThat(selection.explain()).startsWith("1 B go to cuda:0 (RTX)");
        pool.close();
        buffer.close();
        assertThat(cuda.faults().calls()).as("nothing reached the driver").isEqualTo(calls);
        cuda.requireNoViolations();
    }

    @Test
    void aReservationMayOutliveItsMemory() {
        GpuMemory memory = open(whole(), cuda);
        GpuDevice device = memory.devices().getFirst();
        Reservation reservation = memory.reserve(Map.of(device, GIB));
        memory.close();
        assertThatExceptionOfType(BufferClosedException.class)
                .isThrownBy(() -> reservation.pool(device).allocate(1));
        reservation.close();
        try (GpuMemory next = open(whole(), cuda)) {
            assertThat(next.usableBytes(device)).isEqualTo(GIB);
        }
    }

    @Test
    void eightThreadsOpenOnePool() throws Exception {
        try (GpuMemory memory = open(whole(), cuda)) {
            GpuDevice device = memory.devices().getFirst();
            List<GpuMemoryPool> pools = ReservationTest.together(8, () -> memory.pool(device));
            assertThat(pools.stream().distinct()).hasSize(1);
            assertThat(cuda.faults().calls("open")).isEqualTo(1);
        }
    }

    @Test
    void anOpeningThatFailedCanBeTriedAgain() {
        cuda.faults().add(FaultRule.on("open").nth(1).failing(DriverException.Kind.UNEXPECTED, 101));
        try (GpuMemory memory = open(whole(), cuda)) {
            GpuDevice device = memory.devices().getFirst();
            assertThatExceptionOfType(DriverFailedException.class)
                    .isThrownBy(() -> memory.pool(device))
                    .withMessage("cuda:0 (RTX) cannot be opened: open failed: injected (code 101)")
                    .withCauseInstanceOf(DriverException.class);
            memory.pool(device).allocate(1024).close();
        }
        cuda.requireNoViolations();
    }

    @Test
    void anOpeningThatFailsHalfwayClosesItsDriver() {
        cuda.faults().add(FaultRule.on("budget").nth(1).failing(DriverException.Kind.UNEXPECTED, 7));
        try (GpuMemory memory = open(whole(), cuda)) {
            GpuDevice device = memory.devices().getFirst();
            assertThatExceptionOfType(DriverFailedException.class).isThrownBy(() -> memory.pool(device));
            assertThat(cuda.device(0).ledger().openDrivers()).isZero();
            memory.pool(device).allocate(1024).close();
        }
        cuda.requireNoViolations();
    }

    @Test
    void aPoolTheUserClosedIsOpenedAgain() {
        try (GpuMemory memory = open(whole(), cuda)) {
            GpuDevice device = memory.devices().getFirst();
            GpuMemoryPool first = memory.pool(device);
            first.allocate(1024).close();
            first.close();
            assertThat(memory.usableBytes(device)).isEqualTo(GIB);
            GpuMemoryPool second = memory.pool(device);
            assertThat(second).isNotSameAs(first);
            second.allocate(GIB).close();
        }
        cuda.requireNoViolations();
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
    }

    @Test
    void aDeviceOfAnotherMachineIsRefused() {
        GpuDevice foreign = GpuDevice.of("cuda", 7, "foreign", DeviceClass.DISCRETE, PhysicalId.unknown());
        try (GpuMemory memory = open(whole(), cuda)) {
            for (ThrowingCallable call : List.<ThrowingCallable>of(
                    () -> memory.pool(foreign),
                    () -> memory.budget(foreign),
                    () -> memory.usableBytes(foreign),
                    () -> memory.domain(foreign),
                    () -> memory.reserve(Map.of(foreign, 1L)))) {
                assertThatIllegalArgumentException()
                        .isThrownBy(call)
                        .withMessage("cuda:7 (foreign) is not a device of this GpuMemory; devices() lists them");
            }
        }
    }

    @Test
    void closingWaitsForAPoolThatIsBeingOpened() throws Exception {
        CountDownLatch opening = new CountDownLatch(1);
        CountDownLatch mayOpen = new CountDownLatch(1);
        GpuMemory memory = open(whole(), new Slowly(cuda, opening, mayOpen));
        GpuDevice device = memory.devices().getFirst();
        CompletableFuture<GpuMemoryPool> opened = CompletableFuture.supplyAsync(() -> memory.pool(device), OWN_THREAD);
        assertThat(opening.await(1, TimeUnit.MINUTES)).isTrue();
        CompletableFuture<Void> closed = CompletableFuture.runAsync(memory::close, OWN_THREAD);
        while (!isClosed(memory)) {
            Thread.onSpinWait();
        }
        assertThat(cuda.faults().calls("closeBackend"))
                .as("not before the driver")
                .isZero();
        mayOpen.countDown();
        closed.get(1, TimeUnit.MINUTES);
        assertThatExceptionOfType(BufferClosedException.class)
                .isThrownBy(() -> opened.get(1, TimeUnit.MINUTES).allocate(1));
        assertThat(cuda.device(0).ledger().openDrivers()).isZero();
        cuda.requireNoViolations();
    }

    @Test
    void whoeverClosesSecondWaitsForTheFirst() throws Exception {
        CountDownLatch inDriver = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        GpuMemory memory = open(whole(), cuda, host);
        memory.pool(memory.devices().getFirst()).allocate(1024).close();
        cuda.faults().add(FaultRule.on("free").times(1).throwing(() -> {
            inDriver.countDown();
            try {
                go.await();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
            return new IllegalStateException("injected");
        }));
        Thread first = Thread.ofPlatform().start(memory::close);
        inDriver.await();
        AtomicLong calls = new AtomicLong();
        Thread second = Thread.ofPlatform().start(() -> {
            memory.close();
            calls.set(cuda.faults().calls("closeBackend"));
        });
        while (second.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        go.countDown();
        second.join();
        first.join();
        assertThat(calls).as("backends closed when the second came back").hasValue(1);
    }

    @Test
    void openingAndClosingAtOnceNeverReachesAClosedBackend() throws Exception {
        for (int round = 0; round < 200; round++) {
            GpuMemory memory = open(whole(), cuda, host);
            GpuDevice device = memory.devices().getFirst();
            ReservationTest.together(3, new java.util.concurrent.Callable<Boolean>() {
                private final java.util.concurrent.atomic.AtomicInteger turn =
                        new java.util.concurrent.atomic.AtomicInteger();

                @Override
                public Boolean call() {
                    if (turn.getAndIncrement() == 0) {
                        memory.close();
                        return true;
                    }
                    try {
                        memory.pool(device).allocateWithFallback(2 * GIB / 3).close();
                        return true;
                    } catch (BufferClosedException e) {
                        return false;
                    } catch (DeviceOutOfMemoryException e) { // the other thread has it, and the host is closed
                        return false;
                    }
                }
            });
            memory.close();
            assertThat(cuda.device(0).ledger().openDrivers()).isZero();
            assertThat(host.device(0).ledger().openDrivers()).isZero();
        }
        cuda.requireNoViolations();
        host.requireNoViolations();
    }

    private static boolean isClosed(GpuMemory memory) {
        try {
            memory.devices();
            return false;
        } catch (BufferClosedException e) {
            return true;
        }
    }

    /** A backend whose devices open when they are told to. */
    private static final class Slowly extends ForwardingBackend {
        private final CountDownLatch opening;
        private final CountDownLatch mayOpen;

        Slowly(MemoryBackend inner, CountDownLatch opening, CountDownLatch mayOpen) {
            super(inner);
            this.opening = opening;
            this.mayOpen = mayOpen;
        }

        @Override
        public DeviceDriver open(GpuDevice device) throws DriverException {
            opening.countDown();
            try {
                mayOpen.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return super.open(device);
        }
    }
}
