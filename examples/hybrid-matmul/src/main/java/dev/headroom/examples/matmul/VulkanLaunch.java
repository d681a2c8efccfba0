package dev.headroom.examples.matmul;

import static dev.headroom.examples.matmul.KernelSource.tiles;
import static dev.headroom.examples.matmul.VulkanCalls.check;
import static dev.headroom.examples.matmul.VulkanCalls.created;
import static org.lwjgl.system.MemoryStack.stackPush;

import dev.headroom.memory.vulkan.VulkanBuffer;
import org.lwjgl.PointerBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkCommandBuffer;
import org.lwjgl.vulkan.VkCommandBufferAllocateInfo;
import org.lwjgl.vulkan.VkCommandBufferBeginInfo;
import org.lwjgl.vulkan.VkCommandPoolCreateInfo;
import org.lwjgl.vulkan.VkDescriptorBufferInfo;
import org.lwjgl.vulkan.VkDescriptorPoolCreateInfo;
import org.lwjgl.vulkan.VkDescriptorPoolSize;
import org.lwjgl.vulkan.VkDescriptorSetAllocateInfo;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkMemoryBarrier;
import org.lwjgl.vulkan.VkWriteDescriptorSet;

/**
 * One launch under way: which buffers it works on, and the commands. Vulkan reads both until the kernel is through; then they
 * serve another launch.
 *
 * @param kernel         what is launched
 * @param descriptorPool where the descriptors come from, for this launch alone
 * @param descriptors    the three buffers
 * @param commandPool    where the command buffer comes from, for this launch alone
 * @param commands       the command buffer
 */
record VulkanLaunch(
        VulkanPipeline kernel, long descriptorPool, long descriptors, long commandPool, VkCommandBuffer commands)
        implements AutoCloseable {

    static VulkanLaunch of(VulkanPipeline kernel) {
        VkDevice device = kernel.device();
        try (MemoryStack stack = stackPush()) {
            VkDescriptorPoolCreateInfo descriptorPoolInfo = VkDescriptorPoolCreateInfo.calloc(stack)
                    .sType$Default()
                    .maxSets(1)
                    .pPoolSizes(VkDescriptorPoolSize.calloc(1, stack)
                            .type(VK10.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
                            .descriptorCount(VulkanPipeline.BUFFERS));
            long descriptorPool = created(
                    "vkCreateDescriptorPool",
                    stack,
                    handle -> VK10.vkCreateDescriptorPool(device, descriptorPoolInfo, null, handle));
            VkDescriptorSetAllocateInfo descriptorsInfo = VkDescriptorSetAllocateInfo.calloc(stack)
                    .sType$Default()
                    .descriptorPool(descriptorPool)
                    .pSetLayouts(stack.longs(kernel.setLayout()));
            long descriptors = created(
                    "vkAllocateDescriptorSets",
                    stack,
                    handle -> VK10.vkAllocateDescriptorSets(device, descriptorsInfo, handle));
            VkCommandPoolCreateInfo commandPoolInfo = VkCommandPoolCreateInfo.calloc(stack)
                    .sType$Default()
                    .flags(VK10.VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT)
                    .queueFamilyIndex(kernel.queueFamily());
            long commandPool = created(
                    "vkCreateCommandPool",
                    stack,
                    handle -> VK10.vkCreateCommandPool(device, commandPoolInfo, null, handle));
            VkCommandBufferAllocateInfo commandsInfo = VkCommandBufferAllocateInfo.calloc(stack)
                    .sType$Default()
                    .commandPool(commandPool)
                    .commandBufferCount(1);
            PointerBuffer commands = stack.mallocPointer(1);
            check("vkAllocateCommandBuffers", VK10.vkAllocateCommandBuffers(device, commandsInfo, commands));
            return new VulkanLaunch(
                    kernel, descriptorPool, descriptors, commandPool, new VkCommandBuffer(commands.get(0), device));
        }
    }

    /** Says which buffers the kernel works on, in the order of its bindings. */
    void bind(VulkanBuffer... views) {
        try (MemoryStack stack = stackPush()) {
            VkWriteDescriptorSet.Buffer writes = VkWriteDescriptorSet.calloc(views.length, stack);
            for (int i = 0; i < views.length; i++) {
                VkDescriptorBufferInfo.Buffer info = VkDescriptorBufferInfo.calloc(1, stack);
                views[i].describe(info.get(0));
                writes.get(i)
                        .sType$Default()
                        .dstSet(descriptors)
                        .dstBinding(i)
                        .descriptorCount(1)
                        .descriptorType(VK10.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
                        .pBufferInfo(info);
            }
            VK10.vkUpdateDescriptorSets(kernel.device(), writes, null);
        }
    }

    /** Records the commands. */
    void record(MatmulShape shape) {
        try (MemoryStack stack = stackPush()) {
            check(
                    "vkBeginCommandBuffer",
                    VK10.vkBeginCommandBuffer(
                            commands,
                            VkCommandBufferBeginInfo.calloc(stack)
                                    .sType$Default()
                                    .flags(VK10.VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT)));
            VK10.vkCmdBindPipeline(commands, VK10.VK_PIPELINE_BIND_POINT_COMPUTE, kernel.handle());
            VK10.vkCmdBindDescriptorSets(
                    commands, VK10.VK_PIPELINE_BIND_POINT_COMPUTE, kernel.layout(), 0, stack.longs(descriptors), null);
            VK10.vkCmdPushConstants(
                    commands,
                    kernel.layout(),
                    VK10.VK_SHADER_STAGE_COMPUTE_BIT,
                    0,
                    stack.ints(shape.m(), shape.k(), shape.n()));
            VK10.vkCmdDispatch(commands, tiles(shape.n()), tiles(shape.m()), 1);
            letTheHostRead(stack);
            check("vkEndCommandBuffer", VK10.vkEndCommandBuffer(commands));
        }
    }

    /** Fences order the device's work; only a barrier makes what a kernel wrote visible to a host that maps the memory. */
    private void letTheHostRead(MemoryStack stack) {
        VkMemoryBarrier.Buffer barrier = VkMemoryBarrier.calloc(1, stack)
                .sType$Default()
                .srcAccessMask(VK10.VK_ACCESS_SHADER_WRITE_BIT)
                .dstAccessMask(VK10.VK_ACCESS_HOST_READ_BIT | VK10.VK_ACCESS_TRANSFER_READ_BIT);
        VK10.vkCmdPipelineBarrier(
                commands,
                VK10.VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                VK10.VK_PIPELINE_STAGE_HOST_BIT | VK10.VK_PIPELINE_STAGE_TRANSFER_BIT,
                0,
                barrier,
                null,
                null);
    }

    @Override
    public void close() {
        VK10.vkDestroyCommandPool(kernel.device(), commandPool, null);
        VK10.vkDestroyDescriptorPool(kernel.device(), descriptorPool, null);
    }
}
