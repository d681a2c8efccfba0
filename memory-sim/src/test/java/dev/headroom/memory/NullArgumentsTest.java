package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.Arena;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.ToLongFunction;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** No public method takes null for an answer: each refuses it at once, whatever else it was given. */
class NullArgumentsTest {

    /** Called by Headroom, implemented by programs: nothing of ours to call. */
    private static final Set<Class<?>> CALLBACKS = Set.of(PressureListener.class);

    private final SimulatedBackend cuda = backend("cuda", card("card", 64 * MIB).hostVisibleMemory());
    private final SimulatedBackend host = SimulatedBackend.host(64 * MIB);
    private final GpuMemory memory = open(whole().toBuilder().tracking(true).build(), cuda, host);
    private final GpuDevice device = memory.devices().getFirst();
    private final GpuMemoryPool pool = memory.pool(device);
    private final Reservation reservation = memory.reserve(Map.of(device, MIB));
    private final DeviceBuffer buffer = pool.allocate(64);
    private final FallbackBuffer fallback = pool.allocateWithFallback(64);
    private final FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(256), 32);
    private final BufferStack stack = pool.stack(AllocationRequest.of(256));
    private final QueueFence fence = buffer.usedOn(cuda.device(0).newQueue());
    private final List<Object> samples = new ArrayList<>(List.of(
            memory,
            device,
            pool,
            reservation.pool(device),
            reservation,
            fallback,
            buffer,
            blocks,
            stack,
            fallback.slice(0, 32),
            fence,
            cuda.device(0).newQueue(),
            memory.explainSelection(1),
            memory.explainSelection(1).verdicts().getFirst(),
            memory.budget(device),
            memory.domain(device),
            memory.backends().getFirst(),
            memory.config(),
            memory.config().toBuilder(),
            GpuMemory.builder(),
            BackendPreference.parse("cuda:0"),
            PhysicalId.ofHost(),
            AllocationRequest.of(1),
            MemoryBudget.Source.UNKNOWN,
            pool.tracker().orElseThrow(),
            pool.tracker().orElseThrow().all().iterator().next(),
            pool.stats(),
            pool.report(),
            pool.report().room(),
            pool.report().idle(),
            pool.report().tracking(),
            pool.report().heaps().getFirst(),
            pool.report().heaps().getFirst().kind(),
            PoolProfile.blockClasses(1),
            new OutOfMemoryReport(
                    Instant.EPOCH,
                    1,
                    "thread",
                    AllocationRequest.of(1),
                    new DeviceOutOfMemoryException(
                            "text", new DeviceOutOfMemoryException.Figures("pool", 1, 1, 1, 1, 1, 1, true, 1)),
                    pool.report(),
                    List.of()),
            Path.of("folder"),
            new Properties(),
            buffer.id(),
            new BufferRange(buffer, 0),
            new DeviceOutOfMemoryException.Figures("pool", 1, 1, 1, 1, 1, 1, true, 1),
            (PressureListener) (of, pressure, wanted) -> 0,
            Optional.empty(),
            OptionalLong.empty(),
            OptionalInt.empty(),
            OptionalDouble.empty(),
            List.of(),
            Map.of(device, 1L),
            "text",
            Duration.ZERO,
            Arena.ofAuto().allocate(1),
            CompletableFuture.completedFuture(null),
            (LongSupplier) () -> 1,
            (ToLongFunction<Object>) of -> 1,
            GenericMemoryPool.of(memory.config(), (Object dropped) -> {}),
            new GenericMemoryPool.Pooled<>("pooled", 1),
            (Consumer<Object>) dropped -> {},
            TensorSpec.of(DataType.F32, 16),
            DeviceTensor.of(buffer, TensorSpec.of(DataType.F32, 16)),
            new byte[16],
            new short[16],
            new int[16],
            new long[16],
            new float[16],
            new double[16],
            new Throwable("sample"),
            new Properties(),
            host));

    @AfterEach
    void closeAll() {
        fallback.close();
        buffer.close();
        blocks.close();
        stack.close();
        reservation.close();
        memory.close();
        cuda.requireNoViolations();
    }

    @TestFactory
    List<DynamicTest> everyMethodRefusesNull() throws Exception {
        List<DynamicTest> tests = new ArrayList<>();
        for (Class<?> type : publicTypes()) {
            for (Executable call : calls(type)) {
                for (int position = 0; position < call.getParameterCount(); position++) {
                    if (!call.getParameterTypes()[position].isPrimitive()) {
                        int which = position;
                        tests.add(DynamicTest.dynamicTest(
                                call.toGenericString() + " argument " + position, () -> refusesNull(call, which)));
                    }
                }
            }
        }
        assertThat(tests).as("what was found").hasSizeGreaterThan(100);
        return tests;
    }

    private void refusesNull(Executable call, int position) throws ReflectiveOperationException {
        Object[] arguments = arguments(call);
        arguments[position] = null;
        boolean isStatic = call instanceof Constructor || Modifier.isStatic(call.getModifiers());
        List<Object> targets = isStatic ? List.of("none") : samplesOf(call.getDeclaringClass());
        assertThat(targets)
                .as("samples of %s, to be added above", call.getDeclaringClass())
                .isNotEmpty();
        for (Object target : targets) {
            assertThatNullPointerException()
                    .as("%s, argument %s, of a %s", call.toGenericString(), position, target.getClass())
                    .isThrownBy(() -> invoke(call, target, arguments));
        }
    }

    /** Arguments that are fine: for a record those of a sample, which agree with each other. */
    private Object[] arguments(Executable call) throws ReflectiveOperationException {
        Class<?>[] types = call.getParameterTypes();
        Object[] arguments = new Object[types.length];
        if (call instanceof Constructor && call.getDeclaringClass().isRecord()) {
            Object record = sample(call.getDeclaringClass());
            RecordComponent[] components = call.getDeclaringClass().getRecordComponents();
            for (int i = 0; i < arguments.length; i++) {
                arguments[i] = components[i].getAccessor().invoke(record);
            }
        } else {
            for (int i = 0; i < arguments.length; i++) {
                arguments[i] = sample(types[i]);
            }
        }
        return arguments;
    }

    private static void invoke(Executable call, Object target, Object[] arguments) throws Throwable {
        try {
            if (call instanceof Constructor<?> constructor) {
                constructor.newInstance(arguments);
            } else {
                Method method = (Method) call;
                method.invoke(Modifier.isStatic(method.getModifiers()) ? null : target, arguments);
            }
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private List<Object> samplesOf(Class<?> type) {
        if (type.isEnum()) {
            return List.of(type.getEnumConstants()[0]);
        }
        return samples.stream().filter(type::isInstance).toList();
    }

    private Object sample(Class<?> type) {
        if (type.isPrimitive()) {
            return switch (type.getName()) {
                case "boolean" -> false;
                case "byte" -> (byte) 1;
                case "int" -> 1;
                case "double" -> 0.5;
                default -> 1L;
            };
        }
        if (type == MemoryBuffer.class) {
            return fallback;
        }
        return samples.stream()
                .filter(type::isInstance)
                .findFirst()
                .or(() -> samplesOf(type).stream().findFirst())
                .orElseThrow(() -> new AssertionError("a sample of " + type + " is to be added above"));
    }

    /** What users of a type may call, apart from what is exempt for a reason. */
    private static List<Executable> calls(Class<?> type) {
        List<Executable> calls = new ArrayList<>();
        if (!Modifier.isAbstract(type.getModifiers())) {
            calls.addAll(List.of(type.getConstructors()));
        }
        calls.addAll(List.of(type.getDeclaredMethods()));
        calls.removeIf(call -> !Modifier.isPublic(call.getModifiers()) || call.isSynthetic());
        // null is a fair question there: nothing equals it.
        calls.removeIf(call -> call.getName().equals("equals") && call.getParameterCount() == 1);
        return calls;
    }

    private static List<Class<?>> publicTypes() throws Exception {
        Path home = Path.of(GpuMemory.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        List<Class<?>> types = new ArrayList<>();
        try (ModuleReader reader =
                ModuleFinder.of(home).findAll().iterator().next().open()) {
            for (String name : reader.list().sorted().toList()) {
                if (name.matches("dev/headroom/memory/[A-Z][\\w$]*\\.class")) {
                    Class<?> type = Class.forName(name.replace('/', '.').replaceAll("\\.class$", ""));
                    // A throwable takes what it is given: an exception on the way to an exception helps nobody.
                    if (isPublic(type) && !Throwable.class.isAssignableFrom(type) && !CALLBACKS.contains(type)) {
                        types.add(type);
                    }
                }
            }
        }
        return types;
    }

    private static boolean isPublic(Class<?> type) {
        return Modifier.isPublic(type.getModifiers())
                && (type.getDeclaringClass() == null || isPublic(type.getDeclaringClass()));
    }
}
