package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a block asks of Vulkan, call by call. */
class VulkanBlockTest {

    @RegisterExtension
    final Validation validation = new Validation();

    private ScriptedVk vk;
    private VulkanBackend backend;

    @BeforeEach
    void overReal() {
        vk = ScriptedVk.overReal();
    }

    @AfterEach
    void nothingIsLeft() {
        if (backend != null) {
            backend.close();
        }
        assertThat(vk.faults()).isEmpty();
    }

    private DeviceDriver open(Modes mode) throws DriverException {
        backend = vk.backend(validation.in(mode.options()));
        return backend.open(((BackendProbe.Available) backend.probe()).devices().getFirst());
    }

    private static DriverBlock allocate(DeviceDriver driver, MemoryKind kind) throws DriverException {
        return driver.allocate(new BlockRequest(64 << 10, 64, kind, "block"));
    }

    /** The number of allocations is the device's to limit, and memory given back makes room. */
    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void no_more_allocations_than_the_device_allows(int most) throws DriverException {
        vk.disguisedBy(raw -> Disguise.allocations(raw, most));
        DeviceDriver driver = open(Modes.AS_IT_IS);
        List<DriverBlock> blocks = new ArrayList<>();
        for (int i = 0; i < most; i++) {
            blocks.add(allocate(driver, MemoryKind.DEVICE));
        }
        int calls = vk.calls("allocate");
        assertThatThrownBy(() -> allocate(driver, MemoryKind.DEVICE))
                .isInstanceOfSatisfying(DriverException.class, e -> {
                    assertThat(e.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
                    assertThat(e).hasMessageContaining("VK_ERROR_TOO_MANY_OBJECTS");
                });
        assertThat(vk.calls("allocate")).isEqualTo(calls);
        assertThat(driver.free(blocks.removeLast()).isFreed()).isTrue();
        blocks.add(allocate(driver, MemoryKind.UPLOAD));
        blocks.forEach(driver::free);
        driver.close();
    }

    /** A limit of 0xFFFFFFFF is a large one, and not -1. */
    @Test
    void an_unsigned_limit_refuses_nothing() throws DriverException {
        vk.disguisedBy(raw -> Disguise.allocations(raw, 0xFFFFFFFF));
        DeviceDriver driver = open(Modes.AS_IT_IS);
        driver.free(allocate(driver, MemoryKind.DEVICE));
        driver.close();
    }

    /** An allocation that failed does not count. */
    @Test
    void a_failed_allocation_leaves_room() throws DriverException {
        vk.disguisedBy(raw -> Disguise.allocations(raw, 1));
        DeviceDriver driver = open(Modes.AS_IT_IS);
        for (String call : List.of("createBuffer", "allocate", "bind")) {
            vk.answering(call, -2);
            assertThatThrownBy(() -> allocate(driver, MemoryKind.DEVICE))
                    .isInstanceOfSatisfying(
                            DriverException.class,
                            e -> assertThat(e.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY));
            vk.answering(call, VkApi.SUCCESS);
        }
        driver.free(allocate(driver, MemoryKind.DEVICE));
        driver.close();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void an_allocation_for_the_buffer_alone_where_the_driver_wants_it(boolean wanted) throws DriverException {
        vk.preferringDedicated(wanted);
        DeviceDriver driver = open(Modes.AS_IT_IS);
        VulkanBlock block = (VulkanBlock) allocate(driver, MemoryKind.DEVICE);
        assertThat(vk.allocations())
                .singleElement()
                .extracting(VkApi.MemoryRequest::dedicated)
                .isEqualTo(wanted ? block.buffer() : 0L);
        driver.free(block);
        driver.close();
    }

    @Test
    void mappings_of_a_block_share_one() throws DriverException {
        DeviceDriver driver = open(Modes.AS_IT_IS);
        DriverBlock block = allocate(driver, MemoryKind.UPLOAD);
        HostMapping first = driver.map(block, 0, 4096, MapAccess.WRITE_DISCARD);
        HostMapping second = driver.map(block, 4096, 4096, MapAccess.READ);
        assertThat(second.segment().address() - first.segment().address()).isEqualTo(4096);
        first.segment().fill((byte) 1);
        first.close();
        second.segment().fill((byte) 2);
        second.close();
        try (HostMapping third = driver.map(block, 0, 8192, MapAccess.READ)) {
            assertThat(third.segment().get(ValueLayout.JAVA_BYTE, 4095)).isEqualTo((byte) 1);
            assertThat(third.segment().get(ValueLayout.JAVA_BYTE, 4096)).isEqualTo((byte) 2);
        }
        assertThat(vk.calls("map")).isEqualTo(1);
        assertThat(vk.calls("flush") + vk.calls("invalidate")).isZero();
        driver.free(block);
        driver.close();
    }

    @Test
    void what_is_not_coherent_is_flushed() throws DriverException {
        vk.disguisedBy(Modes.NOT_COHERENT.disguise());
        DeviceDriver driver = open(Modes.NOT_COHERENT);
        assertThat(driver.traits(MemoryKind.UPLOAD).coherent()).isFalse();
        DriverBlock block = allocate(driver, MemoryKind.UPLOAD);
        try (HostMapping mapping = driver.map(block, 70, 10, MapAccess.READ_WRITE)) {
            mapping.invalidate();
            mapping.flush();
        }
        assertThat(List.of(vk.calls("flush"), vk.calls("invalidate"))).containsOnly(1);
        driver.free(block);
        driver.close();
    }

    @Test
    void a_second_free_is_refused_before_vulkan_sees_it() throws DriverException {
        DeviceDriver driver = open(Modes.AS_IT_IS);
        DriverBlock block = allocate(driver, MemoryKind.DEVICE);
        assertThat(driver.free(block).isFreed()).isTrue();
        assertThat(driver.free(block).failure().orElseThrow())
                .hasMessage("vkFreeMemory failed: the block was freed before (code 0)");
        assertThat(vk.calls("free")).isEqualTo(1);
        driver.close();
    }

    /** A segment somebody kept of a mapping throws once its block is gone. */
    @Test
    void a_segment_outlives_its_block_as_an_exception() throws DriverException {
        DeviceDriver driver = open(Modes.AS_IT_IS);
        DriverBlock block = allocate(driver, MemoryKind.UPLOAD);
        MemorySegment kept;
        try (HostMapping mapping = driver.map(block, 0, 4096, MapAccess.READ_WRITE)) {
            kept = mapping.segment();
        }
        driver.free(block);
        driver.close();
        assertThatThrownBy(() -> kept.fill((byte) 1)).isInstanceOf(IllegalStateException.class);
    }
}
