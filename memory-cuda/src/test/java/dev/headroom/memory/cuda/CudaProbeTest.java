package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.cuda.CudaDouble.Lasting;
import dev.headroom.memory.cuda.CudaDouble.Property;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What devices say of themselves and what is made of it; and why there may be none. */
class CudaProbeTest {

    private static final long MIB = 1 << 20;
    private static final int NVML_NOT_FOUND = 6;

    @RegisterExtension
    final CleanDriver clean = new CleanDriver();

    private static List<GpuDevice> devices(CudaBackend backend) {
        return switch (backend.probe()) {
            case BackendProbe.Available(List<GpuDevice> devices) -> devices;
            case BackendProbe.Unavailable absent -> throw new AssertionError(absent.reason());
        };
    }

    private static BackendProbe.Unavailable absence(CudaBackend backend) {
        return switch (backend.probe()) {
            case BackendProbe.Available available -> throw new AssertionError(available);
            case BackendProbe.Unavailable absent -> absent;
        };
    }

    @Test
    void a_card() {
        CudaDouble machine = CudaDouble.empty();
        machine.addDevice("NVIDIA Test Card", 8192 * MIB);
        machine.set(0, Property.MAJOR, 9)
                .set(0, Property.MINOR, 0)
                .set(0, Property.DOMAIN, 1)
                .set(0, Property.BUS, 0xAF)
                .set(0, Property.SLOT, 2);
        try (CudaBackend backend = new CudaBackend()) {
            GpuDevice card = devices(backend).getFirst();
            assertThat(card).hasToString("cuda:0 (NVIDIA Test Card)");
            assertThat(card.deviceClass()).isEqualTo(DeviceClass.DISCRETE);
            assertThat(card.computeCapability()).contains("9.0");
            assertThat(card.driverVersion().orElseThrow()).matches("CUDA \\d+\\.\\d");
            assertThat(card.physicalId().pciAddress()).contains("0001:af:02.0");
            assertThat(card.physicalId().uuid().orElseThrow())
                    .matches("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
            assertThat(card.unifiedMemory()).isFalse();
            assertThat(card.maxAllocationBytes()).isEmpty();
        }
    }

    @Test
    void cards_are_told_apart() {
        CudaDouble.machine(1024, 2048, 1024);
        try (CudaBackend backend = new CudaBackend()) {
            List<GpuDevice> found = devices(backend);
            assertThat(found).extracting(GpuDevice::id).containsExactly("cuda:0", "cuda:1", "cuda:2");
            assertThat(found.stream().map(device -> device.physicalId().label()))
                    .doesNotHaveDuplicates();
        }
    }

    /** Two slices of one card share its address, and are two memories all the same. */
    @Test
    void slices_of_a_card_are_memories_of_their_own() throws DriverException {
        CudaDouble machine = CudaDouble.machine(512, 256);
        for (int i = 0; i < 2; i++) {
            machine.set(i, Property.SLICE, true).set(i, Property.BUS, 7).set(i, Property.SLOT, 0);
        }
        machine.occupy(1, 100 * MIB);
        try (CudaBackend backend = new CudaBackend()) {
            List<GpuDevice> slices = devices(backend);
            PhysicalId first = slices.getFirst().physicalId();
            PhysicalId second = slices.getLast().physicalId();
            assertThat(first.isSlice()).isTrue();
            assertThat(first.pciAddress()).isEqualTo(second.pciAddress());
            assertThat(first.sameMemoryAs(second)).isFalse();
            assertThat(backend.budget(slices.getLast()).freeBytes()).hasValue(156 * MIB);
        }
    }

    @Test
    void an_integrated_gpu_lives_in_the_hosts_memory() {
        CudaDouble.machine(1024).set(0, Property.INTEGRATED, true);
        try (CudaBackend backend = new CudaBackend()) {
            GpuDevice device = devices(backend).getFirst();
            assertThat(device.deviceClass()).isEqualTo(DeviceClass.INTEGRATED);
            assertThat(device.physicalId()).isEqualTo(PhysicalId.ofHost());
            assertThat(device.unifiedMemory()).isTrue();
        }
    }

    @Test
    void what_the_driver_hides_is_not_there() throws DriverException {
        CudaDouble machine = CudaDouble.machine(1024, 2048, 4096);
        machine.set(0, Property.HIDDEN, true);
        machine.occupy(1, 48 * MIB);
        try (CudaBackend backend = new CudaBackend()) {
            List<GpuDevice> found = devices(backend);
            assertThat(found).hasSize(2);
            // The figures of the first that is shown, not of the first there is.
            MemoryBudget budget = backend.budget(found.getFirst());
            assertThat(budget.totalBytes()).isEqualTo(2048 * MIB);
            assertThat(budget.freeBytes()).hasValue(2000 * MIB);
        }
    }

    @Test
    void listing_and_reading_budgets_leaves_no_context() throws DriverException {
        CudaDouble machine = CudaDouble.machine(1024, 2048);
        machine.occupy(0, 24 * MIB);
        try (CudaBackend backend = new CudaBackend()) {
            for (GpuDevice device : devices(backend)) {
                MemoryBudget budget = backend.budget(device);
                assertThat(budget.source()).isEqualTo(MemoryBudget.Source.MEASURED);
                assertThat(budget.detail()).isEqualTo("nvmlDeviceGetMemoryInfo");
            }
            assertThat(backend.budget(devices(backend).getFirst()).freeBytes()).hasValue(1000 * MIB);
            assertThat(machine.ledger()).isEmpty();
            assertThat(machine.used(0)).isZero();
            assertThat(machine.callsByName()).doesNotContainKeys("cuDevicePrimaryCtxRetain", "cuMemGetInfo_v2");
            assertThat(machine.managementUsers()).isEqualTo(1);
        }
        assertThat(machine.managementUsers()).isZero();
    }

    @Test
    void an_open_device_measures_for_itself() throws DriverException {
        CudaDouble machine = CudaDouble.machine(1024);
        machine.set(0, Property.CONTEXT_BYTES, 64 * MIB);
        machine.occupy(0, 200 * MIB);
        try (CudaBackend backend = new CudaBackend();
                DeviceDriver driver = backend.open(devices(backend).getFirst())) {
            MemoryBudget budget = driver.budget(MemoryKind.DEVICE);
            assertThat(budget.detail()).isEqualTo("cuMemGetInfo");
            assertThat(budget.freeBytes()).hasValue(760 * MIB);
            assertThat(driver.budget(MemoryKind.UPLOAD).freeBytes()).isEmpty();
        }
    }

    @ParameterizedTest
    @CsvSource({"nvmlInit_v2, nvmlInit", "nvmlDeviceGetHandleByUUID,", "nvmlDeviceGetMemoryInfo,"})
    void without_the_management_library_nothing_tells_what_is_free(String call, String named) throws DriverException {
        CudaDouble machine = CudaDouble.machine(1024);
        try (CudaBackend backend = new CudaBackend()) {
            GpuDevice device = devices(backend).getFirst();
            machine.failAt(call, 1, NVML_NOT_FOUND, Lasting.ONCE);
            MemoryBudget budget = backend.budget(device);
            assertThat(budget.source()).isEqualTo(MemoryBudget.Source.UNKNOWN);
            assertThat(budget.totalBytes()).isEqualTo(1024 * MIB);
            assertThat(budget.detail())
                    .isEqualTo("cuDeviceTotalMem; what is free is not known: %s failed (code 6)"
                            .formatted(named == null ? call : named));
        }
    }

    @Test
    void a_device_that_does_not_answer_is_left_out() {
        CudaDouble machine = CudaDouble.machine(1024, 2048);
        try (CudaBackend backend = new CudaBackend()) {
            machine.failAt("cuDeviceGetName", 1, 999, Lasting.ONCE);
            assertThat(devices(backend)).singleElement().satisfies(left -> {
                assertThat(left.index()).isZero();
                assertThat(backend.budget(left).totalBytes()).isEqualTo(2048 * MIB);
            });
            machine.failAt("cuDeviceTotalMem_v2", 1, 3, Lasting.FOR_EVER);
            assertThat(absence(backend).reason())
                    .isEqualTo("no CUDA device answers: "
                            + "cuDeviceTotalMem failed: CUDA_ERROR_NOT_INITIALIZED (code 3); "
                            + "cuDeviceTotalMem failed: CUDA_ERROR_NOT_INITIALIZED (code 3)");
            machine.failNoMore();
            assertThat(devices(backend)).hasSize(2);
        }
    }

    @Test
    void no_device() {
        CudaDouble machine = CudaDouble.empty();
        try (CudaBackend backend = new CudaBackend()) {
            assertThat(absence(backend).reason())
                    .isEqualTo("there is a CUDA driver, but no device (CUDA_ERROR_NO_DEVICE)");
            machine.addDevice("late", 1024 * MIB);
            assertThat(devices(backend)).hasSize(1);
        }
    }

    @Test
    void a_driver_that_is_too_old() {
        CudaDouble machine = CudaDouble.machine(1024);
        machine.driverVersion(10_020);
        try (CudaBackend backend = new CudaBackend()) {
            assertThat(absence(backend).reason())
                    .isEqualTo("the CUDA driver is too old: it offers CUDA 10.2, and 11.0 is needed");
            machine.driverVersion(11_000);
            assertThat(devices(backend)).hasSize(1);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "34, CUDA_ERROR_STUB_LIBRARY, stub libraries",
        "803, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, restart the machine",
        "802, CUDA_ERROR_SYSTEM_NOT_READY, nvidia-fabricmanager",
        "999, CUDA_ERROR_UNKNOWN, nvidia-uvm",
        "3, CUDA_ERROR_NOT_INITIALIZED, nvidia-smi"
    })
    void a_driver_that_fails(int code, String name, String hint) {
        CudaDouble machine = CudaDouble.machine(1024);
        machine.failAt("cuInit", 1, code, Lasting.FOR_EVER);
        try (CudaBackend backend = new CudaBackend()) {
            assertThat(absence(backend).reason())
                    .isEqualTo("the CUDA driver fails: cuInit failed: %s (code %d)".formatted(name, code));
            assertThat(absence(backend).hint()).contains(hint);
        }
    }

    @Test
    void a_device_that_is_gone_cannot_be_opened() {
        CudaDouble.machine(1024, 1024);
        try (CudaBackend backend = new CudaBackend()) {
            GpuDevice second = devices(backend).getLast();
            CudaDouble.machine(1024);
            backend.probe();
            assertThatThrownBy(() -> backend.open(second))
                    .isInstanceOfSatisfying(
                            DriverException.class,
                            e -> assertThat(e.kind()).isEqualTo(DriverException.Kind.DEVICE_LOST))
                    .hasMessageContaining("is not there any more");
        }
    }
}
