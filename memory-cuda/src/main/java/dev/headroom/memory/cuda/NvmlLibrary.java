package dev.headroom.memory.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;

/** The management library's own side of {@link NvmlApi}. It needs no context, and JCuda has nothing of it. */
final class NvmlLibrary implements NvmlApi {

    /** {@code nvmlMemory_t}: total, free, used. */
    private static final int FIGURES = 3;

    private final MethodHandle init;
    private final MethodHandle shutdown;
    private final MethodHandle deviceByUuid;
    private final MethodHandle memoryInfo;

    private NvmlLibrary(SymbolLookup library) {
        init = NativeFunctions.link(library.findOrThrow("nvmlInit_v2"), FunctionDescriptor.of(JAVA_INT));
        shutdown = NativeFunctions.link(library.findOrThrow("nvmlShutdown"), FunctionDescriptor.of(JAVA_INT));
        deviceByUuid = NativeFunctions.function(library, "nvmlDeviceGetHandleByUUID", ADDRESS, ADDRESS);
        memoryInfo = NativeFunctions.function(library, "nvmlDeviceGetMemoryInfo", JAVA_LONG, ADDRESS);
    }

    /**
     * Looks for the library.
     *
     * @param names under which it may be known
     * @return the calls; empty if it is not there, or lacks one
     */
    static Optional<NvmlApi> find(List<String> names) {
        return NativeLibraries.open(names)
                .filter(library ->
                        CudaSymbols.missing(CudaSymbols.MANAGEMENT, library).isEmpty())
                .map(NvmlLibrary::new);
    }

    @Override
    public int init() {
        return NativeFunctions.call(() -> (int) init.invokeExact());
    }

    @Override
    public int shutdown() {
        return NativeFunctions.call(() -> (int) shutdown.invokeExact());
    }

    @Override
    public int deviceByUuid(long[] device, String uuid) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocateFrom(uuid);
            MemorySegment result = arena.allocate(JAVA_LONG);
            int code = NativeFunctions.call(() -> (int) deviceByUuid.invokeExact(text, result));
            device[0] = result.get(JAVA_LONG, 0);
            return code;
        }
    }

    @Override
    public int memoryInfo(long[] totalFreeUsed, long device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment figures = arena.allocate(JAVA_LONG, FIGURES);
            int code = NativeFunctions.call(() -> (int) memoryInfo.invokeExact(device, figures));
            MemorySegment.copy(figures, JAVA_LONG, 0, totalFreeUsed, 0, FIGURES);
            return code;
        }
    }
}
