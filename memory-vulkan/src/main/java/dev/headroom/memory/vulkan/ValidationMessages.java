package dev.headroom.memory.vulkan;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.vulkan.EXTDebugUtils;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkDebugUtilsMessengerCallbackDataEXT;
import org.lwjgl.vulkan.VkDebugUtilsMessengerCallbackEXT;
import org.lwjgl.vulkan.VkDebugUtilsMessengerCreateInfoEXT;
import org.lwjgl.vulkan.VkInstance;

/**
 * Hands warnings and errors of the validation layer on. They come on the thread whose call is wrong, from within that call;
 * nothing is thrown there, because that would end the process.
 */
final class ValidationMessages extends VkDebugUtilsMessengerCallbackEXT {

    /** The layer. */
    static final String LAYER = "VK_LAYER_KHRONOS_validation";

    /** Who may call one: a messenger of an instance, or the instance itself, which is 0. */
    private record Caller(long instance, long messenger) {}

    /** Those in use: LWJGL gives the memory of a callback back only when it is told to. */
    private static final Map<Caller, ValidationMessages> LIVE = new ConcurrentHashMap<>();

    private final Consumer<String> messages;

    ValidationMessages(Consumer<String> messages) {
        this.messages = messages;
    }

    @Override
    public int invoke(int severity, int types, long data, long userData) {
        try {
            String text = VkDebugUtilsMessengerCallbackDataEXT.create(data).pMessageString();
            messages.accept(String.valueOf(text));
        } catch (Throwable ignored) {
            // Whatever a listener does must not reach the driver.
        }
        return VK10.VK_FALSE;
    }

    /** What is heard: not what the loader says of drivers it could not load. */
    static VkDebugUtilsMessengerCreateInfoEXT info(MemoryStack stack, ValidationMessages callback) {
        return VkDebugUtilsMessengerCreateInfoEXT.calloc(stack)
                .sType$Default()
                .messageSeverity(EXTDebugUtils.VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT
                        | EXTDebugUtils.VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT)
                .messageType(EXTDebugUtils.VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT
                        | EXTDebugUtils.VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT)
                .pfnUserCallback(callback);
    }

    static int createMessenger(VkInstance instance, Consumer<String> messages, long[] made) {
        ValidationMessages callback = new ValidationMessages(messages);
        try (NativeFrame frame = new NativeFrame()) {
            int code =
                    EXTDebugUtils.vkCreateDebugUtilsMessengerEXT(instance, info(frame.stack(), callback), null, made);
            if (code == VkApi.SUCCESS) {
                LIVE.put(new Caller(instance.address(), made[0]), callback);
            } else {
                callback.free();
            }
            return code;
        }
    }

    static void destroyMessenger(VkInstance instance, long messenger) {
        EXTDebugUtils.vkDestroyDebugUtilsMessengerEXT(instance, messenger, null);
        letGo(new Caller(instance.address(), messenger));
    }

    /** Keeps the callback of making and ending an instance. */
    static void keepFor(long instance, ValidationMessages callback) {
        LIVE.put(new Caller(instance, 0), callback);
    }

    /** The instance is gone. */
    static void letGoOf(long instance) {
        letGo(new Caller(instance, 0));
    }

    private static void letGo(Caller caller) {
        ValidationMessages callback = LIVE.remove(caller);
        if (callback != null) {
            callback.free();
        }
    }
}
