package dev.headroom.memory.vulkan;

import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.spi.UnavailableException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkInstance;

/**
 * Vulkan with a ledger of live objects, in which any call that has a code can be made to fail. A failing call does not
 * reach Vulkan and leaves nonsense in its outputs. What would end the process (destroying twice, using what was destroyed)
 * is noted as a violation and not passed on.
 */
final class ScriptedVk {

    /** What a call that failed may leave in its outputs. */
    private static final int NONSENSE = 32_601;

    /** Ends of objects, by the kind of what they end. */
    private static final Map<String, String> ENDS = Map.of(
            "destroyInstance", "instance",
            "destroyMessenger", "messenger",
            "destroyDevice", "device",
            "destroyBuffer", "buffer",
            "free", "memory",
            "destroyCommandPool", "pool",
            "destroySemaphore", "semaphore",
            "destroyFence", "fence");

    /** Beginnings of objects. */
    private static final Map<String, String> BEGINNINGS = Map.of(
            "createInstance", "instance",
            "createMessenger", "messenger",
            "createDevice", "device",
            "createBuffer", "buffer",
            "allocate", "memory",
            "createCommandPool", "pool",
            "createTimeline", "semaphore",
            "createFence", "fence");

    /** Where other calls name an object: method, place of the argument, kind. */
    private static final Map<String, Map<Integer, String>> USES = Map.of(
            "getRequirements", Map.of(1, "buffer"),
            "bind", Map.of(1, "buffer", 2, "memory"),
            "getAddress", Map.of(1, "buffer"),
            "map", Map.of(1, "memory"),
            "flush", Map.of(1, "memory"),
            "invalidate", Map.of(1, "memory"),
            "allocateCommands", Map.of(1, "pool"),
            "copy", Map.of(1, "buffer", 2, "buffer"),
            "fill", Map.of(1, "buffer"),
            "getCounter", Map.of(1, "semaphore"));

    /** What fails: the n-th call alone, or all from there on. */
    record Fault(int call, int code, boolean sticky) {

        static final Fault NONE = new Fault(Integer.MAX_VALUE, 0, false);

        boolean hits(int number) {
            return sticky ? number >= call : number == call;
        }
    }

    private final VkApi real;
    private final VkApi api = (VkApi) Proxy.newProxyInstance(
            VkApi.class.getClassLoader(), new Class<?>[] {VkApi.class}, (proxy, method, args) -> call(method, args));
    private final AtomicInteger calls = new AtomicInteger();
    private final Map<String, AtomicInteger> callsByName = new HashMap<>();
    private volatile Fault fault = Fault.NONE;
    private volatile String hit = "";
    private UnaryOperator<RawDevice> disguise = raw -> raw;
    private VkInstance lent;
    private boolean hidesLayers;
    private int version;
    private long[][] told;
    private Optional<Boolean> dedicated = Optional.empty();
    private final Map<String, Integer> answers = new HashMap<>();

    // Guarded by this.
    private final Set<String> live = new HashSet<>();
    private final List<VkDevice> devices = new ArrayList<>();
    private final List<String> violations = new ArrayList<>();
    private final List<VkApi.MemoryRequest> allocations = new ArrayList<>();
    private final List<VkApi.InstanceRequest> instances = new ArrayList<>();

    ScriptedVk(VkApi real) {
        this.real = real;
        for (Method method : VkApi.class.getDeclaredMethods()) {
            callsByName.put(method.getName(), new AtomicInteger());
        }
    }

    /** Over the Vulkan of this machine; skips the test where there is none. */
    static ScriptedVk overReal() {
        return new ScriptedVk(realOrSkip());
    }

    static VkApi realOrSkip() {
        return switch (Here.ANSWER) {
            case Here.Answer(VkApi real, String _) when real != null -> real;
            case Here.Answer(VkApi _, String reason) -> abort(reason);
        };
    }

    /** What this machine offers; asked once, because an instance takes long to make. */
    private static final class Here {

        record Answer(VkApi real, String reason) {}

        static final Answer ANSWER = look();

