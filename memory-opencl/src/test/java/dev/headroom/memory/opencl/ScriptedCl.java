package dev.headroom.memory.opencl;

import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.spi.UnavailableException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.jocl.CL;
import org.jocl.cl_command_queue;
import org.jocl.cl_event;
import org.jocl.cl_mem;

/**
 * OpenCL with a ledger of live objects, in which any call can be made to fail. A failing call does not reach OpenCL and
 * leaves nonsense in its outputs; a failing release does, so that only the ledger keeps the object. What would end the
 * process (releasing twice, using what was released) is noted as a violation and not passed on.
 */
final class ScriptedCl {

    /** Numbers a call may leave in its outputs when it fails; seen as a count with PoCL. */
    private static final int NONSENSE = 32_601;

    private static final int HOST_UNIFIED_MEMORY = 0x1035;

    private static final Set<String> RELEASES =
            Set.of("releaseContext", "releaseQueue", "releaseBuffer", "releaseEvent");

    /** What fails: the n-th call alone, or all from there on. */
    record Fault(int call, int code, boolean sticky, boolean asStatus) {

        boolean hits(int number, String method) {
            boolean due = sticky ? number >= call : number == call;
            return due && (!asStatus || method.equals("getEventStatus"));
        }
    }

    private final ClApi real;
    private final ClApi api = (ClApi) Proxy.newProxyInstance(
            ClApi.class.getClassLoader(), new Class<?>[] {ClApi.class}, (proxy, method, args) -> call(method, args));
    private final Map<Integer, byte[]> properties = new HashMap<>();
    private final AtomicInteger calls = new AtomicInteger();
    private final Map<String, AtomicInteger> callsByName = new HashMap<>();
    private volatile Fault fault = new Fault(0, 0, false, false);
    private volatile String hit = "";

    // Guarded by this.
    private final Map<Object, String> live = new IdentityHashMap<>();
    /** What was made here, live or not; a user's queue was not. */
    private final Map<Object, String> made = new IdentityHashMap<>();

    private final List<String> violations = new ArrayList<>();
    private final List<Long> subBufferOffsets = new ArrayList<>();
    private long mapped;

    ScriptedCl(ClApi real) {
        this.real = real;
        for (Method method : ClApi.class.getDeclaredMethods()) {
            callsByName.put(method.getName(), new AtomicInteger());
        }
    }

    /** Over the OpenCL of this machine; skips the test where there is none. */
    static ScriptedCl overReal() {
        return new ScriptedCl(realOrSkip());
    }

    /** The same, with a device that claims to be a card with memory of its own. */
    static ScriptedCl asCard() {
        ScriptedCl cl = overReal();
        cl.looksLikeACard();
        return cl;
    }

    /** Makes the device claim to be a card with memory of its own. */
    void looksLikeACard() {
        property(CL.CL_DEVICE_TYPE, CL.CL_DEVICE_TYPE_GPU);
        property(HOST_UNIFIED_MEMORY, 0);
    }

    static ClApi realOrSkip() {
        try {
            ClApi real = ClLibrary.ofSystem().load();
            ClDevices.list(real);
            return real;
        } catch (UnavailableException absent) {
            String reason = "needs an OpenCL device: " + absent.getMessage() + " ("
                    + absent.answer().hint() + ")";
            System.out.println(reason);
            return abort(reason);
        }
    }

    /** Makes devices answer otherwise. */
    void property(int name, long value) {
        properties.put(
                name,
                ByteBuffer.allocate(Long.BYTES)
                        .order(ByteOrder.nativeOrder())
                        .putLong(value)
                        .array());
    }

    OpenClBackend backend() {
        return new OpenClBackend(() -> api);
    }

    ClApi api() {
        return api;
    }

    void failing(Fault next) {
        fault = next;
        hit = "";
        calls.set(0);
    }

    /** The call the fault has hit, empty if none. */
    String hit() {
        return hit;
    }

    int calls() {
        return calls.get();
    }

    int calls(String name) {
        return Objects.requireNonNull(callsByName.get(name), name).get();
    }

    /** What is live though its release was not made to fail, and what was done wrong. */
    synchronized List<String> faults() {
        List<String> all = new ArrayList<>(violations);
        live.values().forEach(what -> all.add("left: " + what));
        if (mapped != 0) {
            all.add("mapped: " + mapped);
        }
        return all;
    }

