package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverException.Kind;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import jcuda.driver.CUresult;
import org.jspecify.annotations.Nullable;

/** What the codes of the CUDA driver mean. */
final class CudaError {

    /** {@code CUDA_ERROR_OUT_OF_MEMORY}. */
    static final int OUT_OF_MEMORY = 2;

    /** {@code CUDA_ERROR_NO_DEVICE}. */
    static final int NO_DEVICE = 100;

    /** {@code CUDA_ERROR_INVALID_CONTEXT}. */
    static final int INVALID_CONTEXT = 201;

    /** {@code CUDA_ERROR_NOT_READY}: work goes on. */
    static final int NOT_READY = 600;

    /** {@code CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED}. */
    static final int PEER_ACCESS_ALREADY_ENABLED = 704;

    private static final int UNKNOWN = 999;

    /** JCuda knows the names and touches no library for them. */
    private static final Map<String, Integer> CODES = codes();

    private CudaError() {}

    /** A call that failed. */
    static DriverException failed(String call, int code) {
        return new DriverException(kind(code), code, call, name(code));
    }

    /** A call that failed and proves the device lost, whatever its code means elsewhere. */
    static DriverException lost(String call, int code) {
        return new DriverException(Kind.DEVICE_LOST, code, call, name(code));
    }

    /** The name of a code. */
    static String name(int code) {
        return String.valueOf(CUresult.stringFor(code));
    }

    /** The code behind a name; 999 for one nobody knows. */
    static int codeOf(@Nullable String name) {
        return CODES.getOrDefault(String.valueOf(name), UNKNOWN);
    }

    /**
     * What a code means to the engine. Lost is what the manual calls an inconsistent process, in which every later call
     * fails the same way, and a context or driver that has gone away.
     */
    static Kind kind(int code) {
        return switch (code) {
            case OUT_OF_MEMORY -> Kind.OUT_OF_MEMORY;
            // The driver shuts down; an uncorrectable ECC or NVLink error; the device was taken away.
            case 4, 214, 220, 721 -> Kind.DEVICE_LOST;
            // A bad address, a launch that took too long, a context that was destroyed, a failed assertion.
            case 700, 702, 709, 710 -> Kind.DEVICE_LOST;
            // Stack, instruction, alignment, address space, program counter; a failed launch.
            case 714, 715, 716, 717, 718, 719 -> Kind.DEVICE_LOST;
            case UNKNOWN -> Kind.DEVICE_LOST;
            // No access between these two devices, or to no more of them; not on this device or system.
            case 217, 711, 801 -> Kind.UNSUPPORTED;
            default -> Kind.UNEXPECTED;
        };
    }

    private static Map<String, Integer> codes() {
        Map<String, Integer> codes = new TreeMap<>();
        IntStream.rangeClosed(0, UNKNOWN).forEach(code -> codes.putIfAbsent(name(code), code));
        return Map.copyOf(codes);
    }
}