        private static Answer look() {
            try {
                VkApi real = VulkanLibrary.ofSystem().load();
                try (VulkanInstance instance = VulkanInstance.open(real, VulkanOptions.ofSystem())) {
                    instance.devices();
                }
                return new Answer(real, "");
            } catch (UnavailableException absent) {
                String reason = "needs a Vulkan device: " + absent.getMessage() + " ("
                        + absent.answer().hint() + ")";
                System.out.println(reason);
                return new Answer(null, reason);
            }
        }
    }

    /** Makes devices say something else of themselves. */
    ScriptedVk disguisedBy(UnaryOperator<RawDevice> change) {
        disguise = change;
        return this;
    }

    /** Makes every call of a name fail, or succeed again. */
    ScriptedVk answering(String name, int code) {
        answers.put(name, code);
        return this;
    }

    /** Gives the loader another version. */
    ScriptedVk ofVersion(int apiVersion) {
        version = apiVersion;
        return this;
    }

    /** Says what is free. */
    ScriptedVk telling(long[] budgets, long[] usages) {
        told = new long[][] {budgets, usages};
        return this;
    }

    /** Makes the driver want an allocation for each buffer, or not. */
    ScriptedVk preferringDedicated(boolean wanted) {
        dedicated = Optional.of(wanted);
        return this;
    }

    /** Hides every layer. */
    ScriptedVk hidingLayers() {
        hidesLayers = true;
        return this;
    }

    /** Gives this instance out instead of making one: making one takes long. */
    ScriptedVk lending(VkInstance instance) {
        lent = instance;
        return this;
    }

    VulkanBackend backend(VulkanOptions options) {
        return new VulkanBackend(() -> api, options);
    }

    VulkanBackend backend() {
        return backend(VulkanOptions.ofSystem());
    }

