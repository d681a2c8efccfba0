package dev.headroom.memory.vulkan;

import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostTotal;
import dev.headroom.memory.spi.KindTraits.Placement;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.lwjgl.vulkan.VkDevice;

/** Takes memory from one open device and gives it back, within the number of allocations the device allows. Thread-safe. */
final class Blocks {

    private final VkApi vk;
    private final VkDevice device;
    private final OpenDevice open;
    private final long most;
    private final AtomicLong live = new AtomicLong();

    Blocks(OpenDevice open) {
        this.vk = open.device().vk();
        this.device = open.handle();
        this.open = open;
        this.most = open.device().profile().maxAllocations();
    }

    /** Total and free of the place a kind lives in. */
    MemoryBudget budget(MemoryKind kind) {
        if (open.traitsOf(kind).placement() == Placement.HOST) {
            return HostTotal.budget("Vulkan");
        }
        int main = open.device().profile().mainHeap();
        return open.device().budget(choice(kind).map(MemoryTypes.Choice::heap).orElse(main));
    }

    private Optional<MemoryTypes.Choice> choice(MemoryKind kind) {
        return open.memory().getOrDefault(kind, Optional.empty());
    }

    /** Takes memory of a kind: a buffer with an allocation of its own, or nothing. */
    VulkanBlock allocate(MemoryKind kind, long byteSize) throws DriverException {
        MemoryTypes.Choice choice = choice(kind)
                .orElseThrow(() -> new DriverException(
                        DriverException.Kind.UNSUPPORTED, 0, "vkAllocateMemory", "no memory of kind " + kind.label()));
        if (live.incrementAndGet() > most) {
            live.decrementAndGet();
            // Asked for more, a driver may do anything; and memory given back does help.
            throw VkError.failed("vkAllocateMemory", VkError.TOO_MANY_OBJECTS);
        }
        VulkanBlock block = null;
        try {
            block = allocate(kind, byteSize, choice.index());
            return block;
        } finally {
            if (block == null) {
                live.decrementAndGet();
            }
        }
    }

    private VulkanBlock allocate(MemoryKind kind, long byteSize, int type) throws DriverException {
        long[] buffer = new long[1];
        int[] families = open.device().profile().queues().families();
        VkError.require("vkCreateBuffer", vk.createBuffer(device, byteSize, open.usage(), families, buffer));
        VulkanBlock block = null;
        try {
            block = new VulkanBlock(vk, device, kind, byteSize, fill(buffer[0], type));
            return block;
        } finally {
            if (block == null) {
                vk.destroyBuffer(device, buffer[0]);
            }
        }
    }

    private VulkanBlock.Handles fill(long buffer, int type) throws DriverException {
        VkApi.Requirements needs = vk.getRequirements(device, buffer);
        long[] memory = new long[1];
        VkError.require(
                "vkAllocateMemory",
                vk.allocate(
                        device,
                        new VkApi.MemoryRequest(
                                needs.byteSize(), type, needs.prefersItsOwn() ? buffer : 0, open.addressed()),
                        memory));
        boolean bound = false;
        try {
            VkError.require("vkBindBufferMemory", vk.bind(device, buffer, memory[0]));
            bound = true;
        } finally {
            if (!bound) {
                vk.free(device, memory[0]);
            }
        }
        return new VulkanBlock.Handles(
                buffer, memory[0], needs.byteSize(), open.addressed() ? vk.getAddress(device, buffer) : 0);
    }

    /** Gives memory back. */
    FreeOutcome free(VulkanBlock block) {
        FreeOutcome outcome = block.free();
        if (outcome.isFreed()) {
            live.decrementAndGet();
        }
        return outcome;
    }
}
