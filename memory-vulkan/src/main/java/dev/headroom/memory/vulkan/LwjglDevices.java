package dev.headroom.memory.vulkan;

import static dev.headroom.memory.vulkan.VkApi.SUCCESS;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.lwjgl.PointerBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.system.MemoryUtil;
import org.lwjgl.vulkan.KHRPortabilityEnumeration;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VK11;
import org.lwjgl.vulkan.VK12;
import org.lwjgl.vulkan.VK13;
import org.lwjgl.vulkan.VkApplicationInfo;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkDeviceCreateInfo;
import org.lwjgl.vulkan.VkDeviceQueueCreateInfo;
import org.lwjgl.vulkan.VkExtensionProperties;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkInstanceCreateInfo;
import org.lwjgl.vulkan.VkLayerProperties;
import org.lwjgl.vulkan.VkPhysicalDevice;
import org.lwjgl.vulkan.VkPhysicalDeviceDriverProperties;
import org.lwjgl.vulkan.VkPhysicalDeviceFeatures2;
import org.lwjgl.vulkan.VkPhysicalDeviceIDProperties;
import org.lwjgl.vulkan.VkPhysicalDeviceLimits;
import org.lwjgl.vulkan.VkPhysicalDeviceMaintenance3Properties;
import org.lwjgl.vulkan.VkPhysicalDeviceMaintenance4Properties;
import org.lwjgl.vulkan.VkPhysicalDeviceMemoryBudgetPropertiesEXT;
import org.lwjgl.vulkan.VkPhysicalDeviceMemoryProperties;
import org.lwjgl.vulkan.VkPhysicalDeviceMemoryProperties2;
import org.lwjgl.vulkan.VkPhysicalDevicePCIBusInfoPropertiesEXT;
import org.lwjgl.vulkan.VkPhysicalDeviceProperties2;
import org.lwjgl.vulkan.VkPhysicalDeviceVulkan11Features;
import org.lwjgl.vulkan.VkPhysicalDeviceVulkan12Features;
import org.lwjgl.vulkan.VkPhysicalDeviceVulkan13Features;
import org.lwjgl.vulkan.VkQueueFamilyProperties;

/** The part of {@link LwjglVk} that comes before a device is open: instances, and what devices say of themselves. */
final class LwjglDevices {

    /** Room for the chains of structures a device describes itself with. */
    private static final int LARGE = 16 << 10;

    private LwjglDevices() {}

    static int instanceExtensions(Set<String> names) {
        int[] count = new int[1];
        int code = VK10.vkEnumerateInstanceExtensionProperties((ByteBuffer) null, count, null);
        if (code != SUCCESS) {
            return code;
        }
        try (VkExtensionProperties.Buffer found = VkExtensionProperties.calloc(count[0])) {
            code = VK10.vkEnumerateInstanceExtensionProperties((ByteBuffer) null, count, found);
            found.forEach(extension -> names.add(extension.extensionNameString()));
            return code;
        }
    }

    static int instanceLayers(Set<String> names) {
        int[] count = new int[1];
        int code = VK10.vkEnumerateInstanceLayerProperties(count, null);
        if (code != SUCCESS) {
            return code;
        }
        try (VkLayerProperties.Buffer found = VkLayerProperties.calloc(count[0])) {
            code = VK10.vkEnumerateInstanceLayerProperties(count, found);
            found.forEach(layer -> names.add(layer.layerNameString()));
            return code;
        }
    }

