package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverException.Kind;
import java.util.Map;

/** What the codes of OpenCL mean. The names are those of {@code cl.h} and {@code cl_ext.h}. */
final class ClError {

    /** {@code CL_DEVICE_NOT_FOUND}: a platform without devices. */
    static final int DEVICE_NOT_FOUND = -1;

    /** {@code CL_PLATFORM_NOT_FOUND_KHR}: a loader without drivers. */
    static final int PLATFORM_NOT_FOUND = -1001;

    private static final Map<Integer, String> NAMES = Map.ofEntries(
            Map.entry(-1, "CL_DEVICE_NOT_FOUND"),
            Map.entry(-2, "CL_DEVICE_NOT_AVAILABLE"),
            Map.entry(-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"),
            Map.entry(-5, "CL_OUT_OF_RESOURCES"),
            Map.entry(-6, "CL_OUT_OF_HOST_MEMORY"),
            Map.entry(-8, "CL_MEM_COPY_OVERLAP"),
            Map.entry(-12, "CL_MAP_FAILURE"),
            Map.entry(-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET"),
            Map.entry(-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"),
            Map.entry(-30, "CL_INVALID_VALUE"),
            Map.entry(-32, "CL_INVALID_PLATFORM"),
            Map.entry(-33, "CL_INVALID_DEVICE"),
            Map.entry(-34, "CL_INVALID_CONTEXT"),
            Map.entry(-36, "CL_INVALID_COMMAND_QUEUE"),
            Map.entry(-38, "CL_INVALID_MEM_OBJECT"),
            Map.entry(-57, "CL_INVALID_EVENT_WAIT_LIST"),
            Map.entry(-58, "CL_INVALID_EVENT"),
            Map.entry(-59, "CL_INVALID_OPERATION"),
            Map.entry(-61, "CL_INVALID_BUFFER_SIZE"),
            Map.entry(-1001, "CL_PLATFORM_NOT_FOUND_KHR"),
            Map.entry(-1121, "CL_CONTEXT_TERMINATED_KHR"),
            Map.entry(-9999, "an illegal access on an NVIDIA device"));

    private ClError() {}

    /** Throws unless a call went well. */
    static void require(String call, int code) throws DriverException {
        if (code != ClApi.SUCCESS) {
            throw failed(call, code);
        }
    }

    /** A call that failed. */
    static DriverException failed(String call, int code) {
        return new DriverException(kind(call, code), code, call, name(code));
    }

    /**
     * Work of ours that ended in an error. What becomes of the commands behind it is not defined, so the device counts as
     * lost with it. To let go of its memory is safe even so: OpenCL keeps an object until queued commands are done with it.
     */
    static DriverException workFailed(int status) {
        return new DriverException(Kind.DEVICE_LOST, status, "work in a queue", name(status));
    }

    /** Whether a code says that device or context are gone. OpenCL has no code of its own for that. */
    static boolean meansLoss(int code) {
        return switch (code) {
            case -2, -34, -36, -1121, -9999 -> true;
            default -> false;
        };
    }

    /** The name of a code. */
    static String name(int code) {
        return NAMES.getOrDefault(code, "an error without a name");
    }

    private static Kind kind(String call, int code) {
        if (meansLoss(code)) {
            return Kind.DEVICE_LOST;
        }
        return switch (code) {
            case -4, -5, -6 -> Kind.OUT_OF_MEMORY;
            // Some drivers say so of any size they cannot give; the engine has checked it against the largest.
            case -61 -> call.equals("clCreateBuffer") ? Kind.OUT_OF_MEMORY : Kind.UNEXPECTED;
            default -> Kind.UNEXPECTED;
        };
    }
}
