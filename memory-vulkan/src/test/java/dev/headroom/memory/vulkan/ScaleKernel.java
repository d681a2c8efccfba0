package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.lwjgl.system.MemoryStack.stackPush;

import java.nio.ByteBuffer;
import java.nio.LongBuffer;
import org.lwjgl.PointerBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.util.shaderc.Shaderc;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkCommandBuffer;
import org.lwjgl.vulkan.VkCommandBufferAllocateInfo;
import org.lwjgl.vulkan.VkCommandBufferBeginInfo;
import org.lwjgl.vulkan.VkCommandPoolCreateInfo;
import org.lwjgl.vulkan.VkComputePipelineCreateInfo;
import org.lwjgl.vulkan.VkDescriptorBufferInfo;
import org.lwjgl.vulkan.VkDescriptorPoolCreateInfo;
import org.lwjgl.vulkan.VkDescriptorPoolSize;
import org.lwjgl.vulkan.VkDescriptorSetAllocateInfo;
import org.lwjgl.vulkan.VkDescriptorSetLayoutBinding;
import org.lwjgl.vulkan.VkDescriptorSetLayoutCreateInfo;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkPipelineLayoutCreateInfo;
import org.lwjgl.vulkan.VkPipelineShaderStageCreateInfo;
import org.lwjgl.vulkan.VkPushConstantRange;
import org.lwjgl.vulkan.VkShaderModuleCreateInfo;
import org.lwjgl.vulkan.VkSubmitInfo;
import org.lwjgl.vulkan.VkWriteDescriptorSet;

/** A kernel that multiplies each number of a buffer into another, as a program would write it. */
final class ScaleKernel implements AutoCloseable {

    private static final String SOURCE = """
            #version 450
            layout(local_size_x = 64) in;
            layout(set = 0, binding = 0) readonly buffer From { int from[]; };
            layout(set = 0, binding = 1) buffer To { int to[]; };
            layout(push_constant) uniform Push { int factor; int count; };
            void main() {
                uint i = gl_GlobalInvocationID.x;
                if (i < count) {
                    to[i] = from[i] * factor;
                }
            }
            """;

    private static final int GROUP = 64;

    private final VkDevice device;
    private final VulkanQueue queue;
    private final long setLayout;
    private final long layout;
    private final long pipeline;
    private final long descriptors;
    private final long set;
    private final long pool;
    private final VkCommandBuffer commands;

