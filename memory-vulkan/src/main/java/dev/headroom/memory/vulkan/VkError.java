package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverException.Kind;
import java.util.Map;

/** What the codes of Vulkan mean. The names are those of {@code vulkan_core.h}. */
final class VkError {

    /** {@code VK_ERROR_INCOMPATIBLE_DRIVER}: a loader without drivers, or a device of Vulkan 1.0. */
    static final int INCOMPATIBLE_DRIVER = -9;

    /** {@code VK_ERROR_TOO_MANY_OBJECTS}: more allocations than the device allows. */
    static final int TOO_MANY_OBJECTS = -10;

    private static final int DEVICE_LOST = -4;

    private static final Map<Integer, String> NAMES = Map.ofEntries(
            Map.entry(VkApi.NOT_READY, "VK_NOT_READY"),
            Map.entry(VkApi.TIMEOUT, "VK_TIMEOUT"),
            Map.entry(5, "VK_INCOMPLETE"),
            Map.entry(-1, "VK_ERROR_OUT_OF_HOST_MEMORY"),
            Map.entry(-2, "VK_ERROR_OUT_OF_DEVICE_MEMORY"),
            Map.entry(-3, "VK_ERROR_INITIALIZATION_FAILED"),
            Map.entry(DEVICE_LOST, "VK_ERROR_DEVICE_LOST"),
            Map.entry(-5, "VK_ERROR_MEMORY_MAP_FAILED"),
            Map.entry(-6, "VK_ERROR_LAYER_NOT_PRESENT"),
            Map.entry(-7, "VK_ERROR_EXTENSION_NOT_PRESENT"),
            Map.entry(-8, "VK_ERROR_FEATURE_NOT_PRESENT"),
            Map.entry(INCOMPATIBLE_DRIVER, "VK_ERROR_INCOMPATIBLE_DRIVER"),
            Map.entry(TOO_MANY_OBJECTS, "VK_ERROR_TOO_MANY_OBJECTS"),
            Map.entry(-13, "VK_ERROR_UNKNOWN"));

    private VkError() {}

    /** Throws unless a call went well. */
    static void require(String call, int code) throws DriverException {
        if (code != VkApi.SUCCESS) {
            throw failed(call, code);
        }
    }

    /** A call that failed. */
    static DriverException failed(String call, int code) {
        return new DriverException(kind(code), code, call, name(code));
    }

    /** The name of a code. */
    static String name(int code) {
        return NAMES.getOrDefault(code, "an error without a name");
    }

    private static Kind kind(int code) {
        return switch (code) {
            case -1, -2, TOO_MANY_OBJECTS -> Kind.OUT_OF_MEMORY;
            case DEVICE_LOST -> Kind.DEVICE_LOST;
            case -7, -8 -> Kind.UNSUPPORTED;
            default -> Kind.UNEXPECTED;
        };
    }
}
