/**
 * Vulkan devices. The one exported package holds the backend, which takes options, and the few classes that name LWJGL's
 * types: native views of buffers, the user's queue, and the device our memory lives in.
 *
 * <p>LWJGL's own native library is a module that nothing requires: on the module path Java needs {@code --add-modules
 * org.lwjgl.natives}. The class path needs nothing.
 */
module dev.headroom.memory.vulkan {
    requires transitive dev.headroom.memory;
    requires transitive org.lwjgl.vulkan;
    requires jdk.management;
    requires static org.jspecify;

    exports dev.headroom.memory.vulkan;

    provides dev.headroom.memory.spi.MemoryBackend with
            dev.headroom.memory.vulkan.VulkanBackend;
}
