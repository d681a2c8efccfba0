package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the figures of known devices mean. */
class DeviceProfileTest {

    private static final long UNSIGNED_INT_MAX = 4_294_967_295L;

    private static KindTraits traits(RawDevice raw, MemoryKind kind) throws DriverException {
        MemoryTypes types = new MemoryTypes(raw.heaps(), raw.types(), -1);
        return DeviceProfile.of(raw, 0).traits(kind, types.choose(kind, false), 16);
    }

    private static Cards.Sketch simple() {
        return new Cards.Sketch("simple", 2)
                .heap(8 * Cards.GIB, true)
                .type(Cards.LOCAL, 0)
                .family(2 | 4, 1);
    }

    @Test
    void a_card_is_known_by_its_uuid_and_its_place() throws DriverException {
        GpuDevice device = DeviceProfile.of(Cards.SMALL_WINDOW, 3).device();
        assertThat(device.driverVersion()).contains(Cards.SMALL_WINDOW.driver());
        assertThat(device.id()).isEqualTo("vulkan:3");
        assertThat(device.deviceClass()).isEqualTo(DeviceClass.DISCRETE);
        assertThat(device.unifiedMemory()).isFalse();
        assertThat(device.physicalId())
                .isEqualTo(PhysicalId.of("6d657361-3232-2e33-2e36-000000000000", "0000:01:00.0"));
        assertThat(device.maxAllocationBytes()).hasValue(4 * Cards.GIB);
    }

    @Test
    void what_lives_in_the_hosts_memory_says_so() throws DriverException {
        for (RawDevice raw : new RawDevice[] {Cards.INTEL, Cards.APPLE, Cards.BOARD, Cards.LAVAPIPE}) {
            GpuDevice device = DeviceProfile.of(raw, 0).device();
            assertThat(device.physicalId().host()).isTrue();
            assertThat(device.physicalId().uuid()).isPresent();
            assertThat(device.physicalId().sameMemoryAs(PhysicalId.ofHost())).isTrue();
            assertThat(device.unifiedMemory()).isTrue();
            assertThat(traits(raw, MemoryKind.UPLOAD).placement()).isEqualTo(Placement.HOST);
            assertThat(traits(raw, MemoryKind.DEVICE).placement()).isEqualTo(Placement.DEVICE);
        }
    }

    @ParameterizedTest
    @CsvSource({"0, DISCRETE", "1, INTEGRATED", "2, DISCRETE", "3, VIRTUAL", "4, CPU", "77, DISCRETE"})
    void classes(int type, DeviceClass deviceClass) throws DriverException {
        RawDevice raw = new Cards.Sketch("any", type)
                .heap(Cards.GIB, true)
                .heap(Cards.GIB, false)
                .family(2, 1)
                .done();
        assertThat(DeviceProfile.of(raw, 0).device().deviceClass()).isEqualTo(deviceClass);
    }

    @Test
    void a_nameless_class_with_one_memory_is_integrated() throws DriverException {
        RawDevice raw =
                new Cards.Sketch("any", 0).heap(Cards.GIB, true).family(2, 1).done();
        assertThat(DeviceProfile.of(raw, 0).device().deviceClass()).isEqualTo(DeviceClass.INTEGRATED);
    }

    @Test
    void limits_have_no_sign() throws DriverException {
        Cards.Sketch sketch = simple();
        sketch.maxAllocations = 0xFFFFFFFF;
        sketch.maxStorageRange = 0xFFFFFFFF;
        sketch.maxAllocationBytes = -1;
        sketch.maxBufferBytes = OptionalLong.of(-1);
        DeviceProfile profile = DeviceProfile.of(sketch.done(), 0);
        assertThat(profile.maxAllocations()).isEqualTo(UNSIGNED_INT_MAX);
        assertThat(profile.bindingLimit()).isEqualTo(UNSIGNED_INT_MAX);
        assertThat(profile.device().maxAllocationBytes()).hasValue(8 * Cards.GIB);
        assertThat(traits(sketch.done(), MemoryKind.DEVICE).bindingLimit()).hasValue(UNSIGNED_INT_MAX);
        sketch.maxAllocations = 0x80000000;
        sketch.maxStorageRange = 0x80000000;
        profile = DeviceProfile.of(sketch.done(), 0);
        assertThat(profile.maxAllocations()).isEqualTo(1L << 31);
        assertThat(profile.bindingLimit()).isEqualTo(1L << 31);
    }

