package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.spi.BackendProbe;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lwjgl.vulkan.VkDevice;

/** That the checks of the other tests would find something. */
class ValidationTest {

    private final Validation validation = new Validation();
    private VkApi vk;

    @BeforeEach
    void requireLayer() {
        vk = ScriptedVk.realOrSkip();
        assumeTrue(
                Validation.missingBecause().isEmpty(),
                () -> Validation.missingBecause().orElseThrow());
    }

    private VulkanOptions options() {
        return new VulkanOptions(Optional.of(validation.listener()), false, true);
    }

    /** What is left when a device ends is said, and fails the test that left it. */
    @ParameterizedTest
    @ValueSource(strings = {"memory", "buffer", "semaphore", "fence", "nothing"})
    void a_leak_is_found(String what) throws Exception {
        try (VulkanInstance instance = VulkanInstance.open(vk, options())) {
            VulkanDevice device = instance.devices().getFirst();
            OpenDevice open = OpenDevice.open(instance.handle(), device, options());
            long[] made = new long[1];
            VkDevice handle = open.handle();
            switch (what) {
                case "memory" -> vk.allocate(handle, new VkApi.MemoryRequest(4096, 0, 0, false), made);
                case "buffer" -> vk.createBuffer(handle, 4096, open.usage(), new int[] {0}, made);
                case "semaphore" -> vk.createTimeline(handle, made);
                case "fence" -> vk.createFence(handle, made);
                default -> made[0] = 1;
            }
            assertThat(made[0]).isNotZero();
            vk.destroyDevice(handle);
        }
        if (what.equals("nothing")) {
            assertThat(validation.messages()).isEmpty();
            validation.afterEach(null);
        } else {
            assertThat(validation.messages()).isNotEmpty().allMatch(text -> text.contains("vkDestroyDevice"));
            assertThatThrownBy(() -> validation.afterEach(null)).isInstanceOf(AssertionError.class);
        }
    }

    @Test
    void a_wrong_call_is_found() throws Exception {
        try (VulkanInstance instance = VulkanInstance.open(vk, options())) {
            OpenDevice open =
                    OpenDevice.open(instance.handle(), instance.devices().getFirst(), options());
            long[] buffer = new long[1];
            vk.createBuffer(open.handle(), 0, open.usage(), new int[] {0}, buffer);
            vk.destroyBuffer(open.handle(), buffer[0]);
            vk.destroyDevice(open.handle());
        }
        assertThat(validation.messages()).isNotEmpty();
    }

    @Test
    void a_layer_that_is_not_there_is_a_reason() {
        ScriptedVk scripted = ScriptedVk.overReal().hidingLayers();
        assertThat(scripted.backend(options()).probe())
                .isEqualTo(new BackendProbe.Unavailable(
                        "the validation layer was asked for and is not installed",
                        "install it (on Debian: vulkan-validationlayers) or leave validation off"));
        assertThat(scripted.faults()).isEmpty();
    }

    @Test
    void nobody_asks_for_layers_without_the_option() {
        ScriptedVk scripted = ScriptedVk.overReal();
        try (VulkanBackend backend = scripted.backend()) {
            assertThat(backend.probe()).isInstanceOf(BackendProbe.Available.class);
        }
        assertThat(scripted.instances()).singleElement().satisfies(request -> {
            assertThat(request.layers()).isEmpty();
            assertThat(request.messages()).isNull();
            assertThat(Set.of("VK_KHR_portability_enumeration")).containsAll(request.extensions());
        });
        assertThat(List.of(scripted.calls("getInstanceLayers"), scripted.calls("createMessenger")))
                .containsOnly(0);
    }
}
