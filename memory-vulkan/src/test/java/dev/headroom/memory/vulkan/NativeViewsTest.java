package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lwjgl.vulkan.VkDescriptorBufferInfo;

/** Kernels on pooled buffers, and what is refused before it reaches Vulkan. */
class NativeViewsTest {

    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final int COUNT = 100_000;

    @RegisterExtension
    final Validation validation = new Validation();

    private ScriptedVk vk = ScriptedVk.overReal();
    private GpuMemory memory;
    private GpuMemoryPool pool;

    private void open(Modes mode) {
        memory = GpuMemory.builder()
                .backend(vk.backend(validation.in(mode.options())))
                .backend(SimulatedBackend.host(1L << 30))
                .open();
        pool = memory.pool(memory.devices().getFirst());
    }

    @AfterEach
    void close() {
        if (memory != null) {
            memory.close();
        }
        assertThat(vk.faults()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource
    void a_kernel_runs_on_pooled_buffers(Modes mode) {
        vk.disguisedBy(mode.disguise());
        open(mode);
        VulkanContext context = VulkanContext.of(pool);
        try (ScaleKernel kernel = new ScaleKernel(context);
                Arena arena = Arena.ofShared();
                DeviceBuffer padding = pool.allocate(1);
                DeviceBuffer from = pool.allocate(4L * COUNT);
                DeviceBuffer to = pool.allocate(4L * COUNT)) {
            padding.fill(0, 1, (byte) 1);
            MemorySegment numbers = arena.allocate(ValueLayout.JAVA_INT, COUNT);
            for (int i = 0; i < COUNT; i++) {
                numbers.setAtIndex(ValueLayout.JAVA_INT, i, i);
            }
            from.writeAsync(0, numbers);
            for (int factor = 2; factor < 5; factor++) {
                QueueFence fence = launch(kernel, context.queue(), from, to, factor);
                if (factor == 3) {
                    assertThat(fence.await(PATIENCE)).isTrue();
                }
                MemorySegment result = arena.allocate(4L * COUNT);
                to.read(0, result); // behind the kernel, whether somebody has waited for it or not
                for (int i = 0; i < COUNT; i += 997) {
                    assertThat(result.getAtIndex(ValueLayout.JAVA_INT, i)).isEqualTo(i * factor);
                }
                assertThat(fence.await(PATIENCE)).isTrue();
            }
        }
    }

    private static QueueFence launch(
            ScaleKernel kernel, VulkanQueue queue, DeviceBuffer from, DeviceBuffer to, int factor) {
        try (VulkanBuffer source = VulkanBuffer.of(from);
                VulkanBuffer target = VulkanBuffer.of(to)) {
            from.waitOn(queue);
            to.waitOn(queue);
            kernel.launch(source, target, COUNT, factor);
            from.usedOn(queue);
            return to.usedOn(queue);
        }
    }

    @Test
    void a_view_says_where_the_buffer_lies() {
        open(Modes.AS_IT_IS);
        try (DeviceBuffer first = pool.allocate(1000);
                DeviceBuffer second = pool.allocate(1000);
                VulkanBuffer one = VulkanBuffer.of(first);
                VulkanBuffer two = VulkanBuffer.of(second)) {
            assertThat(one.byteSize()).isEqualTo(1000);
            assertThat(one.buffer()).isEqualTo(two.buffer()).isNotZero();
            assertThat(two.byteOffset()).isNotEqualTo(one.byteOffset());
            if (one.deviceAddress().isPresent()) {
                assertThat(two.deviceAddress().orElseThrow()
                                - one.deviceAddress().orElseThrow())
                        .isEqualTo(two.byteOffset() - one.byteOffset());
            }
            try (VkDescriptorBufferInfo info = VkDescriptorBufferInfo.calloc()) {
                two.describe(info);
                assertThat(info.buffer()).isEqualTo(two.buffer());
                assertThat(info.offset()).isEqualTo(two.byteOffset());
                assertThat(info.range()).isEqualTo(1000);
                two.describe(info, 256, 100);
                assertThat(info.offset()).isEqualTo(two.byteOffset() + 256);
                assertThat(info.range()).isEqualTo(100);
            }
        }
    }

    /** The limit of a descriptor binds the descriptor, and nothing else. */
    @Test
    void more_than_a_kernel_can_bind_is_bound_in_parts() {
        vk.disguisedBy(raw -> Disguise.storageRange(raw, 1 << 20));
        open(Modes.AS_IT_IS);
        try (DeviceBuffer large = pool.allocate(3 << 20);
                VulkanBuffer view = VulkanBuffer.of(large);
                VkDescriptorBufferInfo info = VkDescriptorBufferInfo.calloc()) {
            large.fill(0, 3 << 20, (byte) 1);
            assertThat(view.bindingLimit()).isEqualTo(1 << 20);
            assertThatThrownBy(() -> view.describe(info))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("a kernel cannot bind 3145728 bytes at once: must be 1 to 1048576");
            view.describe(info, 2 << 20, 1 << 20);
            assertThat(info.range()).isEqualTo(1 << 20);
            assertThatThrownBy(() -> view.describe(info, 0, (1 << 20) + 1))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> view.describe(info, 0, 0)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> view.describe(info, 1, 4))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("a part that a kernel binds begins at 1: must be a multiple of");
            assertThatThrownBy(() -> view.describe(info, 3 << 20, 64)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> view.describe(info, -64, 64)).isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    void a_closed_view_is_refused() {
        open(Modes.AS_IT_IS);
        try (DeviceBuffer buffer = pool.allocate(1000)) {
            VulkanBuffer view = VulkanBuffer.of(buffer);
            view.close();
            view.close();
            assertThatThrownBy(view::buffer)
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessageContaining("the Vulkan view of Buffer#")
                    .hasMessageContaining("was used after it was closed");
            assertThatThrownBy(view::deviceAddress).isInstanceOf(BufferClosedException.class);
        }
    }

    @Test
    void an_open_view_keeps_the_buffer_where_it_is() {
        open(Modes.AS_IT_IS);
        DeviceBuffer buffer = pool.allocate(4096);
        VulkanBuffer view = VulkanBuffer.of(buffer);
        buffer.close();
        DeviceBuffer next = pool.allocate(4096);
        try (VulkanBuffer other = VulkanBuffer.of(next)) {
            assertThat(view.buffer() == other.buffer() && view.byteOffset() == other.byteOffset())
                    .isFalse();
        }
        view.close();
        next.close();
        assertThatThrownBy(() -> VulkanBuffer.of(buffer)).isInstanceOf(BufferClosedException.class);
    }

    /** Whatever the device wants: where a descriptor may begin, a buffer begins. */
    @ParameterizedTest
    @ValueSource(ints = {64, 256, 4096, 65_536})
    void every_buffer_can_be_bound(int alignment) {
        vk.disguisedBy(raw -> Disguise.alignment(raw, alignment));
        open(Modes.AS_IT_IS);
        List<DeviceBuffer> live = new ArrayList<>();
        try (VkDescriptorBufferInfo info = VkDescriptorBufferInfo.calloc()) {
            for (int i = 0; i < 40; i++) {
                DeviceBuffer buffer =
                        pool.allocate(AllocationRequest.of(1 + 377L * i).aligned(1L << i % 10));
                live.add(buffer);
                try (VulkanBuffer view = VulkanBuffer.of(buffer)) {
                    view.describe(info);
                    assertThat(info.offset() % alignment).isZero();
                }
            }
        }
        live.forEach(DeviceBuffer::close);
    }

    @Test
    void what_belongs_to_others_is_refused() {
        open(Modes.AS_IT_IS);
        GpuDevice host = memory.devices().getLast();
        GpuMemoryPool elsewhere = memory.pool(host);
        try (DeviceBuffer buffer = elsewhere.allocate(64)) {
            assertThatThrownBy(() -> VulkanBuffer.of(buffer))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageEndingWith("is not a buffer of a Vulkan pool");
        }
        assertThatThrownBy(() -> VulkanContext.of(elsewhere))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("the pool on " + host + " is not a Vulkan pool");
    }

    @Test
    void a_queue_of_another_device_is_refused() {
        open(Modes.AS_IT_IS);
        try (GpuMemory other = GpuMemory.builder().backend(new VulkanBackend()).open();
                DeviceBuffer buffer = pool.allocate(64)) {
            VulkanQueue foreign =
                    VulkanContext.of(other.pool(other.devices().getFirst())).queue();
            assertThatThrownBy(() -> buffer.usedOn(foreign))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("the queue belongs to another Vulkan device than")
                    .hasMessageEndingWith("take it from VulkanContext.of(pool)");
        }
    }

    /** Two locks for one queue are none. */
    @Test
    void our_queue_comes_with_our_lock() {
        open(Modes.AS_IT_IS);
        VulkanQueue ours = VulkanContext.of(pool).queue();
        assertThat(VulkanContext.of(pool).queue().lock()).isSameAs(ours.lock());
        VulkanQueue unlocked = VulkanQueue.of(ours.queue(), new ReentrantLock());
        try (DeviceBuffer buffer = pool.allocate(64)) {
            assertThatThrownBy(() -> buffer.usedOn(unlocked))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("comes with a lock that others use too");
            assertThat(buffer.usedOn(ours).await(PATIENCE)).isTrue();
        }
    }

    @Test
    void a_closed_pool_has_no_device() {
        open(Modes.AS_IT_IS);
        memory.close();
        assertThatThrownBy(() -> VulkanContext.of(pool)).isInstanceOf(BufferClosedException.class);
    }

    @Test
    void nothing_is_no_queue() {
        assertThatThrownBy(() -> VulkanQueue.of(null, new ReentrantLock())).isInstanceOf(NullPointerException.class);
    }
}
