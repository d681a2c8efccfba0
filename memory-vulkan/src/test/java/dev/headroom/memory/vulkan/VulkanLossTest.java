package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.testkit.BytePattern;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A device that is lost: typed, for good, and for itself alone. */
class VulkanLossTest {

    private static final int DEVICE_LOST = -4;

    @RegisterExtension
    final Validation validation = new Validation();

    private GpuMemory open(ScriptedVk vk, Modes mode) {
        return GpuMemory.builder()
                .backend(vk.backend(validation.in(mode.options())))
                .open();
    }

    private static GpuMemoryPool pool(GpuMemory memory) {
        return memory.pool(memory.devices().getFirst());
    }

    private static void roundTrip(GpuMemoryPool pool, Arena arena) {
        try (DeviceBuffer buffer = pool.allocate(100_000)) {
            MemorySegment bytes = arena.allocate(100_000);
            BytePattern pattern = BytePattern.of(1, 1);
            pattern.writeTo(bytes);
            buffer.write(0, bytes);
            bytes.fill((byte) 0);
            buffer.read(0, bytes);
            pattern.requireIn(bytes);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "STAGED, submit, vkQueueSubmit",
        "STAGED, waitFor, vkWaitSemaphores",
        "STAGED_WITH_FENCES, submit, vkQueueSubmit",
        "STAGED_WITH_FENCES, getFenceStatus, vkGetFenceStatus"
    })
    void at_every_submit_and_wait(Modes mode, String call, String name) {
        ScriptedVk lost = ScriptedVk.overReal();
        ScriptedVk sound = ScriptedVk.overReal();
        try (Arena arena = Arena.ofShared();
                GpuMemory others = open(sound, mode)) {
            try (GpuMemory memory = open(lost, mode)) {
                GpuMemoryPool pool = pool(memory);
                roundTrip(pool, arena);
                DeviceBuffer kept = pool.allocate(4096);
                lost.answering(call, DEVICE_LOST);
                assertThatThrownBy(() -> roundTrip(pool, arena))
                        .isInstanceOf(DeviceLostException.class)
                        .hasMessageContaining(name + " failed: VK_ERROR_DEVICE_LOST (code -4)")
                        .hasMessageContaining("Close its GpuMemory and open a new one; other devices are not affected");
                // One way: the device itself answers again, and is not asked.
                lost.answering(call, VkApi.SUCCESS);
                lost.drain();
                int calls = lost.calls();
                assertThatThrownBy(() -> kept.fill(0, 64, (byte) 1)).isInstanceOf(DeviceLostException.class);
                assertThatThrownBy(() -> pool.allocate(1 << 20)).isInstanceOf(DeviceLostException.class);
                assertThat(lost.calls()).isEqualTo(calls);
                roundTrip(pool(others), arena);
            }
            assertThat(lost.faults()).isEmpty();
            try (GpuMemory again = open(ScriptedVk.overReal(), mode)) {
                roundTrip(pool(again), arena);
            }
            roundTrip(pool(others), arena);
        }
        assertThat(sound.faults()).isEmpty();
    }

    @Test
    void codes_mean_what_the_manual_says() {
        assertThat(VkError.failed("x", -4).kind()).isEqualTo(DriverException.Kind.DEVICE_LOST);
        for (int code : new int[] {-1, -2, -10}) {
            assertThat(VkError.failed("x", code).kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
        }
        for (int code : new int[] {-7, -8}) {
            assertThat(VkError.failed("x", code).kind()).isEqualTo(DriverException.Kind.UNSUPPORTED);
        }
        for (int code : new int[] {-3, -5, -6, -9, -13, 1, 2, 5, -7777}) {
            assertThat(VkError.failed("x", code).kind()).isEqualTo(DriverException.Kind.UNEXPECTED);
        }
        assertThat(VkError.failed("vkMapMemory", -5))
                .hasMessage("vkMapMemory failed: VK_ERROR_MEMORY_MAP_FAILED (code -5)");
    }
}
