package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.UnavailableException;
import java.util.ArrayList;
import java.util.List;

/** Lists the devices the driver shows. One that fails is left out, and named if nothing else is there. */
final class CudaDevices {

    /** What a broken driver may say and we still believe. */
    private static final int MOST = 1024;

    private CudaDevices() {}

    /** All devices, at least one. {@code CUDA_VISIBLE_DEVICES} is the driver's business: it shows no others. */
    static List<CudaDevice> list(CudaApi cuda) throws UnavailableException {
        int[] count = new int[1];
        int code = cuda.deviceCount(count);
        if (code != CudaApi.SUCCESS && code != CudaError.NO_DEVICE) {
            throw CudaLibrary.fails("cuDeviceGetCount", code);
        }
        if (code == CudaError.NO_DEVICE || count[0] <= 0) {
            throw CudaLibrary.noDevice();
        }
        List<CudaDevice> found = new ArrayList<>();
        List<String> failures = new ArrayList<>();
        for (int ordinal = 0; ordinal < Math.min(count[0], MOST); ordinal++) {
            try {
                found.add(CudaDevice.read(cuda, ordinal, found.size()));
            } catch (DriverException e) {
                failures.add(String.valueOf(e.getMessage()));
            }
        }
        if (found.isEmpty()) {
            throw new UnavailableException(
                    "no CUDA device answers: " + String.join("; ", failures),
                    "look whether nvidia-smi works; if not, reinstall NVIDIA's driver");
        }
        return List.copyOf(found);
    }
}