    /** Waits for what is under way in queues that nobody has released. */
    synchronized void drain() {
        for (Object object : live.keySet()) {
            if (object instanceof cl_command_queue queue) {
                real.finish(queue);
            }
        }
    }

    /** Where sub-buffers were made. */
    synchronized List<Long> subBufferOffsets() {
        return List.copyOf(subBufferOffsets);
    }

    private Object call(Method method, Object[] args) throws Throwable {
        String name = method.getName();
        if (method.getDeclaringClass() == Object.class) {
            return method.invoke(this, args);
        }
        callsByName.get(name).incrementAndGet();
        int number = calls.incrementAndGet();
        Fault now = fault;
        boolean failing = now.hits(number, name);
        if (failing && hit.isEmpty()) {
            hit = name + " (call " + number + ")";
        }
        if (RELEASES.contains(name)) {
            if (!release(name, args[0])) {
                return ClApi.SUCCESS;
            }
            if (args[0] instanceof cl_command_queue queue) {
                real.finish(queue); // what was only said to be lost still runs, and writes into memory of the test
            }
            int code = (int) pass(method, args);
            return failing ? now.code() : code;
        }
        requireLive(name, args);
        if (failing && now.asStatus()) {
            ((int[]) args[1])[0] = now.code();
            return ClApi.SUCCESS;
        }
        if (failing) {
            unmapRefused(name);
            return fail(method, args, now.code());
        }
        byte[] property = name.equals("getDeviceInfo") ? properties.get((int) args[1]) : null;
        if (property != null) {
            ((long[]) args[3])[0] = property.length;
            if (args[2] != null) {
                System.arraycopy(property, 0, (byte[]) args[2], 0, property.length);
            }
            return ClApi.SUCCESS;
        }
        Object result = pass(method, args);
        note(name, args, result);
        return result;
    }

    private Object pass(Method method, Object[] args) throws Throwable {
        try {
            return method.invoke(real, args);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** What OpenCL does not unmap stays mapped, as what it does not release stays live. */
    private synchronized void unmapRefused(String name) {
        if (name.equals("unmap")) {
            mapped--;
        }
    }

    private static Object fail(Method method, Object[] args, int code) {
        for (Object argument : args) {
            if (argument instanceof int[] output) {
                output[0] = NONSENSE;
            }
        }
        if (method.getReturnType() == int.class) {
            return code;
        }
        ((int[]) args[args.length - 1])[0] = code;
        return method.getReturnType() == long.class ? (Object) (long) NONSENSE : null;
    }

    private synchronized boolean release(String name, Object object) {
        if (live.remove(object) == null) {
            violations.add(name + " of what was released, or never made");
            return false;
        }
        return true;
    }

    private synchronized void requireLive(String name, Object[] args) {
        for (Object argument : args == null ? new Object[0] : args) {
            boolean output = argument instanceof cl_event && !name.equals("getEventStatus");
            boolean handle =
                    argument instanceof cl_mem || argument instanceof cl_command_queue || argument instanceof cl_event;
            if (handle && !output && made.containsKey(argument) && !live.containsKey(argument)) {
                violations.add(name + " with " + argument.getClass().getSimpleName() + " that was released");
            }
        }
    }

    private synchronized void note(String name, Object[] args, Object result) {
        if (name.equals("createSubBuffer")) {
            subBufferOffsets.add((long) args[1]);
        }
        switch (name) {
            case "createContext", "createQueue", "createBuffer", "createSubBuffer" -> {
                if (result != null) {
                    live.put(result, name);
                    made.put(result, name);
                }
            }
            case "copy", "fill", "migrate", "marker", "barrier" -> {
                if ((int) result == ClApi.SUCCESS) {
                    live.put(args[args.length - 1], "the event of " + name);
                    made.put(args[args.length - 1], name);
                }
            }
            case "map" -> mapped += ((int[]) args[5])[0] == ClApi.SUCCESS ? 1 : 0;
            case "unmap" -> mapped -= (int) result == ClApi.SUCCESS ? 1 : 0;
            default -> {}
        }
    }
}
