package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.List;
import java.util.logging.Level;
import org.junit.jupiter.api.Test;

/** When host memory stands in for a device, and how honestly. */
class FallbackTest {

    private static final MemoryConfig CONFIG =
            whole().toBuilder().waitTimeout(Duration.ZERO).build();

    private final SimulatedBackend cuda = backend("cuda", card("RTX", GIB));
    private final SimulatedBackend host = SimulatedBackend.host(4 * GIB);

    @Test
    void aFullDeviceFallsBackIsCountedAndLoggedOnce() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(CONFIG, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (FallbackBuffer first = pool.allocateWithFallback(GIB);
                    FallbackBuffer second = pool.allocateWithFallback(512 * MIB);
                    FallbackBuffer third = pool.allocateWithFallback(64 * MIB)) {
                assertThat(first.isGpu()).isTrue();
                assertThat(first.isCpuFallback()).isFalse();
                assertThat(first.location()).isEqualTo(BufferLocation.GPU);
                assertThat(first.deviceAccessible()).isTrue();
                for (FallbackBuffer fallback : List.of(second, third)) {
                    assertThat(fallback.isGpu()).isFalse();
                    assertThat(fallback.isCpuFallback()).isTrue();
                    assertThat(fallback.location()).isEqualTo(BufferLocation.CPU);
                    assertThat(fallback.deviceAccessible()).isFalse();
                }
                assertThat(pool.stats().cpuFallbacks()).isEqualTo(2);
                assertThat(pool.stats().activeBuffers()).as("the device's own").isEqualTo(1);
                assertThat(pool.stats().inUseBytes()).isEqualTo(GIB);
                assertThat(host.device(0).ledger().liveBytes()).isGreaterThanOrEqualTo(576 * MIB);
            }
            assertThat(log.messages(Level.INFO))
                    .containsExactly("host memory stands in for cuda:0 (RTX); later cases are counted, not logged."
                            + " cuda:0 (RTX): 512 MiB wanted, but only 0 B more can be had (1 GiB x 1.00 less 1 GiB held by"
                            + " this process; 0 B free, measured, less 0 B kept free). Largest free range 0 B, 1 GiB in"
                            + " buffers, 1 GiB held from the driver. To make room, close buffers (1 open;"
                            + " TrackingLevel.FULL would name them) or free 512 MiB on the device");
            assertThat(log.messages(Level.WARNING)).isEmpty();
        }
        cuda.requireNoViolations();
        host.requireNoViolations();
        assertThat(host.device(0).ledger().isEmpty()).isTrue();
    }

    @Test
    void whatFitsDoesNotFallBack() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(CONFIG, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            pool.allocateWithFallback(GIB).close();
            pool.allocateWithFallback(GIB).close();
            assertThat(pool.stats().cpuFallbacks()).isZero();
            assertThat(host.faults().calls("open"))
                    .as("the host is not even opened")
                    .isZero();
            assertThat(log.messages(Level.INFO)).isEmpty();
        }
    }

    @Test
    void allocateNeverFallsBack() {
        try (GpuMemory memory = open(CONFIG, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (DeviceBuffer all = pool.allocate(GIB)) {
                assertThatExceptionOfType(DeviceOutOfMemoryException.class).isThrownBy(() -> pool.allocate(MIB));
                assertThat(all.location()).isEqualTo(BufferLocation.GPU);
            }
            assertThat(pool.stats().cpuFallbacks()).isZero();
        }
    }

    @Test
    void theConfigurationCanForbidIt() {
        try (GpuMemory memory = open(CONFIG.toBuilder().cpuFallback(false).build(), cuda, host)) {
            assertRefused(memory, AllocationRequest.of(MIB), "cpuFallbackEnabled is false");
        }
    }

    @Test
    void theRequestCanForbidIt() {
        try (GpuMemory memory = open(CONFIG, cuda, host)) {
            assertRefused(memory, AllocationRequest.of(MIB).withoutFallback(), "the request forbids it");
        }
    }

    @Test
    void withoutAHostThereIsNone() {
        try (GpuMemory memory = open(CONFIG, cuda)) {
            assertRefused(
                    memory,
                    AllocationRequest.of(MIB),
                    "there is no other host pool; dev.headroom:memory-cpu-fallback brings one");
        }
    }

    @Test
    void aFullHostIsNamedToo() {
        host.device(0).occupy(4 * GIB);
        try (GpuMemory memory = open(CONFIG, cuda, host)) {
            assertRefused(
                    memory,
                    AllocationRequest.of(MIB),
                    "cpu:0 (simulated host): 1 MiB wanted, but only 0 B more can be had (4 GiB x 1.00 less 0 B held by"
                            + " this process; 0 B free, measured, less 0 B kept free). Largest free range 0 B, 0 B in"
                            + " buffers, 0 B held from the driver. To make room, free 1 MiB on the device");
        }
    }

    @Test
    void aHostThatCannotBeOpenedIsNamedAndTriedAgain() {
        host.faults().add(FaultRule.on("open").nth(1).failing(DriverException.Kind.UNEXPECTED, 5));
        try (GpuMemory memory = open(CONFIG, cuda, host)) {
            assertRefused(
                    memory,
                    AllocationRequest.of(MIB),
                    "cpu:0 (simulated host) cannot be opened: open failed: injected (code 5)");
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (DeviceBuffer all = pool.allocate(GIB);
                    FallbackBuffer buffer = pool.allocateWithFallback(MIB)) {
                assertThat(buffer.isCpuFallback()).isTrue();
                assertThat(all.byteSize()).isEqualTo(GIB);
            }
        }
    }

    private static void assertRefused(GpuMemory memory, AllocationRequest request, String reason) {
        GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
        try (DeviceBuffer all = pool.allocate(GIB)) {
            assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                    .isThrownBy(() -> pool.allocateWithFallback(request))
                    .withMessageStartingWith(all.pool().device() + ": 1 MiB wanted, but only 0 B more can be had")
                    .withMessageEndingWith(". Host memory did not stand in: " + reason)
                    .satisfies(refusal ->
                            assertThat(refusal.figures().activeBuffers()).isEqualTo(1));
        }
        assertThat(pool.stats().cpuFallbacks()).isZero();
    }

    // Which refusals.

    @Test
    void theSameMemoryDoesNotStandInForItself() {
        PhysicalMemory dram = PhysicalMemory.host(2 * GIB);
        SimulatedBackend vulkan = backend(
                "vulkan",
                SimulatedDevice.builder("iris")
                        .deviceClass(DeviceClass.INTEGRATED)
                        .memory(dram));
        SimulatedBackend sameHost = backend(
                "cpu",
                SimulatedDevice.builder("host").deviceClass(DeviceClass.HOST).memory(dram));
        try (GpuMemory memory = open(CONFIG, vulkan, sameHost)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (DeviceBuffer all = pool.allocate(2 * GIB)) {
                assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                        .isThrownBy(() -> pool.allocateWithFallback(MIB))
                        .withMessageEndingWith(". Host memory did not stand in: it is the same memory");
                assertThat(all.deviceAccessible()).isTrue();
            }
        }
        try (GpuMemory memory = open(CONFIG.toBuilder().limitBytes(GIB).build(), vulkan, sameHost)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (DeviceBuffer limited = pool.allocate(GIB);
                    FallbackBuffer beyond = pool.allocateWithFallback(MIB)) {
                assertThat(beyond.isCpuFallback())
                        .as("the limit ran out, not the memory")
                        .isTrue();
                assertThat(limited.byteSize()).isEqualTo(GIB);
            }
        }
    }

    @Test
    void whatIsTooLargeForOneAllocationFallsBack() {
        SimulatedBackend opencl = backend("opencl", card("small blocks", GIB).maxBlockBytes(256 * MIB));
        try (GpuMemory memory = open(CONFIG, opencl, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            assertThatExceptionOfType(AllocationTooLargeException.class)
                    .isThrownBy(() -> pool.allocate(512 * MIB))
                    .withMessage("opencl:0 (small blocks): 512 MiB wanted, but a single allocation can have at most"
                            + " 256 MiB here; split it")
                    .satisfies(refusal -> assertThat(refusal.maxBytes()).isEqualTo(256 * MIB))
                    .satisfies(refusal -> assertThat(refusal.requestedBytes()).isEqualTo(512 * MIB));
            try (FallbackBuffer buffer = pool.allocateWithFallback(512 * MIB)) {
                assertThat(buffer.isCpuFallback()).isTrue();
            }
            assertThat(pool.stats().cpuFallbacks()).isEqualTo(1);
            assertThatExceptionOfType(AllocationTooLargeException.class)
                    .isThrownBy(() -> pool.allocateWithFallback(
                            AllocationRequest.of(512 * MIB).withoutFallback()))
                    .withMessageEndingWith("split it. Host memory did not stand in: the request forbids it");
        }
    }

    @Test
    void whatIsTooLargeForTheWholeDeviceFallsBack() {
        try (GpuMemory memory = open(CONFIG, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (FallbackBuffer buffer = pool.allocateWithFallback(2 * GIB)) {
                assertThat(buffer.isCpuFallback()).isTrue();
            }
        }
    }

    @Test
    void aLostDeviceDoesNotFallBack() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(CONFIG, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            cuda.device(0).lose();
            assertThatExceptionOfType(DeviceLostException.class).isThrownBy(() -> pool.allocateWithFallback(MIB));
            assertThat(pool.stats().cpuFallbacks()).isZero();
            assertThat(log.messages(Level.INFO)).isEmpty();
        }
    }

    // Limits.

    @Test
    void aLimitBindsTheDeviceAndNotTheHostBehindIt() {
        try (GpuMemory memory = open(CONFIG.toBuilder().limitBytes(256 * MIB).build(), cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (FallbackBuffer buffer = pool.allocateWithFallback(2 * GIB)) {
                assertThat(buffer.isCpuFallback()).isTrue();
            }
        }
    }

    @Test
    void theHostBehindADeviceHasALimitOfItsOwn() {
        MemoryConfig config = CONFIG.toBuilder().fallbackLimitBytes(256 * MIB).build();
        try (GpuMemory memory = open(config, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            try (DeviceBuffer all = pool.allocate(GIB);
                    FallbackBuffer first = pool.allocateWithFallback(256 * MIB)) {
                assertThat(first.isCpuFallback()).isTrue();
                assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                        .isThrownBy(() -> pool.allocateWithFallback(MIB))
                        .withMessageContaining("limit 256 MiB less 256 MiB held by this pool")
                        .withMessageEndingWith(" or raise limitBytes by 1 MiB");
                assertThat(all.byteSize()).isEqualTo(GIB);
            }
            GpuMemoryPool own = memory.pool(memory.devices().getLast());
            try (DeviceBuffer buffer = own.allocate(GIB)) {
                assertThat(buffer.location())
                        .as("a host pool that was asked for is another pool")
                        .isEqualTo(BufferLocation.CPU);
            }
        }
    }

    // Honesty.

    @Test
    void aHostPoolHasNoFallbackAndItsBuffersAreNone() {
        try (GpuMemory memory = open(CONFIG, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getLast());
            try (FallbackBuffer buffer = pool.allocateWithFallback(4 * GIB)) {
                assertThat(buffer.isCpuFallback()).isFalse();
                assertThat(buffer.isGpu()).isFalse();
                assertThat(buffer.location()).isEqualTo(BufferLocation.CPU);
                assertThat(buffer.deviceAccessible()).isTrue();
                assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                        .isThrownBy(() -> pool.allocateWithFallback(MIB))
                        .withMessageContaining("Host memory did not stand in: there is no other host pool");
            }
            assertThat(pool.stats().cpuFallbacks()).isZero();
        }
    }

    @Test
    void aCpuInDisguiseIsADevice() {
        SimulatedBackend opencl = backend("opencl", Machine.ofClass(DeviceClass.CPU, "PoCL", GIB));
        try (GpuMemory memory = open(CONFIG, opencl);
                FallbackBuffer buffer = memory.pool(memory.devices().getFirst()).allocateWithFallback(MIB)) {
            assertThat(buffer.location()).isEqualTo(BufferLocation.GPU);
        }
    }

    // Taking memory ahead.

    @Test
    void whatIsPreAllocatedIsThereAndServesWithoutTheDriver() {
        MemoryConfig config =
                CONFIG.toBuilder().preAllocation(List.of(256 * MIB, 128 * MIB)).build();
        try (GpuMemory memory = open(config, cuda, host)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            assertThat(pool.stats().pooledBytes()).isEqualTo(384 * MIB);
            assertThat(pool.stats().inUseBytes()).isZero();
            long calls = cuda.faults().calls("allocate");
            long hits = pool.stats().poolHits();
            try (DeviceBuffer large = pool.allocate(256 * MIB);
                    DeviceBuffer small = pool.allocate(128 * MIB)) {
                assertThat(cuda.faults().calls("allocate")).isEqualTo(calls);
                assertThat(pool.stats().poolHits()).isEqualTo(hits + 2);
                assertThat(large.byteSize() + small.byteSize()).isEqualTo(384 * MIB);
            }
            try (FallbackBuffer beyond = pool.allocateWithFallback(2 * GIB)) {
                assertThat(beyond.isCpuFallback()).isTrue();
                assertThat(host.device(0).ledger().liveBytes())
                        .as("what is pre-allocated is meant for the device")
                        .isEqualTo(2 * GIB);
            }
        }
    }

    @Test
    void aPoolThatCannotPreAllocateDoesNotOpen() {
        MemoryConfig config =
                CONFIG.toBuilder().preAllocation(List.of(512 * MIB, 768 * MIB)).build();
        SimulatedBackend card = backend("cuda", card("RTX", GIB));
        try (GpuMemory memory = open(config, card, host)) {
            GpuDevice device = memory.devices().getFirst();
            assertThatExceptionOfType(DeviceOutOfMemoryException.class).isThrownBy(() -> memory.pool(device));
            assertThat(card.device(0).ledger().isEmpty()).isTrue();
            assertThat(card.device(0).ledger().openDrivers()).isZero();
            assertThat(memory.usableBytes(device)).isEqualTo(GIB);
        }
        card.requireNoViolations();
    }
}