    static int createInstance(VkApi.InstanceRequest request, @Nullable VkInstance[] made) {
        ValidationMessages callback = request.messages() == null ? null : new ValidationMessages(request.messages());
        try (NativeFrame frame = new NativeFrame(LARGE)) {
            MemoryStack stack = frame.stack();
            VkApplicationInfo application = VkApplicationInfo.calloc(stack)
                    .sType$Default()
                    .pApplicationName(stack.UTF8("Headroom"))
                    .apiVersion(request.apiVersion());
            VkInstanceCreateInfo info = VkInstanceCreateInfo.calloc(stack)
                    .sType$Default()
                    .pApplicationInfo(application)
                    .ppEnabledExtensionNames(names(stack, request.extensions()))
                    .ppEnabledLayerNames(names(stack, request.layers()));
            if (request.extensions()
                    .contains(KHRPortabilityEnumeration.VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
                info.flags(KHRPortabilityEnumeration.VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR);
            }
            if (callback != null) {
                info.pNext(ValidationMessages.info(stack, callback));
            }
            PointerBuffer handle = stack.mallocPointer(1);
            int code = VK10.vkCreateInstance(info, null, handle);
            if (code == SUCCESS) {
                made[0] = new VkInstance(handle.get(0), info);
                if (callback != null) {
                    ValidationMessages.keepFor(handle.get(0), callback);
                    callback = null;
                }
            }
            return code;
        } finally {
            if (callback != null) {
                callback.free();
            }
        }
    }

    static void destroyInstance(VkInstance instance) {
        long handle = instance.address();
        VK10.vkDestroyInstance(instance, null);
        ValidationMessages.letGoOf(handle);
    }

    static int physicalDevices(VkInstance instance, List<VkPhysicalDevice> found) {
        int[] count = new int[1];
        int code = VK10.vkEnumeratePhysicalDevices(instance, count, null);
        if (code != SUCCESS || count[0] == 0) {
            return code;
        }
        PointerBuffer handles = MemoryUtil.memCallocPointer(count[0]);
        try {
            code = VK10.vkEnumeratePhysicalDevices(instance, count, handles);
            for (int i = 0; code == SUCCESS && i < count[0]; i++) {
                found.add(new VkPhysicalDevice(handles.get(i), instance));
            }
            return code;
        } finally {
            MemoryUtil.memFree(handles);
        }
    }

    static int describe(VkPhysicalDevice device, int apiVersion, @Nullable RawDevice[] described) {
        Set<String> extensions = new HashSet<>();
        int code = deviceExtensions(device, extensions);
        if (code != SUCCESS) {
            return code;
        }
        try (NativeFrame frame = new NativeFrame(LARGE)) {
            MemoryStack stack = frame.stack();
            VkPhysicalDeviceProperties2 all =
                    VkPhysicalDeviceProperties2.calloc(stack).sType$Default();
            VK10.vkGetPhysicalDeviceProperties(device, all.properties());
            int version = Math.min(apiVersion, all.properties().apiVersion());
            if (version < VK11.VK_API_VERSION_1_1) {
                return VkError.INCOMPATIBLE_DRIVER;
            }
            VkPhysicalDeviceIDProperties id =
                    VkPhysicalDeviceIDProperties.calloc(stack).sType$Default();
            VkPhysicalDeviceMaintenance3Properties sizes =
                    VkPhysicalDeviceMaintenance3Properties.calloc(stack).sType$Default();
            all.pNext(id).pNext(sizes);
            VkPhysicalDeviceMaintenance4Properties buffers = null;
            if (version >= VK13.VK_API_VERSION_1_3) {
                buffers = VkPhysicalDeviceMaintenance4Properties.calloc(stack).sType$Default();
                all.pNext(buffers);
            }
            VkPhysicalDeviceDriverProperties driver = null;
            if (version >= VK12.VK_API_VERSION_1_2) {
                driver = VkPhysicalDeviceDriverProperties.calloc(stack).sType$Default();
                all.pNext(driver);
            }
            VkPhysicalDevicePCIBusInfoPropertiesEXT pci = null;
            if (extensions.contains(RawDevice.PCI_BUS_INFO)) {
                pci = VkPhysicalDevicePCIBusInfoPropertiesEXT.calloc(stack).sType$Default();
                all.pNext(pci);
            }
            VK11.vkGetPhysicalDeviceProperties2(device, all);
            VkPhysicalDeviceVulkan12Features features = features12(device, version, stack);
            VkPhysicalDeviceMemoryProperties memory = VkPhysicalDeviceMemoryProperties.calloc(stack);
            VK10.vkGetPhysicalDeviceMemoryProperties(device, memory);
            VkPhysicalDeviceLimits limits = all.properties().limits();
            described[0] = new RawDevice(
                    all.properties().deviceNameString(),
                    all.properties().deviceType(),
                    version,
                    driver == null
                            ? "driver "
                                    + Integer.toUnsignedString(all.properties().driverVersion())
                            : "driver " + driver.driverNameString() + " " + driver.driverInfoString(),
                    uuid(id.deviceUUID()),
                    pci == null
                            ? Optional.empty()
                            : Optional.of("%04x:%02x:%02x.%x"
                                    .formatted(pci.pciDomain(), pci.pciBus(), pci.pciDevice(), pci.pciFunction())),
                    Set.copyOf(extensions),
                    heaps(memory),
                    types(memory),
                    families(device),
                    limits.maxMemoryAllocationCount(),
                    sizes.maxMemoryAllocationSize(),
                    buffers == null ? OptionalLong.empty() : OptionalLong.of(buffers.maxBufferSize()),
                    limits.maxStorageBufferRange(),
                    limits.minStorageBufferOffsetAlignment(),
                    limits.minUniformBufferOffsetAlignment(),
                    limits.nonCoherentAtomSize(),
                    features.timelineSemaphore(),
                    features.bufferDeviceAddress());
            return SUCCESS;
        }
    }

    private static int deviceExtensions(VkPhysicalDevice device, Set<String> names) {
        int[] count = new int[1];
        int code = VK10.vkEnumerateDeviceExtensionProperties(device, (ByteBuffer) null, count, null);
        if (code != SUCCESS) {
            return code;
        }
        try (VkExtensionProperties.Buffer found = VkExtensionProperties.calloc(count[0])) {
            code = VK10.vkEnumerateDeviceExtensionProperties(device, (ByteBuffer) null, count, found);
            found.forEach(extension -> names.add(extension.extensionNameString()));
            return code;
        }
    }

    /** What Vulkan 1.2 added; all false for an older device. */
    private static VkPhysicalDeviceVulkan12Features features12(
            VkPhysicalDevice device, int version, MemoryStack stack) {
        VkPhysicalDeviceVulkan12Features features =
                VkPhysicalDeviceVulkan12Features.calloc(stack).sType$Default();
        if (version >= VK12.VK_API_VERSION_1_2) {
            VK11.vkGetPhysicalDeviceFeatures2(
                    device,
                    VkPhysicalDeviceFeatures2.calloc(stack).sType$Default().pNext(features));
        }
        return features;
    }

    private static String uuid(ByteBuffer bytes) {
        ByteBuffer asWritten = bytes.order(ByteOrder.BIG_ENDIAN);
        return new UUID(asWritten.getLong(0), asWritten.getLong(Long.BYTES)).toString();
    }

    private static List<RawDevice.Heap> heaps(VkPhysicalDeviceMemoryProperties memory) {
        return memory.memoryHeaps().stream()
                .map(heap ->
                        new RawDevice.Heap(heap.size(), (heap.flags() & VK10.VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0))
                .toList();
    }

    private static List<RawDevice.Type> types(VkPhysicalDeviceMemoryProperties memory) {
        return memory.memoryTypes().stream()
                .map(type -> new RawDevice.Type(type.propertyFlags(), type.heapIndex()))
                .toList();
    }

    private static List<RawDevice.Family> families(VkPhysicalDevice device) {
        int[] count = new int[1];
        VK10.vkGetPhysicalDeviceQueueFamilyProperties(device, count, null);
        try (VkQueueFamilyProperties.Buffer found = VkQueueFamilyProperties.calloc(count[0])) {
            VK10.vkGetPhysicalDeviceQueueFamilyProperties(device, count, found);
            return found.stream()
                    .map(family -> new RawDevice.Family(family.queueFlags(), family.queueCount()))
                    .toList();
        }
    }

    static void budget(VkPhysicalDevice device, long[] budgets, long[] usages) {
        try (NativeFrame frame = new NativeFrame(LARGE)) {
            MemoryStack stack = frame.stack();
            VkPhysicalDeviceMemoryBudgetPropertiesEXT budget =
                    VkPhysicalDeviceMemoryBudgetPropertiesEXT.calloc(stack).sType$Default();
            VK11.vkGetPhysicalDeviceMemoryProperties2(
                    device,
                    VkPhysicalDeviceMemoryProperties2.calloc(stack)
                            .sType$Default()
                            .pNext(budget));
            for (int i = 0; i < budgets.length; i++) {
                budgets[i] = budget.heapBudget(i);
                usages[i] = budget.heapUsage(i);
            }
        }
    }

    static int createDevice(VkPhysicalDevice device, VkApi.DeviceRequest request, @Nullable VkDevice[] made) {
        try (NativeFrame frame = new NativeFrame(LARGE)) {
            MemoryStack stack = frame.stack();
            VkDeviceQueueCreateInfo.Buffer queues =
                    VkDeviceQueueCreateInfo.calloc(request.queues().size(), stack);
            for (int i = 0; i < request.queues().size(); i++) {
                VkApi.QueueCount wanted = request.queues().get(i);
                queues.get(i)
                        .sType$Default()
                        .queueFamilyIndex(wanted.family())
                        .pQueuePriorities(stack.callocFloat(wanted.count()));
            }
            VkDeviceCreateInfo info = VkDeviceCreateInfo.calloc(stack)
                    .sType$Default()
                    .pNext(features(device, request.apiVersion(), stack).address())
                    .pQueueCreateInfos(queues)
                    .ppEnabledExtensionNames(names(stack, request.extensions()));
            PointerBuffer handle = stack.mallocPointer(1);
            int code = VK10.vkCreateDevice(device, info, null, handle);
            if (code == SUCCESS) {
                made[0] = new VkDevice(handle.get(0), device, info, request.apiVersion());
            }
            return code;
        }
    }

    /** All the device has, because nobody can say which of them users' kernels need; less those that cost speed. */
    private static VkPhysicalDeviceFeatures2 features(VkPhysicalDevice device, int version, MemoryStack stack) {
        VkPhysicalDeviceFeatures2 all = VkPhysicalDeviceFeatures2.calloc(stack).sType$Default();
        VkPhysicalDeviceVulkan12Features since12 =
                VkPhysicalDeviceVulkan12Features.calloc(stack).sType$Default();
        VkPhysicalDeviceVulkan13Features since13 =
                VkPhysicalDeviceVulkan13Features.calloc(stack).sType$Default();
        if (version >= VK12.VK_API_VERSION_1_2) {
            all.pNext(VkPhysicalDeviceVulkan11Features.calloc(stack).sType$Default());
            all.pNext(since12);
        }
        if (version >= VK13.VK_API_VERSION_1_3) {
            all.pNext(since13);
        }
        VK11.vkGetPhysicalDeviceFeatures2(device, all);
        all.features().robustBufferAccess(false);
        since12.bufferDeviceAddressCaptureReplay(false).bufferDeviceAddressMultiDevice(false);
        since13.robustImageAccess(false);
        return all;
    }

    private static @Nullable PointerBuffer names(MemoryStack stack, Collection<String> names) {
        if (names.isEmpty()) {
            return null;
        }
        PointerBuffer pointers = stack.mallocPointer(names.size());
        for (String name : new ArrayList<>(names)) {
            pointers.put(stack.UTF8(name));
        }
        return pointers.flip();
    }
}
