package dev.headroom.memory.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.headroom.memory.cuda.CudaSymbols.Feature;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;
import java.util.Set;

/**
 * The calls of the driver's that do not go through JCuda: it has no {@code cuDeviceGetUuid_v2}, cannot hand out more than
 * 2 GiB of host memory, and of virtual memory it fills the structures with values from the wrong objects.
 *
 * <p>The two structures, as the driver lays them out:
 *
 * <table class="striped">
 * <caption>Byte offsets of their fields</caption>
 * <thead><tr><th>CUmemAllocationProp, 32 bytes</th><th>CUmemAccessDesc, 12 bytes</th></tr></thead>
 * <tbody>
 * <tr><td>0 type: 1, pinned</td><td>0 location.type: 1, a device</td></tr>
 * <tr><td>4 requestedHandleTypes: 0, none</td><td>4 location.id: which one</td></tr>
 * <tr><td>8 location.type: 1, a device</td><td>8 flags: 3, to read and write</td></tr>
 * <tr><td>12 location.id: which one</td><td></td></tr>
 * <tr><td>16 win32HandleMetaData: null</td><td></td></tr>
 * <tr><td>24 allocFlags, with 4 reserved bytes: 0</td><td></td></tr>
 * </tbody>
 * </table>
 *
 * <p>Everything is linked at once, before any of it is called: linking may wait for other threads, and no call may.
 */
final class DirectCalls {

    private static final long PROP_BYTES = 32;
    private static final long PROP_TYPE = 0;
    private static final long PROP_LOCATION_TYPE = 8;
    private static final long PROP_LOCATION_ID = 12;
    private static final int PINNED = 1;

    private static final long ACCESS_BYTES = 12;
    private static final long ACCESS_LOCATION_TYPE = 0;
    private static final long ACCESS_LOCATION_ID = 4;
    private static final long ACCESS_FLAGS = 8;
    private static final int READ_WRITE = 3;

    private static final int ON_A_DEVICE = 1;
    private static final int MINIMUM = 0;
    private static final long NO_FLAGS = 0;
    private static final long ANYWHERE = 0;

    private static final int UUID_BYTES = 16;

    /** Address ranges, where the driver has them. */
    private record Virtual(
            MethodHandle granularity,
            MethodHandle reserve,
            MethodHandle freeAddresses,
            MethodHandle create,
            MethodHandle release,
            MethodHandle map,
            MethodHandle unmap,
            MethodHandle setAccess) {

        static Virtual of(SymbolLookup driver) {
            return new Virtual(
                    NativeFunctions.function(driver, "cuMemGetAllocationGranularity", ADDRESS, ADDRESS, JAVA_INT),
                    NativeFunctions.function(
                            driver, "cuMemAddressReserve", ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                    NativeFunctions.function(driver, "cuMemAddressFree", JAVA_LONG, JAVA_LONG),
                    NativeFunctions.function(driver, "cuMemCreate", ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG),
                    NativeFunctions.function(driver, "cuMemRelease", JAVA_LONG),
                    NativeFunctions.function(driver, "cuMemMap", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                    NativeFunctions.function(driver, "cuMemUnmap", JAVA_LONG, JAVA_LONG),
                    NativeFunctions.function(driver, "cuMemSetAccess", JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_LONG));
        }
    }

    private final MethodHandle hostAlloc;
    private final Optional<MethodHandle> uuid;
    private final Optional<Virtual> virtual;

    /** Links what there is. */
    DirectCalls(SymbolLookup driver, Set<Feature> features) {
        hostAlloc = NativeFunctions.function(driver, "cuMemHostAlloc", ADDRESS, JAVA_LONG, JAVA_INT);
        uuid = features.contains(Feature.SLICES)
                ? Optional.of(NativeFunctions.function(driver, "cuDeviceGetUuid_v2", ADDRESS, JAVA_INT))
                : Optional.empty();
        virtual = features.contains(Feature.VIRTUAL_MEMORY) ? Optional.of(Virtual.of(driver)) : Optional.empty();
    }

    int uuid(byte[] target, int device) {
        MethodHandle function = uuid.orElseThrow();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(UUID_BYTES);
            int code = NativeFunctions.call(() -> (int) function.invokeExact(bytes, device));
            MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, 0, target, 0, UUID_BYTES);
            return code;
        }
    }

    int allocateHost(long[] address, long byteSize, int flags) {
        return withResult(address, result -> (int) hostAlloc.invokeExact(result, byteSize, flags));
    }

    int granularity(long[] byteSize, int device) {
        Virtual functions = virtual.orElseThrow();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment prop = prop(arena, device);
            return withResult(byteSize, result -> (int) functions.granularity().invokeExact(result, prop, MINIMUM));
        }
    }

    int reserve(long[] address, long byteSize, long byteAlignment) {
        Virtual functions = virtual.orElseThrow();
        return withResult(address, result ->
                (int) functions.reserve().invokeExact(result, byteSize, byteAlignment, ANYWHERE, NO_FLAGS));
    }

    int freeAddresses(long address, long byteSize) {
        Virtual functions = virtual.orElseThrow();
        return NativeFunctions.call(() -> (int) functions.freeAddresses().invokeExact(address, byteSize));
    }

    int create(long[] handle, long byteSize, int device) {
        Virtual functions = virtual.orElseThrow();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment prop = prop(arena, device);
            return withResult(handle, result -> (int) functions.create().invokeExact(result, byteSize, prop, NO_FLAGS));
        }
    }

    int release(long handle) {
        Virtual functions = virtual.orElseThrow();
        return NativeFunctions.call(() -> (int) functions.release().invokeExact(handle));
    }

    int map(long address, long byteSize, long handle) {
        Virtual functions = virtual.orElseThrow();
        return NativeFunctions.call(() -> (int) functions.map().invokeExact(address, byteSize, 0L, handle, NO_FLAGS));
    }

    int unmap(long address, long byteSize) {
        Virtual functions = virtual.orElseThrow();
        return NativeFunctions.call(() -> (int) functions.unmap().invokeExact(address, byteSize));
    }

    int setAccess(long address, long byteSize, int device) {
        Virtual functions = virtual.orElseThrow();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment access = arena.allocate(ACCESS_BYTES);
            access.set(JAVA_INT, ACCESS_LOCATION_TYPE, ON_A_DEVICE);
            access.set(JAVA_INT, ACCESS_LOCATION_ID, device);
            access.set(JAVA_INT, ACCESS_FLAGS, READ_WRITE);
            return NativeFunctions.call(() -> (int) functions.setAccess().invokeExact(address, byteSize, access, 1L));
        }
    }

    private static MemorySegment prop(Arena arena, int device) {
        MemorySegment prop = arena.allocate(PROP_BYTES, Long.BYTES);
        prop.set(JAVA_INT, PROP_TYPE, PINNED);
        prop.set(JAVA_INT, PROP_LOCATION_TYPE, ON_A_DEVICE);
        prop.set(JAVA_INT, PROP_LOCATION_ID, device);
        return prop;
    }

    /** A call that writes a number where its first argument points. */
    @FunctionalInterface
    private interface ResultCall {
        int run(MemorySegment result) throws Throwable;
    }

    private static int withResult(long[] value, ResultCall call) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment result = arena.allocate(JAVA_LONG);
            int code = NativeFunctions.call(() -> call.run(result));
            value[0] = result.get(JAVA_LONG, 0);
            return code;
        }
    }
}
