/**
 * Vulkan devices, through <a href="https://www.lwjgl.org">LWJGL</a>. Programs that run kernels need the three classes that
 * name LWJGL's types: {@link dev.headroom.memory.vulkan.VulkanBuffer}, where a buffer lies as Vulkan sees it; {@link
 * dev.headroom.memory.vulkan.VulkanQueue}, a queue with its lock; and {@link dev.headroom.memory.vulkan.VulkanContext}, the
 * device both must come from. {@link dev.headroom.memory.vulkan.VulkanBackend} takes options.
 *
 * <p>For readers of the code: {@code VulkanDriver} is the contract call by call. {@code VkApi} is the seam all native calls
 * go through, {@code LwjglVk} makes them, {@code VkError} says what the codes mean. {@code MemoryTypes} chooses the memory of
 * a kind, {@code Submissions} numbers what is put into our one queue.
 */
@NullMarked
package dev.headroom.memory.vulkan;

import org.jspecify.annotations.NullMarked;
