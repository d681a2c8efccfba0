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
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** Bytes set aside, so that two do not count on the same ones. */
class ReservationTest {

    private static final MemoryConfig CONFIG =
            whole().toBuilder().waitTimeout(Duration.ZERO).build();

    private final SimulatedBackend cuda = backend("cuda", card("a", 8 * GIB), card("b", 4 * GIB));

    @Test
    void whatIsReservedIsNobodyElses() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            GpuMemoryPool pool = memory.pool(device);
            try (Reservation reservation = memory.selectBackendForModel(5 * GIB).reserve()) {
                assertThat(reservation.devices()).containsExactly(device);
                assertThat(reservation.remainingBytes(device)).isEqualTo(5 * GIB);
                assertThat(memory.usableBytes(device)).isEqualTo(3 * GIB);
                assertThat(reservation.pool(device).usableBytes()).isEqualTo(8 * GIB);
                assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                        .isThrownBy(() -> pool.allocate(4 * GIB))
                        .withMessageContaining("; 5 GiB reserved)");
                assertThat(memory.selectBackendForModel(4 * GIB).device().id())
                        .as("the next one goes elsewhere")
                        .isEqualTo("cuda:1");
            }
            assertThat(memory.usableBytes(device)).isEqualTo(8 * GIB);
        }
    }

    @Test
    void theReservedBytesAreUsedFirst() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            Reservation reservation = memory.reserve(Map.of(device, 5 * GIB));
            GpuMemoryPool reserved = reservation.pool(device);
            DeviceBuffer four = reserved.allocate(4 * GIB);
            assertThat(reservation.remainingBytes(device)).isEqualTo(GIB);
            assertThat(memory.usableBytes(device))
                    .as("others have what they had")
                    .isEqualTo(3 * GIB);
            DeviceBuffer two = reserved.allocate(2 * GIB);
            assertThat(reservation.remainingBytes(device)).isZero();
            assertThat(memory.usableBytes(device))
                    .as("1 GiB came from the rest")
                    .isEqualTo(2 * GIB);
            assertThat(four.pool()).isSameAs(memory.pool(device));
            reservation.close();
            four.write(0, java.lang.foreign.MemorySegment.ofArray(new byte[] {1}));
            two.close();
            four.close();
        }
    }

    @Test
    void closingReturnsTheRestOnce() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            Reservation reservation = memory.reserve(Map.of(device, 5 * GIB));
            Reservation other = memory.reserve(Map.of(device, 2 * GIB));
            DeviceBuffer three = reservation.pool(device).allocate(3 * GIB);
            reservation.close();
            reservation.close();
            assertThat(reservation.remainingBytes(device)).isZero();
            assertThat(memory.usableBytes(device))
                    .as("8 less 3 in a buffer less 2 reserved")
                    .isEqualTo(3 * GIB);
            DeviceBuffer late = reservation.pool(device).allocate(3 * GIB);
            assertThat(other.remainingBytes(device))
                    .as("the late one has no claim on these")
                    .isEqualTo(2 * GIB);
            late.close();
            three.close();
            other.close();
            assertThat(memory.usableBytes(device)).isEqualTo(8 * GIB);
        }
    }

    @Test
    void theViewOfAPoolIsNotThePool() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            try (Reservation reservation = memory.reserve(Map.of(device, GIB))) {
                reservation.pool(device).close();
                memory.pool(device).allocate(GIB).close();
                GpuDevice second = memory.devices().getLast();
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> reservation.pool(second))
                        .withMessage("nothing was reserved on cuda:1 (b); reserved is [cuda:0 (a)]");
                assertThatIllegalArgumentException().isThrownBy(() -> reservation.remainingBytes(second));
            }
        }
    }

    @Test
    void severalDevicesAreAllOrNothing() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice first = memory.devices().get(0);
            GpuDevice second = memory.devices().get(1);
            Map<GpuDevice, Long> split = new LinkedHashMap<>();
            split.put(first, 6 * GIB);
            split.put(second, 5 * GIB);
            assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                    .isThrownBy(() -> memory.reserve(split))
                    .withMessage(
                            "cuda:1 (b): 5 GiB wanted, but only 4 GiB more can be had (4 GiB x 1.00 less 0 B held by this"
                                    + " process; 4 GiB free, measured, less 0 B kept free). Largest free range 0 B, 0 B in buffers,"
                                    + " 0 B held from the driver. To make room, free 1 GiB on the device");
            assertThat(memory.usableBytes(first)).isEqualTo(8 * GIB);
            split.put(second, 4 * GIB);
            try (Reservation both = memory.reserve(split)) {
                assertThat(both.devices()).containsExactlyInAnyOrder(first, second);
                assertThat(memory.usableBytes(first)).isEqualTo(2 * GIB);
                assertThat(memory.usableBytes(second)).isZero();
            }
        }
    }

    @Test
    void nothingCannotBeReserved() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.reserve(Map.of(device, 0L)))
                    .withMessage("bytes is 0: must be above 0");
        }
    }

    @Test
    void aLimitCountsWhatIsReserved() {
        try (GpuMemory memory = open(CONFIG.toBuilder().limitBytes(6 * GIB).build(), cuda)) {
            GpuDevice device = memory.devices().getFirst();
            try (Reservation reservation = memory.reserve(Map.of(device, 4 * GIB))) {
                assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                        .isThrownBy(() -> memory.reserve(Map.of(device, 3 * GIB)));
                assertThat(memory.usableBytes(device)).isEqualTo(2 * GIB);
                DeviceBuffer buffer = reservation.pool(device).allocate(4 * GIB);
                assertThat(memory.usableBytes(device)).isEqualTo(2 * GIB);
                buffer.close();
            }
            assertThat(memory.usableBytes(device)).isEqualTo(6 * GIB);
        }
    }

    @Test
    void idleMemoryMakesWayForAReservation() {
        PhysicalMemory vram = PhysicalMemory.of(8 * GIB);
        SimulatedBackend one = backend("cuda", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend other =
                backend("opencl", SimulatedDevice.builder("card").memory(vram));
        try (GpuMemory memory = open(CONFIG, one, other)) {
            GpuDevice device = memory.devices().get(0);
            memory.pool(device).allocate(3 * GIB).close();
            memory.pool(memory.devices().get(1)).allocate(4 * GIB).close();
            try (Reservation reservation = memory.reserve(Map.of(device, 8 * GIB))) {
                assertThat(reservation.remainingBytes(device)).isEqualTo(8 * GIB);
                assertThat(vram.usedBytes()).isZero();
            }
        }
    }

    @Test
    void theSameBytesGoToOneThreadOnly() throws Exception {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            memory.pool(device);
            for (int round = 0; round < 50; round++) {
                List<Optional<Reservation>> outcomes = together(4, () -> {
                    try {
                        return Optional.of(memory.reserve(Map.of(device, 3 * GIB)));
                    } catch (DeviceOutOfMemoryException e) {
                        return Optional.empty();
                    }
                });
                assertThat(outcomes.stream().filter(Optional::isPresent)).hasSize(2);
                assertThat(memory.usableBytes(device)).isEqualTo(2 * GIB);
                outcomes.forEach(outcome -> outcome.ifPresent(Reservation::close));
            }
            assertThat(memory.usableBytes(device)).isEqualTo(8 * GIB);
        }
    }

    @Test
    void twoInstancesDoNotReserveTheSameBytes() {
        PhysicalMemory vram = PhysicalMemory.of(8 * GIB);
        try (GpuMemory one = open(
                        CONFIG, backend("cuda", SimulatedDevice.builder("card").memory(vram)));
                GpuMemory other = open(
                        CONFIG,
                        backend("vulkan", SimulatedDevice.builder("card").memory(vram)));
                Reservation reservation = one.selectBackendForModel(5 * GIB).reserve()) {
            assertThat(other.explainSelection(4 * GIB).chosen()).isEmpty();
            assertThat(reservation.devices()).hasSize(1);
        }
    }

    @Test
    void aBlockRefusedAfterTheReservationWasClosedLeavesNothingReserved() {
        SimulatedBackend card = backend("cuda", card("a", 8 * GIB));
        try (GpuMemory memory = open(CONFIG.toBuilder().limitBytes(8 * GIB).build(), card)) {
            GpuDevice device = memory.devices().getFirst();
            Reservation reservation = memory.reserve(Map.of(device, 5 * GIB));
            AtomicReference<Boolean> met = new AtomicReference<>(false);
            card.faults().add(FaultRule.on("allocate").nth(1).throwing(() -> {
                reservation.close();
                met.set(true);
                return new IllegalStateException("refused while the reservation was closed");
            }));
            assertThatExceptionOfType(IllegalStateException.class)
                    .isThrownBy(() -> reservation.pool(device).allocate(5 * GIB));
            assertThat(met).hasValue(true);
            assertThat(reservation.remainingBytes(device)).isZero();
            assertThat(memory.usableBytes(device)).isEqualTo(8 * GIB);
            memory.pool(device).allocate(8 * GIB).close();
        }
    }

    static <T> List<T> together(int threads, Callable<T> task) throws Exception {
        CyclicBarrier start = new CyclicBarrier(threads);
        List<T> outcomes = new ArrayList<>();
        try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            List<Future<T>> futures = new ArrayList<>();
            for (int i = 0; i < threads; i++) {
                futures.add(executor.submit(() -> {
                    start.await();
                    return task.call();
                }));
            }
            for (Future<T> future : futures) {
                outcomes.add(future.get());
            }
        }
        return outcomes;
    }
}