    ScaleKernel(VulkanContext context) {
        device = context.device();
        queue = context.queue();
        try (MemoryStack stack = stackPush()) {
            VkDescriptorSetLayoutBinding.Buffer bindings = VkDescriptorSetLayoutBinding.calloc(2, stack);
            for (int i = 0; i < 2; i++) {
                bindings.get(i)
                        .binding(i)
                        .descriptorType(VK10.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
                        .descriptorCount(1)
                        .stageFlags(VK10.VK_SHADER_STAGE_COMPUTE_BIT);
            }
            LongBuffer made = stack.mallocLong(1);
            check(VK10.vkCreateDescriptorSetLayout(
                    device,
                    VkDescriptorSetLayoutCreateInfo.calloc(stack)
                            .sType$Default()
                            .pBindings(bindings),
                    null,
                    made));
            setLayout = made.get(0);
            check(VK10.vkCreatePipelineLayout(
                    device,
                    VkPipelineLayoutCreateInfo.calloc(stack)
                            .sType$Default()
                            .pSetLayouts(stack.longs(setLayout))
                            .pPushConstantRanges(VkPushConstantRange.calloc(1, stack)
                                    .stageFlags(VK10.VK_SHADER_STAGE_COMPUTE_BIT)
                                    .size(2 * Integer.BYTES)),
                    null,
                    made));
            layout = made.get(0);
            pipeline = pipeline(stack);
            check(VK10.vkCreateDescriptorPool(
                    device,
                    VkDescriptorPoolCreateInfo.calloc(stack)
                            .sType$Default()
                            .maxSets(1)
                            .pPoolSizes(VkDescriptorPoolSize.calloc(1, stack)
                                    .type(VK10.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
                                    .descriptorCount(2)),
                    null,
                    made));
            descriptors = made.get(0);
            check(VK10.vkAllocateDescriptorSets(
                    device,
                    VkDescriptorSetAllocateInfo.calloc(stack)
                            .sType$Default()
                            .descriptorPool(descriptors)
                            .pSetLayouts(stack.longs(setLayout)),
                    made));
            set = made.get(0);
            check(VK10.vkCreateCommandPool(
                    device,
                    VkCommandPoolCreateInfo.calloc(stack)
                            .sType$Default()
                            .flags(VK10.VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT)
                            .queueFamilyIndex(context.queueFamily()),
                    null,
                    made));
            pool = made.get(0);
            PointerBuffer handle = stack.mallocPointer(1);
            check(VK10.vkAllocateCommandBuffers(
                    device,
                    VkCommandBufferAllocateInfo.calloc(stack)
                            .sType$Default()
                            .commandPool(pool)
                            .commandBufferCount(1),
                    handle));
            commands = new VkCommandBuffer(handle.get(0), device);
        }
    }

    private long pipeline(MemoryStack stack) {
        long compiler = Shaderc.shaderc_compiler_initialize();
        long result = Shaderc.shaderc_compile_into_spv(
                compiler, SOURCE, Shaderc.shaderc_glsl_compute_shader, "scale.comp", "main", 0);
        assertThat(Shaderc.shaderc_result_get_error_message(result)).isEmpty();
        ByteBuffer code = Shaderc.shaderc_result_get_bytes(result);
        LongBuffer made = stack.mallocLong(1);
        check(VK10.vkCreateShaderModule(
                device, VkShaderModuleCreateInfo.calloc(stack).sType$Default().pCode(code), null, made));
        long module = made.get(0);
        Shaderc.shaderc_result_release(result);
        Shaderc.shaderc_compiler_release(compiler);
        VkComputePipelineCreateInfo.Buffer info =
                VkComputePipelineCreateInfo.calloc(1, stack).sType$Default().layout(layout);
        info.stage(VkPipelineShaderStageCreateInfo.calloc(stack)
                .sType$Default()
                .stage(VK10.VK_SHADER_STAGE_COMPUTE_BIT)
                .module(module)
                .pName(stack.UTF8("main")));
        check(VK10.vkCreateComputePipelines(device, 0, info, null, made));
        VK10.vkDestroyShaderModule(device, module, null);
        return made.get(0);
    }

    /** Submits it. The last launch has to be over. */
    void launch(VulkanBuffer from, VulkanBuffer to, int count, int factor) {
        try (MemoryStack stack = stackPush()) {
            VkWriteDescriptorSet.Buffer writes = VkWriteDescriptorSet.calloc(2, stack);
            VulkanBuffer[] views = {from, to};
            for (int i = 0; i < 2; i++) {
                VkDescriptorBufferInfo.Buffer info = VkDescriptorBufferInfo.calloc(1, stack);
                views[i].describe(info.get(0));
                writes.get(i)
                        .sType$Default()
                        .dstSet(set)
                        .dstBinding(i)
                        .descriptorCount(1)
                        .descriptorType(VK10.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
                        .pBufferInfo(info);
            }
            VK10.vkUpdateDescriptorSets(device, writes, null);
            check(VK10.vkBeginCommandBuffer(
                    commands, VkCommandBufferBeginInfo.calloc(stack).sType$Default()));
            VK10.vkCmdBindPipeline(commands, VK10.VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
            VK10.vkCmdBindDescriptorSets(
                    commands, VK10.VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, stack.longs(set), null);
            VK10.vkCmdPushConstants(commands, layout, VK10.VK_SHADER_STAGE_COMPUTE_BIT, 0, stack.ints(factor, count));
            VK10.vkCmdDispatch(commands, (count + GROUP - 1) / GROUP, 1, 1);
            check(VK10.vkEndCommandBuffer(commands));
            VkSubmitInfo submit = VkSubmitInfo.calloc(stack).sType$Default().pCommandBuffers(stack.pointers(commands));
            queue.lock().lock();
            try {
                check(VK10.vkQueueSubmit(queue.queue(), submit, 0));
            } finally {
                queue.lock().unlock();
            }
        }
    }

    private static void check(int code) {
        assertThat(code).isZero();
    }

    @Override
    public void close() {
        VK10.vkDestroyCommandPool(device, pool, null);
        VK10.vkDestroyDescriptorPool(device, descriptors, null);
        VK10.vkDestroyPipeline(device, pipeline, null);
        VK10.vkDestroyPipelineLayout(device, layout, null);
        VK10.vkDestroyDescriptorSetLayout(device, setLayout, null);
    }
}
