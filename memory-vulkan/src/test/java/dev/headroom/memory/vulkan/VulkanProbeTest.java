package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.UnavailableException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What probing says of drivers that fail in every way they can. */
class VulkanProbeTest {

    private ScriptedVk vk;

    @BeforeEach
    void overReal() {
        vk = ScriptedVk.overReal();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(vk.faults()).isEmpty();
    }

    private String reason() {
        try (VulkanBackend backend = vk.backend()) {
            return switch (backend.probe()) {
                case BackendProbe.Unavailable(String reason, String hint) -> {
                    assertThat(hint).isNotBlank().doesNotContain("\n");
                    yield reason;
                }
                case BackendProbe.Available(List<GpuDevice> devices) -> throw new AssertionError(devices);
            };
        }
    }

    @Test
    void no_driver() {
        vk.answering("createInstance", -9);
        assertThat(reason())
                .isEqualTo("there is a Vulkan loader, but no driver for it to load (VK_ERROR_INCOMPATIBLE_DRIVER)");
    }

    @ParameterizedTest
    @CsvSource({
        "getInstanceVersion, vkEnumerateInstanceVersion",
        "getInstanceExtensions, vkEnumerateInstanceExtensionProperties",
        "createInstance, vkCreateInstance",
        "getPhysicalDevices, vkEnumeratePhysicalDevices"
    })
    void a_broken_loader(String method, String call) {
        vk.answering(method, -1);
        assertThat(reason())
                .isEqualTo("the Vulkan loader fails: " + call + " failed: VK_ERROR_OUT_OF_HOST_MEMORY (code -1)");
    }

    @Test
    void a_loader_of_the_first_version() {
        vk.ofVersion(0x400000);
        assertThat(reason()).isEqualTo("the Vulkan loader is of version 1.0, and 1.1 is needed");
    }

    @Test
    void no_device() {
        vk.answering("describe", -9);
        assertThat(reason())
                .startsWith("no Vulkan driver offers a device: vkGetPhysicalDeviceProperties2 failed:"
                        + " VK_ERROR_INCOMPATIBLE_DRIVER (code -9)");
    }

    @Test
    void no_loader() {
        assertThatThrownBy(() -> new VulkanLibrary(List.of("libnowhere.so.1", "libnowhere.so"), false).load())
                .isInstanceOf(UnavailableException.class)
                .hasMessage("no Vulkan loader: libnowhere.so.1 or libnowhere.so cannot be opened");
    }

    @Test
    void a_device_that_is_gone_is_not_opened() throws Exception {
        GpuDevice other = GpuDevice.of("vulkan", 7, "Another", DeviceClass.DISCRETE, PhysicalId.unknown());
        try (VulkanBackend backend = vk.backend()) {
            assertThatThrownBy(() -> backend.open(other))
                    .isInstanceOf(DriverException.class)
                    .hasMessageContaining("vulkan:7 (Another) is not there any more");
        }
        vk.answering("createInstance", -9);
        try (VulkanBackend absent = vk.backend()) {
            assertThatThrownBy(() -> absent.budget(other))
                    .isInstanceOf(DriverException.class)
                    .hasMessageContaining("no driver for it to load");
        }
    }

    @Test
    void listing_and_asking_opens_no_device() throws Exception {
        try (VulkanBackend backend = vk.backend()) {
            if (backend.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
                for (GpuDevice device : devices) {
                    assertThat(backend.budget(device).totalBytes()).isPositive();
                }
            }
        }
        assertThat(vk.calls("createDevice")).isZero();
    }

    @Test
    void the_budget_is_that_of_the_main_heap() throws Exception {
        vk.disguisedBy(raw -> Cards.AMD).telling(new long[] {14 << 20, 1, 2}, new long[] {4 << 20, 0, 0});
        try (VulkanBackend backend = vk.backend()) {
            GpuDevice card = first(backend);
            MemoryBudget budget = backend.budget(card);
            assertThat(budget.source()).isEqualTo(MemoryBudget.Source.MEASURED);
            assertThat(budget.totalBytes()).isEqualTo(16 * Cards.GIB - 256 * Cards.MIB);
            assertThat(budget.freeBytes()).hasValue(10 << 20);
        }
    }

    @Test
    void the_budget_of_a_silent_driver_is_unknown() throws Exception {
        vk.disguisedBy(raw -> Cards.FULL_WINDOW);
        try (VulkanBackend backend = vk.backend()) {
            MemoryBudget budget = backend.budget(first(backend));
            assertThat(budget.source()).isEqualTo(MemoryBudget.Source.UNKNOWN);
            assertThat(budget.totalBytes()).isEqualTo(24 * Cards.GIB);
        }
        assertThat(vk.calls("getBudget")).isZero();
    }

    private static GpuDevice first(VulkanBackend backend) {
        return ((BackendProbe.Available) backend.probe()).devices().getFirst();
    }
}