    @ParameterizedTest
    @CsvSource({
        // most memory, most buffer (0: not told), heap, what a block may be
        "4294967296, 0,           8589934592, 4294967296",
        "4294967295, 0,           8589934592, 4294967232",
        "-1,         2147483648,  8589934592, 2147483648",
        "-1,         -1,          8589934592, 8589934592",
        "-1,         0,           -1,         9223372036854775744",
        "2147483648, 1099511627776, 1073741824, 1073741824"
    })
    void the_largest_block(long memory, long buffer, long heap, long block) throws DriverException {
        Cards.Sketch sketch =
                new Cards.Sketch("any", 2).heap(heap, true).type(Cards.LOCAL, 0).family(2, 1);
        sketch.maxAllocationBytes = memory;
        sketch.maxBufferBytes = buffer == 0 ? OptionalLong.empty() : OptionalLong.of(buffer);
        KindTraits traits = traits(sketch.done(), MemoryKind.DEVICE);
        assertThat(traits.maxBlockBytes()).isEqualTo(block);
        assertThat(block % traits.granularity()).isZero();
    }

    /** Two buffers never share an atom: a flush of one would bring old bytes of the other along. */
    @ParameterizedTest
    @CsvSource({"16, 64, 64", "256, 64, 256", "1, 1, 1", "48, 1, 64", "0, 0, 1", "4, 256, 256"})
    void buffers_begin_where_kernels_and_flushes_allow_it(long alignment, long atom, long begins)
            throws DriverException {
        Cards.Sketch sketch = simple();
        sketch.alignment = alignment;
        sketch.atom = atom;
        KindTraits traits = traits(sketch.done(), MemoryKind.DEVICE);
        assertThat(traits.bindingAlignment()).isEqualTo(begins);
        assertThat(traits.granularity()).isEqualTo(Math.max(16, begins));
    }

    @Test
    void staging_of_a_card_is_the_hosts() throws DriverException {
        assertThat(traits(Cards.SMALL_WINDOW, MemoryKind.UPLOAD).placement()).isEqualTo(Placement.HOST);
        assertThat(traits(Cards.SMALL_WINDOW, MemoryKind.UPLOAD).hostVisible()).isTrue();
        assertThat(traits(Cards.SMALL_WINDOW, MemoryKind.DEVICE).hostVisible()).isFalse();
        assertThat(traits(Cards.SMALL_WINDOW, MemoryKind.DEVICE).maxBlockBytes())
                .isEqualTo(4 * Cards.GIB);
        assertThat(traits(Cards.FULL_WINDOW, MemoryKind.UNIFIED).placement()).isEqualTo(Placement.DEVICE);
        assertThat(traits(Cards.SMALL_WINDOW, MemoryKind.UNIFIED).supported()).isFalse();
    }

    @Test
    void the_budget_says_where_it_comes_from() throws DriverException {
        DeviceProfile profile = DeviceProfile.of(Cards.SMALL_WINDOW, 0);
        MemoryBudget measured =
                profile.budget(0, Optional.of(new DeviceProfile.HeapUse(10 * Cards.GIB, 3 * Cards.GIB)));
        assertThat(measured.source()).isEqualTo(MemoryBudget.Source.MEASURED);
        assertThat(measured.totalBytes()).isEqualTo(12 * Cards.GIB);
        assertThat(measured.freeBytes()).hasValue(7 * Cards.GIB);
        assertThat(measured.detail()).isEqualTo("VK_EXT_memory_budget, heap 0 of driver 1");
        MemoryBudget unknown = profile.budget(0, Optional.empty());
        assertThat(unknown.source()).isEqualTo(MemoryBudget.Source.UNKNOWN);
        assertThat(unknown.detail())
                .isEqualTo("heap 0 of driver 1, which has no VK_EXT_memory_budget and does not tell what is free");
    }

    @ParameterizedTest
    @CsvSource({"5, 7, 0", "-1, 0, 12884901888", "0, 0, 0", "-1, -1, 0"})
    void what_is_free_is_never_below_zero_nor_above_all(long budget, long used, long free) throws DriverException {
        assertThat(DeviceProfile.of(Cards.SMALL_WINDOW, 0)
                        .budget(0, Optional.of(new DeviceProfile.HeapUse(budget, used)))
                        .freeBytes())
                .hasValue(free);
    }

    @Test
    void a_device_that_lacks_something_is_no_device() {
        RawDevice noMemory =
                new Cards.Sketch("any", 2).heap(Cards.GIB, false).family(2, 1).done();
        assertThatThrownBy(() -> DeviceProfile.of(noMemory, 0))
                .isInstanceOf(DriverException.class)
                .hasMessageContaining("no memory of its own");
        RawDevice noKernels =
                new Cards.Sketch("any", 2).heap(Cards.GIB, true).family(4, 1).done();
        assertThatThrownBy(() -> DeviceProfile.of(noKernels, 0))
                .isInstanceOf(DriverException.class)
                .hasMessageContaining("no queue for kernels");
    }
}
