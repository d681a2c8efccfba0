package dev.headroom.memory.vulkan;

import java.util.Optional;
import java.util.function.Consumer;

/**
 * What a user may choose.
 *
 * @param validation who hears the validation layer, empty to leave it out
 * @param staged     whether device memory is written through staging memory even where the host reaches it
 * @param timelines  whether timeline semaphores are used where the device has them, or fences in any case
 */
record VulkanOptions(Optional<Consumer<String>> validation, boolean staged, boolean timelines) {

    /** Switches the validation layer on; its messages go to the log. */
    static final String VALIDATION = "headroom.vulkan.validation";

    /** Sends every byte through staging memory. */
    static final String STAGED = "headroom.vulkan.staged";

    /** Set to false: fences instead of timeline semaphores. */
    static final String TIMELINES = "headroom.vulkan.timelines";

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory.vulkan");

    /** What the system properties say, for a backend made by {@link java.util.ServiceLoader}. */
    static VulkanOptions ofSystem() {
        return new VulkanOptions(
                Boolean.getBoolean(VALIDATION) ? Optional.of(VulkanOptions::log) : Optional.empty(),
                Boolean.getBoolean(STAGED),
                !"false".equalsIgnoreCase(System.getProperty(TIMELINES)));
    }

    private static void log(String message) {
        LOG.log(System.Logger.Level.WARNING, message);
    }

    VulkanOptions withValidation(Consumer<String> messages) {
        return new VulkanOptions(Optional.of(messages), staged, timelines);
    }

    VulkanOptions withStaged(boolean always) {
        return new VulkanOptions(validation, always, timelines);
    }

    VulkanOptions withTimelines(boolean used) {
        return new VulkanOptions(validation, staged, used);
    }
}
