package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.UnavailableException;
import java.util.ArrayList;
import java.util.List;
import org.jocl.cl_device_id;
import org.jocl.cl_platform_id;

/** Lists the devices of all platforms. A platform or device that fails is left out, and named if nothing else is there. */
final class ClDevices {

    /** What a broken loader may say and we still believe. */
    private static final int MOST = 1024;

    private final ClApi cl;
    private final List<ClDevice> found = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();

    private ClDevices(ClApi cl) {
        this.cl = cl;
    }

    /** All devices, at least one. */
    static List<ClDevice> list(ClApi cl) throws UnavailableException {
        ClDevices devices = new ClDevices(cl);
        for (cl_platform_id platform : devices.platforms()) {
            devices.add(platform);
        }
        if (devices.found.isEmpty()) {
            throw new UnavailableException(
                    devices.failures.isEmpty()
                            ? "no OpenCL driver offers a device"
                            : "no OpenCL driver offers a device: " + String.join("; ", devices.failures),
                    ClLibrary.INSTALL_HINT);
        }
        return List.copyOf(devices.found);
    }

    private cl_platform_id[] platforms() throws UnavailableException {
        int[] count = new int[1];
        int code = cl.countPlatforms(count);
        // The count means something only behind a good code.
        if (code == ClError.PLATFORM_NOT_FOUND || (code == ClApi.SUCCESS && count[0] <= 0)) {
            throw new UnavailableException(
                    "there is an OpenCL loader, but no driver for it to load (CL_PLATFORM_NOT_FOUND_KHR)",
                    ClLibrary.INSTALL_HINT);
        }
        if (code == ClApi.SUCCESS) {
            cl_platform_id[] platforms = new cl_platform_id[Math.min(count[0], MOST)];
            code = cl.getPlatforms(platforms);
            if (code == ClApi.SUCCESS) {
                return platforms;
            }
        }
        throw new UnavailableException(
                "the OpenCL loader fails: "
                        + ClError.failed("clGetPlatformIDs", code).getMessage(),
                "reinstall the OpenCL drivers; clinfo shows which of them fails");
    }

    private void add(cl_platform_id platform) {
        int[] count = new int[1];
        int code = cl.countDevices(platform, count);
        if (code == ClError.DEVICE_NOT_FOUND || (code == ClApi.SUCCESS && count[0] <= 0)) {
            return;
        }
        if (code == ClApi.SUCCESS) {
            cl_device_id[] ids = new cl_device_id[Math.min(count[0], MOST)];
            code = cl.getDevices(platform, ids);
            if (code == ClApi.SUCCESS) {
                for (cl_device_id id : ids) {
                    add(platform, id);
                }
                return;
            }
        }
        failures.add(String.valueOf(ClError.failed("clGetDeviceIDs", code).getMessage()));
    }

    private void add(cl_platform_id platform, cl_device_id id) {
        try {
            found.add(ClDevice.read(cl, platform, id, found.size()));
        } catch (DriverException e) {
            failures.add(String.valueOf(e.getMessage()));
        }
    }
}
