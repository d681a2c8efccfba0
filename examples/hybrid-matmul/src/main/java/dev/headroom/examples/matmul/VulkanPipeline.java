package dev.headroom.examples.matmul;

import static dev.headroom.examples.matmul.VulkanCalls.created;
import static org.lwjgl.system.MemoryStack.stackPush;

import dev.headroom.memory.vulkan.VulkanContext;
import java.nio.ByteBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.util.shaderc.Shaderc;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkComputePipelineCreateInfo;
import org.lwjgl.vulkan.VkDescriptorSetLayoutBinding;
import org.lwjgl.vulkan.VkDescriptorSetLayoutCreateInfo;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkPipelineLayoutCreateInfo;
import org.lwjgl.vulkan.VkPipelineShaderStageCreateInfo;
import org.lwjgl.vulkan.VkPushConstantRange;
import org.lwjgl.vulkan.VkShaderModuleCreateInfo;

/**
 * The compiled kernel, and what its arguments are: three buffers, and the numbers m, k and n as push constants.
 *
 * @param device      the device it was made for
 * @param queueFamily the queues that may run it
 * @param setLayout   the three buffers
 * @param layout      those and the push constants
 * @param handle      the kernel
 */
record VulkanPipeline(VkDevice device, int queueFamily, long setLayout, long layout, long handle)
        implements AutoCloseable {

    /** A, B and C. */
    static final int BUFFERS = 3;

    static VulkanPipeline of(VulkanContext context) {
        VkDevice device = context.device();
        try (MemoryStack stack = stackPush()) {
            long shader = compile(device, stack);
            try {
                long setLayout = setLayout(device, stack);
                long layout = layout(device, setLayout, stack);
                return new VulkanPipeline(
                        device, context.queueFamily(), setLayout, layout, pipeline(device, shader, layout, stack));
            } finally {
                VK10.vkDestroyShaderModule(device, shader, null); // the pipeline has its own copy
            }
        }
    }

    /** From GLSL to a module of SPIR-V. */
    private static long compile(VkDevice device, MemoryStack stack) {
        long compiler = Shaderc.shaderc_compiler_initialize();
        long result = Shaderc.shaderc_compile_into_spv(
                compiler,
                KernelSource.read("matmul.comp"),
                Shaderc.shaderc_glsl_compute_shader,
                "matmul.comp",
                "main",
                0);
        try {
            ByteBuffer code = Shaderc.shaderc_result_get_bytes(result);
            if (Shaderc.shaderc_result_get_compilation_status(result) != Shaderc.shaderc_compilation_status_success
                    || code == null) {
                throw new KernelFailedException(
                        "matmul.comp does not compile: " + Shaderc.shaderc_result_get_error_message(result));
            }
            VkShaderModuleCreateInfo info =
                    VkShaderModuleCreateInfo.calloc(stack).sType$Default().pCode(code);
            return created(
                    "vkCreateShaderModule", stack, handle -> VK10.vkCreateShaderModule(device, info, null, handle));
        } finally {
            Shaderc.shaderc_result_release(result);
            Shaderc.shaderc_compiler_release(compiler);
        }
    }

    private static long setLayout(VkDevice device, MemoryStack stack) {
        VkDescriptorSetLayoutBinding.Buffer bindings = VkDescriptorSetLayoutBinding.calloc(BUFFERS, stack);
        for (int i = 0; i < BUFFERS; i++) {
            bindings.get(i)
                    .binding(i)
                    .descriptorType(VK10.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
                    .descriptorCount(1)
                    .stageFlags(VK10.VK_SHADER_STAGE_COMPUTE_BIT);
        }
        VkDescriptorSetLayoutCreateInfo info =
                VkDescriptorSetLayoutCreateInfo.calloc(stack).sType$Default().pBindings(bindings);
        return created(
                "vkCreateDescriptorSetLayout",
                stack,
                handle -> VK10.vkCreateDescriptorSetLayout(device, info, null, handle));
    }

    private static long layout(VkDevice device, long setLayout, MemoryStack stack) {
        VkPushConstantRange.Buffer numbers = VkPushConstantRange.calloc(1, stack)
                .stageFlags(VK10.VK_SHADER_STAGE_COMPUTE_BIT)
                .size(3 * Integer.BYTES);
        VkPipelineLayoutCreateInfo info = VkPipelineLayoutCreateInfo.calloc(stack)
                .sType$Default()
                .pSetLayouts(stack.longs(setLayout))
                .pPushConstantRanges(numbers);
        return created(
                "vkCreatePipelineLayout", stack, handle -> VK10.vkCreatePipelineLayout(device, info, null, handle));
    }

    private static long pipeline(VkDevice device, long shader, long layout, MemoryStack stack) {
        VkComputePipelineCreateInfo.Buffer info =
                VkComputePipelineCreateInfo.calloc(1, stack).sType$Default().layout(layout);
        info.stage(VkPipelineShaderStageCreateInfo.calloc(stack)
                .sType$Default()
                .stage(VK10.VK_SHADER_STAGE_COMPUTE_BIT)
                .module(shader)
                .pName(stack.UTF8("main")));
        return created(
                "vkCreateComputePipelines",
                stack,
                handle -> VK10.vkCreateComputePipelines(device, 0, info, null, handle));
    }

    @Override
    public void close() {
        VK10.vkDestroyPipeline(device, handle, null);
        VK10.vkDestroyPipelineLayout(device, layout, null);
        VK10.vkDestroyDescriptorSetLayout(device, setLayout, null);
    }
}
