package dev.headroom.memory.cuda;

import dev.headroom.memory.MemoryBudget;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What is free on devices that are not open, as the management library measures it for all processes together. The CUDA
 * driver itself tells only those that have a context, and a context costs memory on the device.
 *
 * <p>Thread-safe. The library is opened at the first question and let go of by {@link #close}.
 */
final class FreeFigures implements AutoCloseable {

    private static final int FREE = 1;
    private static final int FIGURES = 3;

    private final Supplier<Optional<NvmlApi>> loader;
    private @Nullable NvmlApi nvml;
    private String absence = "";

    FreeFigures(Supplier<Optional<NvmlApi>> loader) {
        this.loader = loader;
    }

    /**
     * Total and free memory.
     *
     * @param totalBytes what the driver says the device has
     * @param uuid the device's name in the management library, {@code GPU-...} or {@code MIG-...}
     */
    MemoryBudget read(long totalBytes, String uuid) {
        NvmlApi calls = calls();
        if (calls == null) {
            return unknown(totalBytes, absence);
        }
        long[] device = new long[1];
        int code = calls.deviceByUuid(device, uuid);
        if (code != NvmlApi.SUCCESS) {
            return unknown(totalBytes, failed("nvmlDeviceGetHandleByUUID", code));
        }
        long[] figures = new long[FIGURES];
        code = calls.memoryInfo(figures, device[0]);
        if (code != NvmlApi.SUCCESS) {
            return unknown(totalBytes, failed("nvmlDeviceGetMemoryInfo", code));
        }
        // A number without a sign, and its total counts what the firmware keeps for itself.
        long free = figures[FREE] < 0 ? Long.MAX_VALUE : figures[FREE];
        return MemoryBudget.measured(totalBytes, Math.min(free, totalBytes), "nvmlDeviceGetMemoryInfo");
    }

    private synchronized @Nullable NvmlApi calls() {
        if (nvml == null && absence.isEmpty()) {
            NvmlApi found = loader.get().orElse(null);
            if (found == null) {
                absence = "there is no management library (NVML)";
            } else {
                int code = found.init();
                if (code == NvmlApi.SUCCESS) {
                    nvml = found;
                } else {
                    absence = failed("nvmlInit", code);
                }
            }
        }
        return nvml;
    }

    private static String failed(String call, int code) {
        return "%s failed (code %d)".formatted(call, code);
    }

    private static MemoryBudget unknown(long totalBytes, String why) {
        return MemoryBudget.unknown(totalBytes, "cuDeviceTotalMem; what is free is not known: " + why);
    }

    /** Lets go of the library; a later question opens it again. */
    @Override
    public synchronized void close() {
        NvmlApi calls = nvml;
        nvml = null;
        absence = "";
        if (calls != null) {
            calls.shutdown();
        }
    }
}
