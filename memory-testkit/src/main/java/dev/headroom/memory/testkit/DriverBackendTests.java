package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MemoryBackend;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The part of {@link DriverContract} about backends, and what drivers say of themselves. */
abstract class DriverBackendTests extends DriverFixture {

    // The backend.

    @Test
    void a_backend_knows_itself() {
        assertThat(backend.name()).isNotBlank().isEqualTo(backend.name().toLowerCase(Locale.ROOT));
        assertThat(backend.spiVersion()).isEqualTo(MemoryBackend.SPI_VERSION);
        assertThat(backend.priority()).isEqualTo(backend.priority());
    }

    @Test
    void probing_again_finds_the_same_devices() {
        assertThat(backend.probe()).isEqualTo(backend.probe());
        if (backend.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
            assertThat(devices).extracting(GpuDevice::backend).containsOnly(backend.name());
            assertThat(devices)
                    .extracting(GpuDevice::index)
                    .containsExactlyElementsOf(LongStream.range(0, devices.size())
                            .mapToObj(i -> (int) i)
                            .toList());
            assertThat(devices).allSatisfy(found -> assertThat(found.name()).isNotBlank());
        }
    }

    @Test
    void a_second_backend_beside_the_first_finds_the_same_devices() {
        MemoryBackend second = newBackend();
        try {
            if (second.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
                assertThat(devices).extracting(GpuDevice::name).contains(device.name());
            } else {
                fail("the first backend found devices, the second did not");
            }
        } finally {
            second.close();
        }
        assertThat(backend.probe()).isInstanceOf(BackendProbe.Available.class);
    }

    @Test
    void probing_prints_nothing() {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try (PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8)) {
            System.setOut(stream);
            System.setErr(stream);
            MemoryBackend second = newBackend();
            second.probe();
            second.close();
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        assertThat(printed.toString(StandardCharsets.UTF_8)).isEmpty();
    }

    @Test
    void a_budget_is_known_before_opening() throws DriverException {
        MemoryBackend second = newBackend();
        try {
            if (second.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
                for (GpuDevice found : devices) {
                    assertSane(second.budget(found));
                }
            }
        } finally {
            second.close();
        }
    }

    @Test
    void drivers_of_one_device_are_independent() throws DriverException {
        DeviceDriver second = backend.open(device);
        assertThat(second.device()).isEqualTo(device);
        DriverBlock block = allocate(MemoryKind.DEVICE, 1);
        second.close();
        roundTrip(block, BytePattern.of(1, 1));
    }

    @Test
    void a_device_can_be_opened_again() throws DriverException {
        driver().close();
        opened = null;
        opened = backend.open(device);
        roundTrip(allocate(MemoryKind.DEVICE, 1), BytePattern.of(1, 1));
    }

    // Traits and budgets.

    @Test
    void the_driver_knows_its_device() {
        assertThat(driver().device()).isEqualTo(device);
        assertThat(driver().virtualMemory()).isEqualTo(driver().virtualMemory());
    }

    @Test
    void device_memory_and_staging_are_supported() {
        assertThat(traits(MemoryKind.DEVICE).supported()).isTrue();
        for (MemoryKind staging : List.of(MemoryKind.UPLOAD, MemoryKind.READBACK)) {
            if (traits(staging).supported()) {
                assertThat(traits(staging).hostVisible()).isTrue();
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void traits_are_consistent(MemoryKind kind) {
        KindTraits traits = supported(kind);
        assertThat(driver().traits(kind)).isEqualTo(traits);
        assertThat(traits.maxBlockBytes()).isGreaterThanOrEqualTo(traits.granularity());
        device.maxAllocationBytes()
                .ifPresent(limit -> assertThat(traits.maxBlockBytes()).isLessThanOrEqualTo(limit));
        traits.bindingLimit().ifPresent(limit -> assertThat(limit).isPositive());
        if (traits.coherent()) {
            assertThat(traits.hostVisible())
                    .as("coherent, but not host-visible")
                    .isTrue();
        }
    }

    @ParameterizedTest
    @EnumSource
    void every_kind_has_a_budget(MemoryKind kind) throws DriverException {
        supported(kind);
        assertSane(driver().budget(kind));
    }

    private static void assertSane(MemoryBudget budget) {
        assertThat(budget.totalBytes()).isPositive();
        assertThat(budget.detail()).isNotBlank();
        budget.freeBytes().ifPresent(free -> assertThat(free).isBetween(0L, budget.totalBytes()));
    }
}
