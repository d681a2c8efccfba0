package dev.headroom.memory.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The double of the CUDA driver in this process, and the way to set it up and look into it. There is one for the whole
 * process, as with a real driver; each test starts with {@link #machine}.
 *
 * <p>It has to be there before anything asks for the driver: a library of that name which is loaded already is found by
 * everybody, JCuda and {@link SymbolLookup#libraryLookup} alike.
 */
final class CudaDouble {

    /** For {@link #failAt}: every call of the driver, but none of the management library. */
    static final String ANY_CALL = "cu*";

    private static final long MIB = 1 << 20;

    private static CudaDouble loaded;

    private final SymbolLookup library;
    private final Map<Map.Entry<String, FunctionDescriptor>, MethodHandle> functions = new ConcurrentHashMap<>();

    /** How long a fault lasts. */
    enum Lasting {
        ONCE,
        FOR_EVER,
        /** Every later call in the same context fails as well. */
        IN_ITS_CONTEXT
    }

    /** When work in streams is done. */
    enum Work {
        AT_ONCE,
        BY_WORKER,
        /** Only by {@link #step}. */
        HELD
    }

    /** What can be set of a device; numbers and truth values alike. The order is that of the C source. */
    enum Property {
        TOTAL,
        TAKEN_BY_OTHERS,
        CONTEXT_BYTES,
        GRANULARITY,
        MAJOR,
        MINOR,
        DOMAIN,
        BUS,
        SLOT,
        INTEGRATED,
        SLICE,
        HIDDEN,
        WITHOUT_VIRTUAL_MEMORY,
        WITHOUT_POOLS,
        /** One bit for each device it may reach. */
        PEERS,
        /** The code every call in its context answers. */
        POISON,
        /** The piece of work, counted from now, that fails, and poisons the context. */
        FAIL_WORK,
        FAIL_WORK_CODE,
        /** Another number is another card: its UUID and PCI address change. */
        IDENTITY
    }

    private enum Setting {
        DRIVER_VERSION,
        HOST_LIMIT,
        INITIALISED
    }

    private enum View {
        LEDGER,
        MISUSES,
        CALLS,
        FIRED
    }

    private enum Figure {
        CALLS,
        FIRED,
        MISUSES,
        FOREIGN
    }

    /**
     * Something the driver has given and not got back.
     *
     * @param kind     what it is
     * @param handle   its handle or address
     * @param byteSize how large it is
     * @param device   the device it lives on, or -1
     * @param releases how often somebody tried to give it back and was refused
     * @param refused  whether that ever happened
     */
    record Live(String kind, long handle, long byteSize, int device, int releases, boolean refused) {}

    @SuppressWarnings("restricted") // the double is ours
    private CudaDouble(Path folder) {
        System.load(folder.resolve("libcuda.so.1").toString());
        System.load(folder.resolve("libnvidia-ml.so.1").toString());
        library = SymbolLookup.libraryLookup(folder.resolve("libcuda.so.1"), Arena.global());
    }

    /** The double, without any device. Skips the test where it cannot be compiled. */
    static CudaDouble empty() {
        CudaDouble found = open(DoubleLibrary.folder());
        found.invoke("double_clear");
        return found;
    }

    /** The double with devices of so many MiB each. */
    static CudaDouble machine(long... mebibytes) {
        CudaDouble found = empty();
        for (long size : mebibytes) {
            found.addDevice("Headroom Test Double", size * MIB);
        }
        return found;
    }

    /** The double from a certain folder: for processes of their own. */
    static synchronized CudaDouble open(Path folder) {
        if (loaded == null) {
            loaded = new CudaDouble(folder);
        }
        return loaded;
    }

    /** Adds a device and tells its index. */
    int addDevice(String name, long byteSize) {
        try (Arena arena = Arena.ofConfined()) {
            return (int) (long) invoke("double_add", arena.allocateFrom(name), byteSize);
        }
    }

    CudaDouble set(int device, Property property, long value) {
        invoke("double_set", device, property.ordinal(), value);
        return this;
    }

    CudaDouble set(int device, Property property, boolean value) {
        return set(device, property, value ? 1 : 0);
    }

    /** Lets all devices reach each other, or none. */
    CudaDouble peers(boolean allowed, int devices) {
        for (int i = 0; i < devices; i++) {
            set(i, Property.PEERS, allowed ? (1L << devices) - 1 - (1L << i) : 0);
        }
        return this;
    }

    /** Memory of a device that other processes hold. */
    void occupy(int device, long byteSize) {
        set(device, Property.TAKEN_BY_OTHERS, byteSize);
    }

    void driverVersion(int version) {
        invoke("double_set_driver", Setting.DRIVER_VERSION.ordinal(), (long) version);
    }

    /** How much memory of the host may be page-locked. */
    void hostLimit(long byteSize) {
        invoke("double_set_driver", Setting.HOST_LIMIT.ordinal(), byteSize);
    }

    /** As if {@code cuInit} had never been called in this process. */
    void uninitialise() {
        invoke("double_set_driver", Setting.INITIALISED.ordinal(), 0L);
    }

    /** Fails the nth call from now on whose name fits; a star at the end stands for anything. */
    void failAt(String pattern, long nth, int code, Lasting lasting) {
        try (Arena arena = Arena.ofConfined()) {
            if ((int) (long) invoke("double_fail", arena.allocateFrom(pattern), nth, code, lasting.ordinal()) != 0) {
                throw new IllegalStateException("too many faults");
            }
        }
    }

    /** Fails the nth call of the driver from now on. */
    void failAt(long nth, int code, boolean sticky) {
        failAt(ANY_CALL, nth, code, sticky ? Lasting.FOR_EVER : Lasting.ONCE);
    }

    void failNoMore() {
        invoke("double_fail_no_more");
    }

    /** What this thread asks of the driver in an action is not counted, and no plan makes it fail. */
    void unnoticed(Runnable action) {
        invoke("double_pause", 1);
        try {
            action.run();
        } finally {
            invoke("double_pause", 0);
        }
    }

    /** Fails the nth piece of work a device does from now on; its context is of no use any more. */
    void failWork(int device, long nth, int code) {
        set(device, Property.FAIL_WORK_CODE, code);
        set(device, Property.FAIL_WORK, nth);
    }

    /** Makes calls that fit take longer. */
    void delay(String pattern, long nanos) {
        try (Arena arena = Arena.ofConfined()) {
            invoke("double_delay", arena.allocateFrom(pattern), nanos);
        }
    }

    /** Makes calls that fit wait for {@link #openGate}. */
    void closeGate(String pattern) {
        try (Arena arena = Arena.ofConfined()) {
            invoke("double_gate", arena.allocateFrom(pattern));
        }
    }

    /** Waits until so many calls stand at the gate. */
    void awaitGate(int waiting) {
        invoke("double_await_gate", waiting);
    }

    void openGate() {
        closeGate("");
    }

    /** Says when work is done, and how long a thread of its own takes for each piece. */
    void work(Work when, long nanosEach) {
        invoke("double_work", when.ordinal(), nanosEach);
    }

    /** Does at most so many pieces of held work, and tells how many there were. */
    long step(long most) {
        return (long) invoke("double_step", most);
    }

    /** Destroys the context of a device, as if somebody else had done so. */
    void destroyContext(int device) {
        invoke("double_destroy_context", device);
    }

    /** Bytes of a device this process holds, its context included. */
    long used(int device) {
        return (long) invoke("double_used", device);
    }

    /** Calls so far, those of the management library included. */
    long calls() {
        return figure(Figure.CALLS);
    }

    /** Calls so far, by name. */
    Map<String, Long> callsByName() {
        return text(View.CALLS)
                .lines()
                .map(line -> line.split(" "))
                .collect(Collectors.toMap(words -> words[0], words -> Long.parseLong(words[1])));
    }

    /** How many planned faults have struck. */
    long fired() {
        return figure(Figure.FIRED);
    }

    /** The first of the calls that were made to fail, with their codes. */
    List<String> firedCalls() {
        return text(View.FIRED).lines().toList();
    }

    /** What a driver would have refused, or not survived; the first of them in words. */
    List<String> misuses() {
        return text(View.MISUSES).lines().toList();
    }

    /** Uses of something that belongs to another context than the current one. */
    long foreignUses() {
        return figure(Figure.FOREIGN);
    }

    /** How often the management library is open. */
    int managementUsers() {
        return (int) (long) invoke("double_nvml_users");
    }

    /** Everything that was given and not taken back, pools of the driver's own apart. */
    List<Live> ledger() {
        return text(View.LEDGER)
                .lines()
                .map(line -> line.split("\\|"))
                .map(words -> new Live(
                        words[0],
                        Long.parseUnsignedLong(words[1].substring(2), 16),
                        Long.parseLong(words[2]),
                        Integer.parseInt(words[3]),
                        Integer.parseInt(words[4]),
                        words[5].equals("1")))
                .toList();
    }

    /** Calls a function of the driver itself, past JCuda, and returns its code. */
    int call(String name, Object... arguments) {
        return (int) (long) invoke(name, arguments);
    }

    /** Where functions of the driver are. */
    SymbolLookup library() {
        return library;
    }

    private long figure(Figure which) {
        return (long) invoke("double_figure", which.ordinal());
    }

    private String text(View view) {
        try (Arena arena = Arena.ofConfined()) {
            long length = (long) invoke("double_text", view.ordinal(), MemorySegment.NULL, 0L);
            while (true) {
                MemorySegment room = arena.allocate(length + 1);
                long wanted = (long) invoke("double_text", view.ordinal(), room, room.byteSize());
                if (wanted < room.byteSize()) {
                    return room.getString(0);
                }
                length = wanted;
            }
        }
    }

    /** Calls a function of the double; the arguments tell what it takes. */
    @SuppressWarnings("restricted")
    private Object invoke(String name, Object... arguments) {
        FunctionDescriptor taking = FunctionDescriptor.of(
                ValueLayout.JAVA_LONG,
                Stream.of(arguments).map(CudaDouble::layoutOf).toArray(MemoryLayout[]::new));
        MethodHandle function = functions.computeIfAbsent(
                Map.entry(name, taking), _ -> Linker.nativeLinker().downcallHandle(library.findOrThrow(name), taking));
        try {
            return function.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static MemoryLayout layoutOf(Object argument) {
        return switch (argument) {
            case Integer _ -> ValueLayout.JAVA_INT;
            case Long _ -> ValueLayout.JAVA_LONG;
            case MemorySegment _ -> ValueLayout.ADDRESS;
            default -> throw new IllegalArgumentException(argument.toString());
        };
    }
}