    VkApi api() {
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

    /** How many calls were made that have a code. */
    int calls() {
        return calls.get();
    }

    int calls(String name) {
        return Objects.requireNonNull(callsByName.get(name), name).get();
    }

    /** What is live, and what was done wrong. */
    synchronized List<String> faults() {
        List<String> all = new ArrayList<>(violations);
        live.forEach(what -> all.add("left: " + what));
        return all;
    }

    /** What instances were asked for. */
    synchronized List<VkApi.InstanceRequest> instances() {
        return List.copyOf(instances);
    }

    /** What memory was asked for. */
    synchronized List<VkApi.MemoryRequest> allocations() {
        return List.copyOf(allocations);
    }

    /** Waits for what is under way: what was only said to be lost still runs, and writes into memory of the test. */
    void drain() {
        List<VkDevice> open;
        synchronized (this) {
            open = List.copyOf(devices);
        }
        open.forEach(VK10::vkDeviceWaitIdle);
    }

    /** Ends what was left, so that the instance it was lent from can end. */
    synchronized void cleanUp() {
        if (live.stream().noneMatch(what -> what.startsWith("device "))) {
            return;
        }
        drain();
        for (VkDevice device : devices) {
            for (String what : live) {
                String[] parts = what.split(" ");
                long handle = Long.parseUnsignedLong(parts[1], 16);
                switch (parts[0]) {
                    case "buffer" -> real.destroyBuffer(device, handle);
                    case "memory" -> real.free(device, handle);
                    case "pool" -> real.destroyCommandPool(device, handle);
                    case "semaphore" -> real.destroySemaphore(device, handle);
                    case "fence" -> real.destroyFence(device, handle);
                    default -> {}
                }
            }
            real.destroyDevice(device);
        }
        devices.clear();
        live.clear();
    }

    private Object call(Method method, Object[] args) throws Throwable {
        String name = method.getName();
        if (method.getDeclaringClass() == Object.class) {
            return method.invoke(this, args);
        }
        callsByName.get(name).incrementAndGet();
        if (ENDS.containsKey(name)) {
            return end(method, args);
        }
        requireLive(name, args);
        if (method.getReturnType() == int.class) {
            int number = calls.incrementAndGet();
            Fault now = fault;
            if (now.hits(number)) {
                if (hit.isEmpty()) {
                    hit = name + " (call " + number + ")";
                }
                return fail(args, now.code());
            }
        }
        if (name.equals("createInstance") && lent != null) {
            ((Object[]) args[1])[0] = lent;
            begun(name, args);
            return VkApi.SUCCESS;
        }
        if (name.equals("getInstanceLayers") && hidesLayers) {
            return VkApi.SUCCESS;
        }
        int answer = answers.getOrDefault(name, VkApi.SUCCESS);
        if (answer != VkApi.SUCCESS) {
            return fail(args, answer);
        }
        if (name.equals("getInstanceVersion") && version != 0) {
            ((int[]) args[0])[0] = version;
            return VkApi.SUCCESS;
        }
        if (name.equals("getBudget") && told != null) {
            System.arraycopy(told[0], 0, (long[]) args[1], 0, told[0].length);
            System.arraycopy(told[1], 0, (long[]) args[2], 0, told[1].length);
            return null;
        }
        Object result = pass(method, args);
        if (result instanceof VkApi.Requirements needs && dedicated.isPresent()) {
            return new VkApi.Requirements(
                    needs.byteSize(), needs.byteAlignment(), needs.typeBits(), dedicated.orElseThrow());
        }
        if (Objects.equals(result, VkApi.SUCCESS)) {
            begun(name, args);
        }
        if (name.equals("describe") && Objects.equals(result, VkApi.SUCCESS)) {
            RawDevice[] described = (RawDevice[]) args[2];
            described[0] = disguise.apply(described[0]);
        }
        return result;
    }

    private Object pass(Method method, Object[] args) throws Throwable {
        try {
            return method.invoke(real, args);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private static int fail(Object[] args, int code) {
        for (Object argument : args) {
            switch (argument) {
                case int[] output when output.length == 1 -> output[0] = NONSENSE;
                case long[] output -> Arrays.fill(output, NONSENSE);
                case null, default -> {}
            }
        }
        return code;
    }

    private Object end(Method method, Object[] args) throws Throwable {
        if (!hit.isEmpty()) {
            drain();
        }
        synchronized (this) {
            String what = key(ENDS.get(method.getName()), args[args.length - 1]);
            if (!live.remove(what)) {
                violations.add(method.getName() + " of what was destroyed, or never made: " + what);
                return null;
            }
            if (args[0] instanceof VkDevice device && method.getName().equals("destroyDevice")) {
                devices.remove(device);
            }
        }
        return method.getName().equals("destroyInstance") && lent != null ? null : pass(method, args);
    }

    private synchronized void begun(String name, Object[] args) {
        String kind = BEGINNINGS.get(name);
        if (kind == null) {
            return;
        }
        Object made = args[args.length - 1];
        live.add(key(kind, made instanceof long[] handles ? (Object) handles[0] : ((Object[]) made)[0]));
        if (((args[args.length - 1]) instanceof VkDevice[] opened)) {
            devices.add(opened[0]);
        }
        if (args.length > 1 && args[1] instanceof VkApi.MemoryRequest request) {
            allocations.add(request);
        }
        if (args[0] instanceof VkApi.InstanceRequest request) {
            instances.add(request);
        }
    }

    private synchronized void requireLive(String name, Object[] args) {
        USES.getOrDefault(name, Map.of()).forEach((place, kind) -> {
            if (!live.contains(key(kind, args[place]))) {
                violations.add(name + " with what was destroyed: " + key(kind, args[place]));
            }
        });
        if (args != null && args.length > 1 && args[1] instanceof VkApi.Submission submission) {
            for (long semaphore : new long[] {submission.awaited(), submission.signal()}) {
                if (semaphore != 0 && !live.contains(key("semaphore", semaphore))) {
                    violations.add("submit with a semaphore that was destroyed");
                }
            }
        }
    }

    private static String key(String kind, Object handle) {
        return kind + " "
                + switch (handle) {
                    case VkInstance instance -> Long.toHexString(instance.address());
                    case VkDevice device -> Long.toHexString(device.address());
                    default -> Long.toHexString((long) handle);
                };
    }
}
