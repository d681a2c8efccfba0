package dev.headroom.examples.matmul;

/** The Vulkan kernel, on lavapipe where there is no other device. */
class VulkanMatmulTest extends DeviceMatmulContract {

    VulkanMatmulTest() {
        super("vulkan");
    }
}
