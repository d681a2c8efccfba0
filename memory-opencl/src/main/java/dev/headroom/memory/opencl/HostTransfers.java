package dev.headroom.memory.opencl;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;

/**
 * The four calls that take or give an address of the host's, made directly. JOCL has them too, but starts a thread for
 * each read, write and unmapping that does not block, to keep the Java object behind the address alive until the driver
 * is done; the engine does that already. It also cannot map more than 2 GiB, because it hands a {@code ByteBuffer} out.
 *
 * <p>Handles and addresses travel as {@code long}: OpenCL runs on 64-bit systems only, as far as JOCL is concerned.
 */
final class HostTransfers {

    private static final AddressLayout ADDRESS = ValueLayout.ADDRESS;
    private static final int BLOCKING = 1;
    private static final int NOT_BLOCKING = 0;

    private static final FunctionDescriptor TRANSFER = FunctionDescriptor.of(
            JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_LONG);
    private static final FunctionDescriptor MAP = FunctionDescriptor.of(
            JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG,
            ADDRESS);
    private static final FunctionDescriptor UNMAP =
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);

    private static final String WRITE_BUFFER = "clEnqueueWriteBuffer";
    private static final String READ_BUFFER = "clEnqueueReadBuffer";
    private static final String MAP_BUFFER = "clEnqueueMapBuffer";
    private static final String UNMAP_OBJECT = "clEnqueueUnmapMemObject";

    private final MethodHandle writeBuffer;
    private final MethodHandle readBuffer;
    private final MethodHandle mapBuffer;
    private final MethodHandle unmapObject;

    /** Links the calls, which takes a tenth of a second: more than all of probing. */
    HostTransfers(SymbolLookup loader) {
        writeBuffer = function(loader, WRITE_BUFFER, TRANSFER);
        readBuffer = function(loader, READ_BUFFER, TRANSFER);
        mapBuffer = function(loader, MAP_BUFFER, MAP);
        unmapObject = function(loader, UNMAP_OBJECT, UNMAP);
    }

    /**
     * Looks whether the calls are there.
     *
     * @throws java.util.NoSuchElementException if one is missing
     */
    static void require(SymbolLookup loader) {
        List.of(WRITE_BUFFER, READ_BUFFER, MAP_BUFFER, UNMAP_OBJECT).forEach(loader::findOrThrow);
    }

    @SuppressWarnings("restricted")
    private static MethodHandle function(SymbolLookup loader, String name, FunctionDescriptor type) {
        return Linker.nativeLinker().downcallHandle(loader.findOrThrow(name), type);
    }

    int write(long queue, long buffer, long byteOffset, MemorySegment source) {
        long byteSize = source.byteSize();
        return (int) call(() ->
                (int) writeBuffer.invokeExact(queue, buffer, NOT_BLOCKING, byteOffset, byteSize, source, 0, 0L, 0L));
    }

    int read(long queue, long buffer, long byteOffset, MemorySegment target) {
        long byteSize = target.byteSize();
        return (int) call(() ->
                (int) readBuffer.invokeExact(queue, buffer, NOT_BLOCKING, byteOffset, byteSize, target, 0, 0L, 0L));
    }

    long map(long queue, long buffer, long flags, long byteOffset, long byteSize, int[] code) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(JAVA_INT);
            long address = call(() -> (long)
                    mapBuffer.invokeExact(queue, buffer, BLOCKING, flags, byteOffset, byteSize, 0, 0L, 0L, error));
            code[0] = error.get(JAVA_INT, 0);
            return address;
        }
    }

    int unmap(long queue, long buffer, long address) {
        return (int) call(() -> (int) unmapObject.invokeExact(queue, buffer, address, 0, 0L, 0L));
    }

    private static long call(NativeCall call) {
        try {
            return call.run();
        } catch (RuntimeException | Error thrown) {
            throw thrown;
        } catch (Throwable impossible) {
            throw new AssertionError("a native call threw", impossible);
        }
    }

    /** One native call; method handles declare every throwable. */
    @FunctionalInterface
    private interface NativeCall {
        long run() throws Throwable;
    }
}
