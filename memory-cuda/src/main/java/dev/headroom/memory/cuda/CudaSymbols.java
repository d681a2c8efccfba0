package dev.headroom.memory.cuda;

import java.lang.foreign.SymbolLookup;
import java.util.List;

/**
 * Every function of the driver's libraries that this backend calls, by the name the libraries export it under. A call to
 * one that is missing ends the process without a word, so each is looked up before the first call; what is not on these
 * lists is not called.
 */
final class CudaSymbols {

    /** Without these there is no CUDA. */
    static final List<String> REQUIRED = List.of(
            "cuInit",
            "cuDriverGetVersion",
            "cuDeviceGetCount",
            "cuDeviceGet",
            "cuDeviceGetName",
            "cuDeviceGetAttribute",
            "cuDeviceTotalMem_v2",
            "cuDeviceGetUuid",
            "cuDeviceGetPCIBusId",
            "cuDevicePrimaryCtxRetain",
            "cuDevicePrimaryCtxRelease_v2",
            "cuCtxPushCurrent_v2",
            "cuCtxPopCurrent_v2",
            "cuMemGetInfo_v2",
            "cuMemAlloc_v2",
            "cuMemFree_v2",
            "cuMemHostAlloc",
            "cuMemFreeHost",
            "cuMemcpyHtoDAsync_v2",
            "cuMemcpyDtoHAsync_v2",
            "cuMemcpyDtoDAsync_v2",
            "cuMemcpyAsync",
            "cuMemsetD8Async",
            "cuStreamCreate",
            "cuStreamDestroy_v2",
            "cuStreamQuery",
            "cuStreamWaitEvent",
            "cuEventCreate",
            "cuEventDestroy_v2",
            "cuEventRecord",
            "cuEventQuery");

    /** Of the management library. Without them nothing tells what is free on a device that is not open. */
    static final List<String> MANAGEMENT =
            List.of("nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetMemoryInfo");

    /** What a driver may lack: then there is less of it, not nothing. */
    enum Feature {
        /** Address ranges that get memory piece by piece. */
        VIRTUAL_MEMORY(
                "cuMemGetAllocationGranularity",
                "cuMemAddressReserve",
                "cuMemAddressFree",
                "cuMemCreate",
                "cuMemRelease",
                "cuMemMap",
                "cuMemUnmap",
                "cuMemSetAccess"),
        /** Copies from device to device that leave the host out. */
        PEERS("cuDeviceCanAccessPeer", "cuCtxEnablePeerAccess", "cuMemcpyPeerAsync"),
        /** A slice of a card tells its own name. */
        SLICES("cuDeviceGetUuid_v2"),
        /** A stream tells its context. */
        STREAM_CONTEXT("cuStreamGetCtx");

        private final List<String> symbols;

        Feature(String... symbols) {
            this.symbols = List.of(symbols);
        }

        /** The functions it needs, all of them. */
        List<String> symbols() {
            return symbols;
        }
    }

    private CudaSymbols() {}

    /** Those a library lacks. */
    static List<String> missing(List<String> symbols, SymbolLookup library) {
        return symbols.stream().filter(symbol -> library.find(symbol).isEmpty()).toList();
    }
}
