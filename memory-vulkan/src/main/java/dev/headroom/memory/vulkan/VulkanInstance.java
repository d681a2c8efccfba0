package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.UnavailableException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.lwjgl.vulkan.EXTDebugUtils;
import org.lwjgl.vulkan.KHRPortabilityEnumeration;
import org.lwjgl.vulkan.VK11;
import org.lwjgl.vulkan.VK13;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkPhysicalDevice;

/**
 * An instance of Vulkan: without layers, or with the validation layer and somebody who hears it. Devices are handles of it,
 * so it lives as long as any of them is open.
 */
final class VulkanInstance implements AutoCloseable {

    /** The newest version whose features we know how to ask for. */
    private static final int NEWEST = VK13.VK_API_VERSION_1_3;

    private final VkApi vk;
    private final VkInstance handle;
    private final int apiVersion;
    private final long messenger;

    private VulkanInstance(VkApi vk, VkInstance handle, int apiVersion, long messenger) {
        this.vk = vk;
        this.handle = handle;
        this.apiVersion = apiVersion;
        this.messenger = messenger;
    }

    /** Makes one. */
    static VulkanInstance open(VkApi vk, VulkanOptions options) throws UnavailableException {
        int[] version = new int[1];
        int code = vk.getInstanceVersion(version);
        requireSound("vkEnumerateInstanceVersion", code);
        if (version[0] < VK11.VK_API_VERSION_1_1) {
            throw new UnavailableException(
                    "the Vulkan loader is of version 1.0, and 1.1 is needed", VulkanLibrary.INSTALL_HINT);
        }
        Optional<Consumer<String>> validation = options.validation();
        if (validation.isPresent()) {
            requireLayer(vk);
        }
        int wanted = Math.min(version[0], NEWEST);
        VkInstance[] made = new VkInstance[1];
        code = vk.createInstance(
                new VkApi.InstanceRequest(
                        wanted,
                        extensions(vk, validation.isPresent()),
                        validation.isPresent() ? Set.of(ValidationMessages.LAYER) : Set.of(),
                        validation.orElse(null)),
                made);
        if (code == VkError.INCOMPATIBLE_DRIVER) {
            throw new UnavailableException(
                    "there is a Vulkan loader, but no driver for it to load (VK_ERROR_INCOMPATIBLE_DRIVER)",
                    VulkanLibrary.INSTALL_HINT);
        }
        requireSound("vkCreateInstance", code);
        VkInstance instance = requireMade(made[0]);
        long[] messenger = new long[1];
        if (validation.isPresent()) {
            code = vk.createMessenger(instance, validation.get(), messenger);
            if (code != VkApi.SUCCESS) {
                vk.destroyInstance(instance);
                requireSound("vkCreateDebugUtilsMessengerEXT", code);
            }
        }
        return new VulkanInstance(vk, instance, wanted, messenger[0]);
    }

    private static Set<String> extensions(VkApi vk, boolean validation) throws UnavailableException {
        Set<String> offered = new HashSet<>();
        requireSound("vkEnumerateInstanceExtensionProperties", vk.getInstanceExtensions(offered));
        // Without it the loader hides MoltenVK.
        offered.retainAll(Set.of(KHRPortabilityEnumeration.VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME));
        if (validation) {
            offered.add(EXTDebugUtils.VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
        }
        return offered;
    }

    private static void requireLayer(VkApi vk) throws UnavailableException {
        Set<String> layers = new HashSet<>();
        requireSound("vkEnumerateInstanceLayerProperties", vk.getInstanceLayers(layers));
        if (!layers.contains(ValidationMessages.LAYER)) {
            throw new UnavailableException(
                    "the validation layer was asked for and is not installed",
                    "install it (on Debian: vulkan-validationlayers) or leave validation off");
        }
    }

    private static void requireSound(String call, int code) throws UnavailableException {
        if (code != VkApi.SUCCESS) {
            throw new UnavailableException(
                    "the Vulkan loader fails: " + VkError.failed(call, code).getMessage(),
                    "reinstall the Vulkan drivers; vulkaninfo shows which of them fails");
        }
    }

    private static <T> T requireMade(@Nullable T made) throws UnavailableException {
        if (made == null) {
            throw new UnavailableException(
                    "the Vulkan loader fails: it says all is well and gives nothing",
                    "reinstall the Vulkan drivers; vulkaninfo shows which of them fails");
        }
        return made;
    }

    /** All devices, at least one. One that fails is left out, and named if nothing else is there. */
    List<VulkanDevice> devices() throws UnavailableException {
        List<VkPhysicalDevice> handles = new ArrayList<>();
        requireSound("vkEnumeratePhysicalDevices", vk.getPhysicalDevices(handle, handles));
        List<VulkanDevice> devices = new ArrayList<>();
        List<String> failures = new ArrayList<>();
        for (VkPhysicalDevice device : handles) {
            try {
                devices.add(new VulkanDevice(vk, device, DeviceProfile.of(describe(device), devices.size())));
            } catch (DriverException e) {
                failures.add(String.valueOf(e.getMessage()));
            }
        }
        if (devices.isEmpty()) {
            throw new UnavailableException(
                    failures.isEmpty()
                            ? "no Vulkan driver offers a device"
                            : "no Vulkan driver offers a device: " + String.join("; ", failures),
                    VulkanLibrary.INSTALL_HINT);
        }
        return List.copyOf(devices);
    }

    private RawDevice describe(VkPhysicalDevice device) throws DriverException {
        RawDevice[] described = new RawDevice[1];
        VkError.require("vkGetPhysicalDeviceProperties2", vk.describe(device, apiVersion, described));
        RawDevice raw = described[0];
        if (raw == null) {
            throw VkError.failed("vkGetPhysicalDeviceProperties2", VkApi.SUCCESS);
        }
        return raw;
    }

    /** The instance. */
    VkInstance handle() {
        return handle;
    }

    @Override
    public void close() {
        if (messenger != 0) {
            vk.destroyMessenger(handle, messenger);
        }
        vk.destroyInstance(handle);
    }
}
