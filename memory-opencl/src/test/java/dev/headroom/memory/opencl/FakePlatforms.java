package dev.headroom.memory.opencl;

import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.jocl.CL;
import org.jocl.cl_device_id;
import org.jocl.cl_platform_id;

/** Platforms and devices that only describe themselves. Touches no native library. */
final class FakePlatforms {

    /** The answer of a call. */
    static final int INVALID_VALUE = -30;

    /** What a device says of itself. */
    static final class Device {
        private final Map<Integer, byte[]> answers = new HashMap<>();

        /** A card with 8 GiB, 2 GiB at most at once, and an alignment of 4096 bits. */
        static Device card() {
            return new Device()
                    .number(CL.CL_DEVICE_AVAILABLE, 1)
                    .text(CL.CL_DEVICE_NAME, "  Card One\0")
                    .text(CL.CL_DRIVER_VERSION, "550.1\0")
                    .text(CL.CL_DEVICE_EXTENSIONS, "\0")
                    .wide(CL.CL_DEVICE_TYPE, CL.CL_DEVICE_TYPE_GPU)
                    .number(0x1035, 0)
                    .wide(CL.CL_DEVICE_GLOBAL_MEM_SIZE, 8L << 30)
                    .wide(CL.CL_DEVICE_MAX_MEM_ALLOC_SIZE, 2L << 30)
                    .number(CL.CL_DEVICE_MEM_BASE_ADDR_ALIGN, 4096);
        }

        Device text(int name, String value) {
            answers.put(name, value.getBytes(StandardCharsets.UTF_8));
            return this;
        }

        Device number(int name, int value) {
            return bytes(name, buffer(Integer.BYTES).putInt(value).array());
        }

        Device wide(int name, long value) {
            return bytes(name, buffer(Long.BYTES).putLong(value).array());
        }

        Device bytes(int name, byte[] value) {
            answers.put(name, value);
            return this;
        }

        Device without(int name) {
            answers.remove(name);
            return this;
        }
    }

    private final List<List<Device>> platforms = new ArrayList<>();
    private final Map<Object, List<Device>> byPlatform = new IdentityHashMap<>();
    private final Map<Object, Device> byDevice = new IdentityHashMap<>();
    private final Map<String, Integer> failures = new HashMap<>();

    static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
    }

    FakePlatforms platform(Device... devices) {
        platforms.add(List.of(devices));
        return this;
    }

    /** Makes a call fail always. */
    FakePlatforms failing(String call, int code) {
        failures.put(call, code);
        return this;
    }

    ClApi api() {
        return (ClApi) Proxy.newProxyInstance(
                ClApi.class.getClassLoader(),
                new Class<?>[] {ClApi.class},
                (proxy, method, args) -> answer(method.getName(), args));
    }

    OpenClBackend backend() {
        return new OpenClBackend(this::api);
    }

    private Object answer(String call, Object[] args) {
        Integer failure = failures.get(call);
        if (failure != null) {
            if (args[args.length - 1] instanceof int[] count) {
                count[0] = 32_601;
            }
            return failure;
        }
        switch (call) {
            case "countPlatforms" -> ((int[]) args[0])[0] = platforms.size();
            case "getPlatforms" -> {
                cl_platform_id[] all = (cl_platform_id[]) args[0];
                for (int i = 0; i < all.length; i++) {
                    all[i] = new cl_platform_id();
                    byPlatform.put(all[i], platforms.get(i));
                }
            }
            case "countDevices" -> {
                List<Device> devices = byPlatform.get(args[0]);
                ((int[]) args[1])[0] = devices.isEmpty() ? 32_601 : devices.size();
                return devices.isEmpty() ? ClError.DEVICE_NOT_FOUND : ClApi.SUCCESS;
            }
            case "getDevices" -> {
                cl_device_id[] all = (cl_device_id[]) args[1];
                for (int i = 0; i < all.length; i++) {
                    all[i] = new cl_device_id();
                    byDevice.put(all[i], byPlatform.get(args[0]).get(i));
                }
            }
            case "getDeviceInfo" -> {
                byte[] value = byDevice.get(args[0]).answers.get((int) args[1]);
                if (value == null) {
                    ((long[]) args[3])[0] = Long.MAX_VALUE;
                    return INVALID_VALUE;
                }
                ((long[]) args[3])[0] = value.length;
                if (args[2] != null) {
                    System.arraycopy(value, 0, (byte[]) args[2], 0, value.length);
                }
            }
            default -> throw new AssertionError("probing calls " + call);
        }
        return ClApi.SUCCESS;
    }
}
