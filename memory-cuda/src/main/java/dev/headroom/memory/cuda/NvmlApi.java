package dev.headroom.memory.cuda;

/**
 * The calls of NVIDIA's management library that this backend makes, one method each. Every method returns the call's
 * code; what else it gives back means nothing unless that is 0. No method throws.
 */
interface NvmlApi {

    /** The code of a call that went well. */
    int SUCCESS = 0;

    /** {@code nvmlInit_v2}; counted, each to be ended by {@link #shutdown}. */
    int init();

    /** {@code nvmlShutdown}. */
    int shutdown();

    /** {@code nvmlDeviceGetHandleByUUID}, for a UUID such as {@code GPU-...} or {@code MIG-...}. */
    int deviceByUuid(long[] device, String uuid);

    /** {@code nvmlDeviceGetMemoryInfo}: total, free and used bytes. */
    int memoryInfo(long[] totalFreeUsed, long device);
}
