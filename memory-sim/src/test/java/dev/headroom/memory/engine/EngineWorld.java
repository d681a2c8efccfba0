package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Pools on simulated devices, and a model of what they must do. A step is one number that means something in any state, so
 * a failing trace can be cut down to the few steps that matter. Everything happens on one thread and on virtual time, so a
 * trace runs the same each time.
 */
final class EngineWorld {

    /** A broken invariant. */
    static final class Broken extends AssertionError {
        private static final long serialVersionUID = 1;

        Broken(String invariant, String what) {
            super(invariant + ": " + what);
        }
    }

    /** What a step can do, and how often it does. */
    private enum Op {
        ALLOCATE(300),
        CLOSE(230),
        WRITE(80),
        READ(80),
        FILL(30),
        COPY(40),
        WRITE_ASYNC(30),
        READ_ASYNC(30),
        COPY_ASYNC(20),
        LAUNCH(60),
        PASS_TIME(30),
        STEP_PUMP(20),
        SHRINK(4),
        OCCUPY(10),
        RESERVE(4),
        END_RESERVATION(4),
        MAP(15),
        UNMAP(20),
        PIN(8),
        UNPIN(10),
        MOVE(12),
        MISUSE(20),
        ADD_STAGE(6),
        END_STAGE(6),
        CLOSE_QUEUE(3),
        LOOK(5),
        REOPEN(1);

        private static final Op[] LOTS = lots();

        private final int weight;

        Op(int weight) {
            this.weight = weight;
        }

        private static Op[] lots() {
            List<Op> lots = new ArrayList<>();
            for (Op op : values()) {
                for (int i = 0; i < op.weight; i++) {
                    lots.add(op);
                }
            }
            return lots.toArray(Op[]::new);
        }

        static Op draw(SplittableRandom random) {
            return LOTS[random.nextInt(LOTS.length)];
        }
    }

    /** A pool, and what the model counts of it. */
    private static final class Place {
        final SimulatedDevice device;
        final SimulatedBackend backend;
        final MemoryConfig config;
        final List<SimulatedQueue> queues = new ArrayList<>();
        /** Memory that somebody has or had, by address. */
        final TreeMap<Long, ModelBuffer> spans = new TreeMap<>();

        PoolEngine pool;
        long open;
        long served;
        long fallbacks;

        Place(SimulatedBackend backend, SimulatedDevice device, MemoryConfig config, PoolEngine pool) {
            this.backend = backend;
            this.device = device;
            this.config = config;
            this.pool = pool;
        }
    }

    /** An asynchronous call whose end has not been seen. */
    private record Transfer(
            CompletableFuture<Void> future, MemorySegment host, byte @Nullable [] expected, String what) {}

    private static final Duration LONG = Duration.ofSeconds(1);
    private static final int RING_SLOTS = 4;
    /** One slot of the ring stays free for calls that wait. */
    private static final int HOST_SLOTS = RING_SLOTS - 1;

    private static final int QUEUES = 3;
    private static final long LARGEST_FILL = 64 << 10;
    private static final int FORGOTTEN_FENCES = 8;
    private static final int CLEAR_LIMIT = 64 << 10;

    private final WorldPlan plan;
    private final Arena arena = Arena.ofShared();
    private final VirtualClock clock;
    private final PhysicalMemory card;
    private final PhysicalMemory host;
    private final long hostHeldBefore = Domains.host().figures().heldBytes();
    private final List<SimulatedBackend> backends = new ArrayList<>();
    private final List<Place> places = new ArrayList<>();
    private final Map<PoolEngine, Place> placeOf = new HashMap<>();
    private final List<ModelBuffer> open = new ArrayList<>();
    /** Closed, but held by a view or a pin. */
    private final List<ModelBuffer> lingering = new ArrayList<>();

    private final List<LedgerReservation> reservations = new ArrayList<>();
    private final Map<LedgerReservation, Place> reservedAt = new HashMap<>();
    private final List<Transfer> transfers = new ArrayList<>();
    private final List<MemorySegment> idleSegments = new ArrayList<>();
    private final List<CompletableFuture<Void>> stages = new ArrayList<>();
    private @Nullable List<String> story;
    private @Nullable Broken seenInKernel;
    private boolean listening = true;
    private int numbers;

    EngineWorld(WorldPlan plan) {
        this.plan = plan;
        VirtualClock automatic = VirtualClock.automatic();
        clock = plan.startNanos() == 0 ? automatic : automatic.startingAt(plan.startNanos());
        card = PhysicalMemory.of(plan.totalBytes());
        host = PhysicalMemory.host(plan.hostBytes());
        for (int i = 0; i < HOST_SLOTS; i++) {
            idleSegments.add(arena.allocate(ModelBuffer.WINDOW));
        }
        boolean two = plan.sibling() == WorldPlan.Sibling.SAME_BACKEND;
        SimulatedBackend.Builder first =
                SimulatedBackend.builder("sim").clock(clock).device(describe("card"));
        backends.add((two ? first.device(describe("card again")) : first).build());
        if (plan.sibling() == WorldPlan.Sibling.OTHER_BACKEND) {
            backends.add(SimulatedBackend.builder("other")
                    .clock(clock)
                    .device(describe("card"))
                    .build());
        }
        if (plan.fallback()) {
            backends.add(SimulatedBackend.builder("cpu")
                    .clock(clock)
                    .device(SimulatedDevice.host(plan.hostBytes())
                            .memory(host)
                            .hostMemory(host)
                            .baseAlignment(plan.baseAlignment())
                            .granularity(plan.granularity()))
                    .build());
        }
        for (SimulatedBackend backend : backends) {
            for (SimulatedDevice device : backend.devices()) {
                MemoryConfig config = backend.name().equals("cpu")
                        ? plan.hostConfig()
                        : places.isEmpty() ? plan.config() : plan.siblingConfig();
                Place place = new Place(backend, device, config, openPool(backend, device, config));
                places.add(place);
                opened(place);
            }
        }
    }

    /** Tells from now on what happens. */
    void tellTo(List<String> words) {
        story = words;
    }

    /** Does one step and checks what must hold after every step. */
    void step(long number) {
        SplittableRandom random = new SplittableRandom(number);
        boolean interrupted = random.nextInt(200) == 0;
        if (interrupted) {
            tell("interrupted");
            Thread.currentThread().interrupt();
        }
        boolean still;
        try {
            act(random);
        } finally {
            still = Thread.interrupted();
        }
        require("interrupt", still == interrupted, () -> "the flag was " + interrupted + " and is " + still);
        checkCheaply();
    }

    private void act(SplittableRandom random) {
        Op op = Op.draw(random);
        if (op == Op.ALLOCATE && open.size() >= plan.maxLive()) {
            op = Op.CLOSE;
        }
        switch (op) {
            case ALLOCATE -> allocate(random);
            case CLOSE -> closeOne(random);
            case WRITE -> write(random);
            case READ -> read(random);
            case FILL -> fill(random);
            case COPY -> copy(random, false);
            case WRITE_ASYNC -> writeAsync(random);
            case READ_ASYNC -> readAsync(random);
            case COPY_ASYNC -> copy(random, true);
            case LAUNCH -> launch(random);
            case PASS_TIME -> {
                Duration time = Duration.ofNanos(random.nextLong(5_000_000));
                tell("pass %s", time);
                clock.advance(time);
            }
            case STEP_PUMP -> pumpAll();
            case SHRINK -> shrink(pick(random, places));
            case OCCUPY -> occupy(random);
            case RESERVE -> reserve(random);
            case END_RESERVATION -> endReservation(random);
            case MAP -> map(random);
            case UNMAP -> unmap(random);
            case PIN -> pin(random);
            case UNPIN -> unpin(random);
            case MOVE -> move(random);
            case MISUSE -> misuse(random);
            case ADD_STAGE -> addStage(random);
            case END_STAGE -> endStage(random);
            case CLOSE_QUEUE -> closeQueue(random);
            case LOOK -> look(random);
            case REOPEN -> reopen(random);
        }
    }

    /** Ends everything in some order, and checks that nothing is left. */
    void close(SplittableRandom random) {
        while (!open.isEmpty() && random.nextInt(50) != 0) {
            closeOne(random);
        }
        settle(); // leaks are legal, but what holds memory in place has to go first
        endStages();
        reservations.forEach(LedgerReservation::close);
        reservations.clear();
        for (int i = places.size() - 1; i >= 0; i--) {
            closePlace(places.get(i));
        }
        backends.forEach(SimulatedBackend::close);
        require("I10", card.usedBytes() == 0, () -> card.usedBytes() + " bytes of the card are still taken");
        require("I10", host.usedBytes() == 0, () -> host.usedBytes() + " bytes of the host are still taken");
        checkViolations();
        arena.close();
    }

    /** Lets go of a world in which something is broken, as far as that works: the next one shares the host's ledger. */
    void abandon() {
        Thread.interrupted();
        List<ModelBuffer> all = new ArrayList<>(open);
        all.addAll(lingering);
        for (ModelBuffer buffer : all) {
            buffer.pins.forEach(PinnedRange::close);
            ignoreFailure(() -> Optional.ofNullable(buffer.view).ifPresent(HostView::close));
        }
        endStages();
        ignoreFailure(clock::runUntilIdle);
        reservations.forEach(LedgerReservation::close);
        places.forEach(place -> ignoreFailure(place.pool::close));
        DomainLedger ledger = Domains.host();
        ledger.release(ledger.figures().heldBytes() - hostHeldBefore);
    }

    private static void ignoreFailure(Runnable last) {
        try {
            last.run();
        } catch (RuntimeException | Error e) {
            // the first failure is the one that counts
        }
    }

    // Steps.

    private void allocate(SplittableRandom random) {
        Place place = random.nextInt(3) == 0 ? pick(random, places) : places.getFirst();
        int bits = random.nextInt(plan.largestBits() + 1);
        long size = bits == 0 ? 1 : random.nextLong(1L << bits - 1, (1L << bits) + 1);
        AllocationRequest request = AllocationRequest.of(size).aligned(alignment(random));
        if (random.nextInt(4) == 0) {
            request = request.ofKind(MemoryKind.values()[random.nextInt(4)]);
        }
        if (size <= CLEAR_LIMIT && random.nextInt(8) == 0) {
            request = request.zeroed();
        }
        if (random.nextInt(8) == 0) {
            request = request.tagged("tag");
        }
        boolean withFallback = random.nextInt(6) == 0;
        LedgerReservation reservation = reservations.isEmpty() || random.nextInt(3) != 0
                ? null
                : reservations.get(random.nextInt(reservations.size()));
        if (reservation != null) {
            place = Objects.requireNonNull(reservedAt.get(reservation));
        }
        ModelBuffer buffer = tryAllocate(place, request, withFallback, reservation);
        if (buffer != null && random.nextInt(4) != 0) {
            for (int window = 0; window < buffer.windows(); window++) {
                writeWindow(buffer, window, random);
            }
        }
    }

    private @Nullable ModelBuffer tryAllocate(
            Place place, AllocationRequest request, boolean withFallback, @Nullable LedgerReservation reservation) {
        tell(
                "allocate %d bytes at %d of %s in %s%s%s%s",
                request.byteSize(),
                request.byteAlignment(),
                request.kind().label(),
                place.pool,
                request.zero() ? ", zeroed" : "",
                withFallback ? ", or fallback" : "",
                reservation == null ? "" : ", reserved");
        GpuMemoryPool pool = reservation == null ? place.pool : reservation.pool(place.pool.device());
        MemoryStats before = place.pool.stats();
        long heldBefore = card.usedBytes();
        long claimBefore = reservation == null ? 0 : reservation.remainingBytes(place.pool.device());
        try {
            MemoryBuffer handle = withFallback ? pool.allocateWithFallback(request) : pool.allocate(request);
            EngineBuffer core = coreOf(handle);
            Place where = Objects.requireNonNull(placeOf.get((PoolEngine) core.pool()));
            if (!where.equals(place)) {
                place.fallbacks++;
                require("fallback", withFallback, () -> "a plain request was served elsewhere");
                if (!possiblyTooLarge(place, request)) {
                    requireRefusal(place, request);
                }
            }
            if (where.equals(place) && card.usedBytes() > heldBefore) {
                checkGrowth(place, request, reservation, claimBefore);
            }
            return adopt(where, handle, core, request);
        } catch (UnsupportedKindException e) {
            require(
                    "kinds",
                    !has(place, request.kind()),
                    () -> "refused although the device has it: " + e.getMessage());
        } catch (AllocationTooLargeException e) {
            require("too large", possiblyTooLarge(place, request), () -> e.getMessage());
            checkUnchanged(before, place.pool.stats());
        } catch (DeviceOutOfMemoryException e) {
            checkUnchanged(before, place.pool.stats());
            tell("refused: %s", e.getMessage());
            requireRefusal(place, request);
        }
        return null;
    }

    private ModelBuffer adopt(Place place, MemoryBuffer handle, EngineBuffer core, AllocationRequest request) {
        place.open++;
        place.served++;
        long address = SimulatedDevice.addressOf(core.block()) + core.byteOffset();
        ModelBuffer buffer = new ModelBuffer(++numbers, place.pool, handle, core, request.byteAlignment(), address);
        tell("  is %s at %s", buffer, address);
        require(
                "I2",
                address % request.byteAlignment() == 0,
                () -> buffer + " lies at " + address + ", asked was alignment " + request.byteAlignment());
        require("size", core.byteSize() == request.byteSize(), () -> "asked " + request + ", got " + buffer);
        claimSpan(place, buffer);
        if (request.zero()) {
            for (int window = 0; window < buffer.windows(); window++) {
                buffer.contents[window] = new byte[buffer.windowSize()];
            }
        }
        open.add(buffer);
        return buffer;
    }

    /** I1 and I5: nobody else is in the way, and whoever was has ended. */
    private void claimSpan(Place place, ModelBuffer buffer) {
        long end = buffer.address + granted(buffer);
        Long from = place.spans.floorKey(buffer.address);
        for (Long at = from != null ? from : place.spans.ceilingKey(buffer.address);
                at != null && at < end;
                at = place.spans.higherKey(at)) {
            ModelBuffer other = Objects.requireNonNull(place.spans.get(at));
            if (other.address + granted(other) > buffer.address) {
                require("I1", other.closed && !other.held(), () -> buffer + " overlaps " + other);
                require(
                        "I5",
                        other.usesEnded(),
                        () -> buffer + " was given the memory of " + other + " while it was in use");
                place.spans.remove(at);
            }
        }
        place.spans.put(buffer.address, buffer);
    }

    private static long granted(ModelBuffer buffer) {
        return GrowthPolicy.roundUp(buffer.byteSize(), Tlsf.DEFAULT_GRANULE);
    }

    private void closeOne(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, any -> true);
        if (buffer != null) {
            closeBuffer(buffer, random.nextInt(10) == 0);
        }
    }

    private void closeBuffer(ModelBuffer buffer, boolean twice) {
        tell("close %s%s", buffer, twice ? " twice" : "");
        buffer.handle.close();
        if (twice) {
            buffer.handle.close();
            buffer.core.close();
        }
        open.remove(buffer);
        closed(buffer);
    }

    private void closed(ModelBuffer buffer) {
        buffer.closed = true;
        if (buffer.held()) {
            lingering.add(buffer);
        } else {
            released(buffer);
        }
    }

    private void released(ModelBuffer buffer) {
        Place place = placeOf.get(buffer.pool);
        if (place == null) {
            return; // its pool was closed
        }
        place.open--;
        if (buffer.usesEnded()) {
            place.spans.remove(buffer.address, buffer);
        }
    }

    private void write(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, EngineWorld::plain);
        if (buffer != null) {
            writeWindow(buffer, random.nextInt(buffer.windows()), random);
        }
    }

    private void writeWindow(ModelBuffer buffer, int window, SplittableRandom random) {
        int size = buffer.contents[window] == null ? buffer.windowSize() : 1 + random.nextInt(buffer.windowSize());
        int from = random.nextInt(buffer.windowSize() - size + 1);
        byte[] bytes = buffer.nextPattern(size);
        boolean nativeSource = random.nextBoolean();
        boolean sliced = random.nextInt(8) == 0;
        long at = buffer.windowOffset(window) + from;
        tell(
                "write %d bytes at %d of %s%s%s",
                size, at, buffer, nativeSource ? " from native memory" : "", sliced ? " in a slice" : "");
        makeRoomInRing();
        attempt(() -> {
            try (Arena local = Arena.ofConfined()) {
                MemorySegment source = MemorySegment.ofArray(bytes);
                if (nativeSource) {
                    source = local.allocate(size).copyFrom(source);
                }
                if (sliced) {
                    buffer.handle.slice(at, size).write(0, source);
                } else {
                    buffer.handle.write(at, source);
                }
            }
            buffer.put(window, from, bytes);
        });
    }

    private void read(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, EngineWorld::plain);
        if (buffer != null) {
            verify(buffer, random.nextInt(buffer.windows()), random.nextBoolean(), random.nextInt(8) == 0);
        }
    }

    private void verify(ModelBuffer buffer, int window, boolean nativeTarget, boolean sliced) {
        long at = buffer.windowOffset(window);
        tell(
                "read %d bytes at %d of %s%s%s",
                buffer.windowSize(), at, buffer, nativeTarget ? " to native memory" : "", sliced ? " in a slice" : "");
        makeRoomInRing();
        attempt(() -> {
            byte[] bytes = new byte[buffer.windowSize()];
            try (Arena local = Arena.ofConfined()) {
                MemorySegment target = nativeTarget ? local.allocate(bytes.length) : MemorySegment.ofArray(bytes);
                if (sliced) {
                    buffer.handle.slice(at, bytes.length).read(0, target);
                } else {
                    buffer.handle.read(at, target);
                }
                MemorySegment.copy(target, ValueLayout.JAVA_BYTE, 0, bytes, 0, bytes.length);
            }
            requireContents(buffer.contents[window], bytes, buffer.toString());
        });
    }

    private void fill(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, EngineWorld::plain);
        if (buffer == null) {
            return;
        }
        byte value = (byte) random.nextInt();
        boolean whole = buffer.byteSize() <= LARGEST_FILL && random.nextInt(4) == 0;
        int window = random.nextInt(buffer.windows());
        long at = whole ? 0 : buffer.windowOffset(window);
        long size = whole ? buffer.byteSize() : buffer.windowSize();
        tell("fill %d bytes at %d of %s", size, at, buffer);
        buffer.handle.fill(at, size, value);
        byte[] bytes = new byte[buffer.windowSize()];
        Arrays.fill(bytes, value);
        for (int i = 0; i < buffer.windows(); i++) {
            if (whole || i == window) {
                buffer.put(i, 0, bytes);
            }
        }
    }

    private void copy(SplittableRandom random, boolean async) {
        ModelBuffer source = pickOpen(random, EngineWorld::plain);
        ModelBuffer target = pickOpen(random, EngineWorld::plain);
        if (source == null || target == null || (source.equals(target) && source.windows() < 2)) {
            return;
        }
        int from = random.nextInt(source.windows());
        int to = source.equals(target) ? 1 - from : random.nextInt(target.windows());
        int size = Math.min(source.windowSize(), target.windowSize());
        tell(
                "copy %d bytes at %d of %s to %d of %s%s",
                size,
                source.windowOffset(from),
                source,
                target.windowOffset(to),
                target,
                async ? ", asynchronously" : "");
        makeRoomInRing();
        attempt(() -> {
            if (async) {
                CompletableFuture<Void> end = source.handle.copyToAsync(
                        source.windowOffset(from), target.handle, target.windowOffset(to), size);
                transfers.add(new Transfer(end, MemorySegment.NULL, null, "copy"));
            } else {
                source.handle.copyTo(source.windowOffset(from), target.handle, target.windowOffset(to), size);
            }
            byte[] bytes = source.contents[from];
            if (bytes == null) {
                target.contents[to] = null;
            } else {
                target.put(to, 0, Arrays.copyOf(bytes, size));
            }
        });
    }

    private void writeAsync(SplittableRandom random) {
        boolean burst = random.nextInt(8) == 0; // more at once than the ring has slots
        for (int i = 0; i < (burst ? RING_SLOTS + 2 : 1); i++) {
            ModelBuffer buffer = pickOpen(random, EngineWorld::plain);
            if (buffer != null) {
                boolean staged = burst || random.nextBoolean();
                writeAsync(buffer, random.nextInt(buffer.windows()), staged ? KeepAlive.STAGED : KeepAlive.CALLER);
            }
        }
    }

    private void writeAsync(ModelBuffer buffer, int window, KeepAlive keepAlive) {
        byte[] bytes = buffer.nextPattern(buffer.windowSize());
        tell("write all of window %d of %s asynchronously, %s", window, buffer, keepAlive);
        if (keepAlive == KeepAlive.STAGED) {
            attempt(() -> {
                byte[] source = bytes.clone();
                CompletableFuture<Void> end =
                        buffer.handle.writeAsync(buffer.windowOffset(window), MemorySegment.ofArray(source));
                Arrays.fill(source, (byte) 0x55); // it was copied before the call returned
                transfers.add(new Transfer(end, MemorySegment.NULL, null, "write"));
                buffer.put(window, 0, bytes);
            });
            return;
        }
        makeRoomInRing();
        MemorySegment segment = idleSegments.removeLast();
        MemorySegment source = segment.asSlice(0, bytes.length).copyFrom(MemorySegment.ofArray(bytes));
        boolean done = attempt(() -> {
            CompletableFuture<Void> end = buffer.handle.writeAsync(buffer.windowOffset(window), source, keepAlive);
            transfers.add(new Transfer(end, segment, null, "write"));
            buffer.put(window, 0, bytes);
        });
        if (!done) {
            idleSegments.add(segment);
        }
    }

    private void readAsync(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, EngineWorld::plain);
        if (buffer == null) {
            return;
        }
        makeRoomInRing();
        int window = random.nextInt(buffer.windows());
        tell("read all of window %d of %s asynchronously", window, buffer);
        MemorySegment segment = idleSegments.removeLast();
        boolean done = attempt(() -> {
            CompletableFuture<Void> end =
                    buffer.handle.readAsync(buffer.windowOffset(window), segment.asSlice(0, buffer.windowSize()));
            byte[] expected = buffer.contents[window];
            transfers.add(new Transfer(end, segment, expected == null ? null : expected.clone(), buffer.toString()));
        });
        if (!done) {
            idleSegments.add(segment);
        }
    }

    /** A kernel of the user's on a queue of the user's, declared as it must be. */
    private void launch(SplittableRandom random) {
        ModelBuffer written = pickOpen(random, EngineWorld::plain);
        if (written == null) {
            return;
        }
        Place place = Objects.requireNonNull(placeOf.get(written.pool));
        ModelBuffer read = pickOpen(random, b -> plain(b) && b.pool == written.pool && b != written);
        SimulatedQueue queue = place.queues.get(random.nextInt(QUEUES));
        int window = random.nextInt(written.windows());
        int readWindow = read == null ? 0 : random.nextInt(read.windows());
        Duration time =
                Duration.ofNanos(random.nextInt(10) == 0 ? random.nextLong(50_000_000) : random.nextLong(300_000));
        tell("launch a kernel of %s on %s, reading %s", time, written, read);
        byte[] before = written.contents[window];
        byte[] operand = read == null ? null : read.contents[readWindow];
        byte[] after = written.nextPattern(written.windowSize());
        boolean[] ended = {false};
        written.core.waitOn(queue);
        if (read != null) {
            read.core.waitOn(queue);
        }
        try (PinnedRange range = written.core.pin();
                PinnedRange other = read == null ? written.core.pin() : read.core.pin()) {
            SimulatedKernel kernel = SimulatedKernel.lasting(time)
                    .writing(range.block(), range.byteOffset() + written.windowOffset(window), written.windowSize());
            if (read != null) {
                kernel = kernel.reading(
                        other.block(), other.byteOffset() + read.windowOffset(readWindow), read.windowSize());
            }
            queue.submit(kernel.doing(operands -> {
                ended[0] = true;
                compareInKernel(before, operands.getFirst(), written);
                if (read != null) {
                    compareInKernel(operand, operands.get(1), read);
                }
                operands.getFirst().copyFrom(MemorySegment.ofArray(after));
            }));
        }
        BooleanSupplier use = () -> ended[0];
        written.core.usedOn(queue);
        written.uses.add(use);
        written.put(window, 0, after);
        if (read != null) {
            read.core.usedOn(queue);
            read.uses.add(use);
        }
        if (random.nextInt(3) == 0) {
            closeBuffer(written, false);
        }
    }

    private void compareInKernel(byte @Nullable [] expected, MemorySegment operand, ModelBuffer buffer) {
        if (seenInKernel == null) {
            try {
                requireContents(expected, operand.toArray(ValueLayout.JAVA_BYTE), "a kernel saw " + buffer);
            } catch (Broken e) {
                seenInKernel = e; // a clock must not throw
            }
        }
    }

    private void shrink(Place place) {
        tell("shrink %s", place.pool);
        long before = place.pool.stats().totalAllocatedBytes();
        long gone = place.pool.shrink();
        long after = place.pool.stats().totalAllocatedBytes();
        require(
                "shrink",
                before - after == gone,
                () -> "%d bytes became %d, said was %d".formatted(before, after, gone));
        for (Heap heap : place.pool.heaps().all()) {
            require(
                    "shrink",
                    heap.blocks().idleBytes() == 0,
                    () -> heap.blocks().idleBytes() + " bytes are still idle");
        }
    }

    private void occupy(SplittableRandom random) {
        PhysicalMemory memory = random.nextInt(4) == 0 ? host : card;
        long bytes = random.nextInt(3) == 0 ? 0 : random.nextLong(memory.totalBytes() / 2);
        tell("another process holds %s bytes of %s", bytes, memory.id());
        memory.occupy(bytes);
    }

    private void reserve(SplittableRandom random) {
        if (reservations.size() >= 4) {
            return;
        }
        Place place = pick(random, places);
        long bytes = random.nextLong(plan.totalBytes() / 3) + 1;
        tell("reserve %s bytes in %s", bytes, place.pool);
        boolean quiet = othersAreQuiet(place);
        try {
            LedgerReservation reservation = LedgerReservation.of(Map.of(place.pool, bytes));
            require(
                    "reserve",
                    reservation.remainingBytes(place.pool.device()) == bytes,
                    () -> "something is missing from " + bytes);
            reservations.add(reservation);
            reservedAt.put(reservation, place);
            checkMargins(place, "a reservation of " + bytes);
        } catch (DeviceOutOfMemoryException e) {
            if (quiet && othersAreQuiet(place)) {
                places.forEach(any -> any.pool.shrink());
                long usable = place.pool.usableBytes();
                require("I6", bytes > usable, () -> bytes + " bytes refused, although " + usable + " are usable");
            }
        }
    }

    private void endReservation(SplittableRandom random) {
        if (!reservations.isEmpty()) {
            LedgerReservation reservation = reservations.remove(random.nextInt(reservations.size()));
            tell("end a reservation in %s", reservation.devices());
            reservation.close();
            if (random.nextBoolean()) {
                reservation.close();
            }
            reservedAt.remove(reservation);
        }
    }

    private void map(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, b -> plain(b) && b.core.hostVisible() && b.byteSize() <= LARGEST_FILL);
        if (buffer == null) {
            ModelBuffer hidden = pickOpen(random, b -> !b.core.hostVisible());
            if (hidden != null) {
                tell("map %s, which cannot be", hidden);
                requireThrown(UnsupportedKindException.class, hidden.core::map);
            }
            return;
        }
        tell("map %s", buffer);
        buffer.view = buffer.core.map();
    }

    private void unmap(SplittableRandom random) {
        List<ModelBuffer> viewed = new ArrayList<>(open);
        viewed.addAll(lingering);
        viewed.removeIf(b -> b.view == null);
        if (!viewed.isEmpty()) {
            unmap(viewed.get(random.nextInt(viewed.size())));
        }
    }

    private void unmap(ModelBuffer buffer) {
        tell("write through the view of %s and close it", buffer);
        for (int window = 0; window < buffer.windows(); window++) {
            MemorySegment bytes = Objects.requireNonNull(buffer.view)
                    .segment()
                    .asSlice(buffer.windowOffset(window), buffer.windowSize());
            requireContents(buffer.contents[window], bytes.toArray(ValueLayout.JAVA_BYTE), "a view of " + buffer);
            byte[] next = buffer.nextPattern(buffer.windowSize());
            bytes.copyFrom(MemorySegment.ofArray(next));
            buffer.put(window, 0, next);
        }
        Objects.requireNonNull(buffer.view).close();
        Objects.requireNonNull(buffer.view).close();
        buffer.view = null;
        letGo(buffer);
    }

    private void pin(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, any -> true);
        if (buffer != null) {
            tell("pin %s", buffer);
            buffer.pins.add(buffer.core.pin());
        }
    }

    private void unpin(SplittableRandom random) {
        List<ModelBuffer> pinned = new ArrayList<>(open);
        pinned.addAll(lingering);
        pinned.removeIf(b -> b.pins.isEmpty());
        if (!pinned.isEmpty()) {
            unpin(pinned.get(random.nextInt(pinned.size())));
        }
    }

    private void unpin(ModelBuffer buffer) {
        tell("unpin %s", buffer);
        PinnedRange pin = buffer.pins.removeLast();
        require(
                "pin",
                SimulatedDevice.addressOf(pin.block()) + pin.byteOffset() == buffer.address
                        && pin.byteSize() == buffer.byteSize(),
                () -> buffer + " moved while it was pinned");
        pin.close();
        pin.close();
        letGo(buffer);
    }

    private void letGo(ModelBuffer buffer) {
        if (buffer.closed && !buffer.held()) {
            lingering.remove(buffer);
            released(buffer);
        }
    }

    private void move(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, b -> b.byteSize() <= LARGEST_FILL);
        if (buffer == null) {
            return;
        }
        Place target = pick(random, places);
        tell("move %s to %s", buffer, target.pool);
        makeRoomInRing();
        boolean mayRefuse = buffer.held() || !buffer.usesEnded() || !transfers.isEmpty();
        AllocationRequest request = AllocationRequest.of(buffer.byteSize()).ofKind(buffer.kind);
        try {
            MemoryBuffer handle = buffer.handle;
            if (handle instanceof FallbackBuffer fallback) {
                fallback.moveTo(target.pool);
            } else {
                handle = buffer.core.moveTo(target.pool);
            }
            require("move", !buffer.held() && buffer.usesEnded(), () -> buffer + " was in use");
            open.remove(buffer);
            closed(buffer);
            ModelBuffer moved = adopt(target, handle, coreOf(handle), request);
            System.arraycopy(buffer.contents, 0, moved.contents, 0, buffer.windows());
        } catch (UnsupportedKindException e) {
            require("move", !has(target, buffer.kind), () -> e.getMessage());
        } catch (DeviceOutOfMemoryException e) {
            tell("refused: %s", e.getMessage());
        } catch (AllocationTooLargeException e) {
            require("too large", possiblyTooLarge(target, request), () -> e.getMessage());
        } catch (IllegalStateException e) {
            require("move", mayRefuse, () -> e.getMessage());
        }
    }

    /** Calls that must be refused, and must leave everything as it was. */
    private void misuse(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, any -> true);
        if (buffer == null) {
            return;
        }
        MemoryStats before = buffer.pool.stats();
        MemorySegment bytes = MemorySegment.ofArray(new byte[2]);
        long size = buffer.byteSize();
        switch (random.nextInt(8)) {
            case 0 -> {
                tell("write beyond the end of %s", buffer);
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.write(size - 1, bytes));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.write(Long.MAX_VALUE, bytes));
            }
            case 1 -> {
                tell("read before the beginning of %s", buffer);
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.read(-1, bytes));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.readAsync(size - 1, bytes));
            }
            case 2 -> {
                tell("fill beyond the end of %s", buffer);
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.fill(0, size + 1, (byte) 0));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.fill(1, Long.MAX_VALUE, (byte) 0));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.fill(0, -1, (byte) 0));
            }
            case 3 -> {
                tell("copy %s onto itself", buffer);
                requireThrown(IllegalArgumentException.class, () -> buffer.handle.copyTo(0, buffer.handle, 0, size));
            }
            case 4 -> {
                tell("ask for nonsense");
                requireThrown(IllegalArgumentException.class, () -> buffer.pool.allocate(0));
                requireThrown(IllegalArgumentException.class, () -> buffer.pool.allocate(-size));
                requireThrown(
                        IllegalArgumentException.class,
                        () -> buffer.pool.allocate(AllocationRequest.of(size).aligned(3)));
            }
            case 5 -> {
                tell("ask for everything");
                requireThrown(AllocationTooLargeException.class, () -> buffer.pool.allocate(Long.MAX_VALUE));
                requireThrown(AllocationTooLargeException.class, () -> buffer.pool.allocate(1L << 40));
            }
            case 6 -> {
                tell("let %s and a foreign queue wait for each other", buffer);
                requireThrown(IllegalArgumentException.class, () -> buffer.core.waitOn(() -> "elsewhere"));
                requireThrown(IllegalArgumentException.class, () -> buffer.core.usedOn(() -> "elsewhere"));
            }
            default -> {
                if (buffer.held()) {
                    return;
                }
                closeBuffer(buffer, true);
                tell("use %s after that", buffer);
                before = buffer.pool.stats();
                requireThrown(BufferClosedException.class, () -> buffer.handle.write(0, bytes.asSlice(1)));
                requireThrown(BufferClosedException.class, () -> buffer.core.read(0, bytes.asSlice(1)));
                requireThrown(BufferClosedException.class, () -> buffer.core.writeAsync(0, bytes.asSlice(1)));
                requireThrown(BufferClosedException.class, buffer.core::map);
                requireThrown(BufferClosedException.class, buffer.core::pin);
                requireThrown(BufferClosedException.class, () -> buffer.core.moveTo(buffer.pool));
                requireThrown(BufferClosedException.class, () -> buffer.core.slice(0, 1));
                requireThrown(BufferClosedException.class, () -> buffer.core.closeAfter(new CompletableFuture<>()));
            }
        }
        checkUnchanged(before, buffer.pool.stats());
    }

    private void addStage(SplittableRandom random) {
        ModelBuffer buffer = pickOpen(random, any -> true);
        if (buffer != null) {
            tell("hold %s back until a stage ends", buffer);
            CompletableFuture<Void> stage = new CompletableFuture<>();
            buffer.core.closeAfter(stage);
            buffer.uses.add(stage::isDone);
            stages.add(stage);
        }
    }

    private void endStage(SplittableRandom random) {
        if (!stages.isEmpty()) {
            tell("end a stage");
            CompletableFuture<Void> stage = stages.remove(random.nextInt(stages.size()));
            if (random.nextBoolean()) {
                stage.complete(null);
            } else {
                stage.completeExceptionally(new IllegalStateException("a use that failed"));
            }
        }
    }

    private void closeQueue(SplittableRandom random) {
        Place place = pick(random, places);
        tell("destroy a user's queue of %s", place.pool);
        place.queues.set(random.nextInt(QUEUES), place.device.newQueue()).close();
    }

    private void look(SplittableRandom random) {
        Place place = pick(random, places);
        tell("look at %s", place.pool);
        MemoryBudget budget = place.pool.budget();
        require("budget", budget.totalBytes() > 0, () -> budget.toString());
        require("usable", place.pool.usableBytes() >= 0, () -> "below 0");
        Objects.requireNonNull(place.pool.pressure());
        place.pool.monitor().step();
        require("names", place.pool.toString().contains(place.pool.device().id()), () -> place.pool.toString());
        boolean idle = place.pool.awaitIdle(Duration.ofHours(1));
        require("idle", idle || Thread.currentThread().isInterrupted(), () -> "the device does not come to rest");
    }

    private void reopen(SplittableRandom random) {
        Place place = pick(random, places);
        tell("close %s and open it anew", place.pool);
        closePlace(place);
        place.pool = openPool(place.backend, place.device, place.config);
        opened(place);
    }

    private void closePlace(Place place) {
        endStages(); // close waits for them, and for views and pins
        List<ModelBuffer> gone = new ArrayList<>(open);
        gone.addAll(lingering);
        gone.removeIf(b -> b.pool != place.pool);
        for (ModelBuffer buffer : gone) {
            while (!buffer.pins.isEmpty()) {
                unpin(buffer);
            }
            if (buffer.view != null) {
                unmap(buffer);
            }
        }
        pumpAll();
        reservations.removeIf(reservation -> {
            boolean here = Objects.equals(reservedAt.get(reservation), place);
            if (here) {
                reservation.close();
                reservedAt.remove(reservation);
            }
            return here;
        });
        place.pool.close();
        place.pool.close();
        placeOf.remove(place.pool);
        gone.removeIf(b -> b.closed);
        open.removeAll(gone);
        for (ModelBuffer buffer : gone) {
            requireThrown(BufferClosedException.class, () -> buffer.core.fill(0, 1, (byte) 0));
            buffer.handle.close();
            buffer.closed = true;
        }
        requireThrown(BufferClosedException.class, () -> place.pool.allocate(1));
        require(
                "I10",
                place.device.ledger().isEmpty(),
                () -> "left behind: " + place.device.ledger().describe());
        collectTransfers();
    }

    private PoolEngine openPool(SimulatedBackend backend, SimulatedDevice device, MemoryConfig config) {
        try {
            backend.probe();
            return PoolEngine.open(
                    backend.open(device.device()),
                    new PoolSetting(
                            config,
                            config.limitBytes(),
                            budget -> budget,
                            () -> backend.name().equals("sim") ? hostPool() : null,
                            clock));
        } catch (DriverException e) {
            throw new IllegalStateException(e);
        }
    }

    private void opened(Place place) {
        placeOf.put(place.pool, place);
        place.open = 0;
        place.served = 0;
        place.fallbacks = 0;
        place.spans.clear();
        place.queues.forEach(SimulatedQueue::close);
        place.queues.clear();
        for (int i = 0; i < QUEUES; i++) {
            place.queues.add(place.device.newQueue());
        }
        place.pool.pump().close(); // no threads: their steps are taken here
        place.pool.monitor().stop();
        place.pool.addPressureListener(listener());
    }

    /** Gives up what only the user can: stages, and now and then a buffer. */
    private PressureListener listener() {
        return (pool, pressure, wanted) -> {
            if (!listening) {
                return 0;
            }
            endStages();
            if (wanted % 3 == 0 && !open.isEmpty()) {
                ModelBuffer victim = open.get((int) (wanted % open.size()));
                long size = victim.byteSize();
                if (!victim.held()) {
                    tell("  the listener gives up");
                    closeBuffer(victim, false);
                    return size;
                }
            }
            if (wanted % 101 == 0) {
                throw new IllegalStateException("a listener that fails");
            }
            return 0;
        };
    }

    private @Nullable GpuMemoryPool hostPool() {
        Place last = places.getLast();
        return last.backend.name().equals("cpu") ? last.pool : null;
    }

    // Asynchronous ends.

    /** A staged read needs a slot of the ring; those of earlier reads come back only when the pump steps. */
    private void makeRoomInRing() {
        if (idleSegments.isEmpty()) {
            pumpAll();
        }
    }

    private void pumpAll() {
        clock.runUntilIdle();
        for (Place place : places) {
            place.pool.pump().step();
        }
        collectTransfers();
    }

    private void collectTransfers() {
        for (Transfer transfer : transfers) {
            transfer.future().join();
            if (transfer.expected() != null) {
                byte[] bytes =
                        transfer.host().asSlice(0, transfer.expected().length).toArray(ValueLayout.JAVA_BYTE);
                requireContents(transfer.expected(), bytes, transfer.what() + ", read asynchronously");
            }
            if (transfer.host().byteSize() > 0) {
                idleSegments.add(transfer.host());
            }
        }
        transfers.clear();
    }

    private void endStages() {
        stages.forEach(stage -> stage.complete(null));
        stages.clear();
    }

    /** Lets go of everything that holds memory in place. */
    private void settle() {
        List<ModelBuffer> all = new ArrayList<>(open);
        all.addAll(lingering);
        for (ModelBuffer buffer : all) {
            while (!buffer.pins.isEmpty()) {
                unpin(buffer);
            }
            if (buffer.view != null) {
                unmap(buffer);
            }
        }
    }

    // What must hold.

    /** Runs a transfer; staging memory may be impossible to get, but then it must be. */
    private boolean attempt(Runnable transfer) {
        try {
            transfer.run();
            return true;
        } catch (DeviceOutOfMemoryException e) {
            tell("refused: %s", e.getMessage());
            for (Place place : places) {
                place.pool.shrink();
            }
            try {
                transfer.run();
            } catch (DeviceOutOfMemoryException again) {
                return false;
            }
            throw new Broken("I6", "staging was refused although idle memory could be given back: " + e.getMessage());
        }
    }

    /** I6: once more, with everything idle given back first, must be refused as well. */
    private void requireRefusal(Place place, AllocationRequest request) {
        listening = false;
        try {
            if (othersAreQuiet(place)) { // else time may end what another pool could not give back just now
                requireRefused(place, request, "again");
                for (Place any : places) {
                    any.pool.shrink();
                }
                requireRefused(place, request, "after everything idle was given back");
                requireNoRoom(place, request);
            } else {
                BlockList blocks = place.pool.heaps().of(request.kind()).blocks();
                require(
                        "I6",
                        blocks.hit(request.byteSize(), request.byteAlignment()) == null,
                        () -> request + " was refused, although there is room");
            }
        } finally {
            listening = true;
        }
    }

    /** Whether no other pool has closed buffers that wait for work: time alone may turn those into idle memory. */
    private boolean othersAreQuiet(Place place) {
        return places.stream()
                .filter(other -> !other.equals(place))
                .allMatch(other -> other.pool.heaps().all().stream()
                                .mapToLong(heap -> heap.blocks().figures().buffers())
                                .sum()
                        == other.pool.stats().activeBuffers());
    }

    private void requireRefused(Place place, AllocationRequest request, String when) {
        try (DeviceBuffer buffer = place.pool.allocate(request)) {
            throw new Broken("I6", request + " was refused, but " + when + " it is served with " + buffer);
        } catch (DeviceOutOfMemoryException | AllocationTooLargeException e) {
            // as it must be
        }
    }

    /** The budget's formula, written down a second time, from what is physically so. Nothing is idle now. */
    private void requireNoRoom(Place place, AllocationRequest request) {
        boolean measured = plan.freeFigure() instanceof FreeFigure.Measured;
        boolean unknown = plan.freeFigure() instanceof FreeFigure.Unknown;
        if (request.kind() != MemoryKind.DEVICE || isHost(place) || !(measured || unknown)) {
            return;
        }
        long unit = plan.granule().orElse(plan.granularity());
        long needed = GrowthPolicy.roundUp(request.byteSize(), Math.max(unit, Tlsf.DEFAULT_GRANULE));
        MemoryConfig config = place.config;
        long reserved = reserved();
        double share = unknown ? Math.min(0.8, config.gpuMemoryFraction()) : config.gpuMemoryFraction();
        long byLimit = config.limitBytes().isPresent()
                ? config.limitBytes().getAsLong() - blockBytes(place) - reservedIn(place)
                : Long.MAX_VALUE;
        long byShare = config.limitBytes().isPresent()
                ? plan.totalBytes() - card.usedBytes() - reserved
                : (long) (plan.totalBytes() * share) - card.usedBytes() - reserved;
        long byFree = unknown
                ? Long.MAX_VALUE
                : card.freeBytes() - reserved - (config.limitBytes().isPresent() ? 0 : config.minFreeBytes());
        boolean possible = needed <= byLimit
                && needed <= byShare
                && needed <= byFree
                && needed <= card.freeBytes()
                && needed <= plan.maxBlockBytes().orElse(plan.totalBytes());
        require(
                "I6",
                !possible,
                () -> "%d bytes were refused; %d by limit, %d by share, %d by free, %d really free"
                        .formatted(needed, byLimit, byShare, byFree, card.freeBytes()));
    }

    /** I7: what was taken just now was allowed. */
    private void checkGrowth(
            Place place, AllocationRequest request, @Nullable LedgerReservation reservation, long claimBefore) {
        if (reservation == null && claimBefore == 0) {
            checkMargins(place, request);
        }
    }

    private void checkMargins(Place place, Object after) {
        if (isHost(place) || place.config.limitBytes().isPresent()) {
            return;
        }
        if (plan.freeFigure() instanceof FreeFigure.Measured) {
            require(
                    "I7",
                    card.freeBytes() >= place.config.minFreeBytes() + reserved(),
                    () -> "only " + card.freeBytes() + " bytes are free after " + after);
        }
        require(
                "I7",
                card.usedBytes() + reserved() <= (long) (plan.totalBytes() * place.config.gpuMemoryFraction()),
                () -> card.usedBytes() + " bytes are taken after " + after);
    }

    private boolean possiblyTooLarge(Place place, AllocationRequest request) {
        boolean onDevice = !isHost(place) && onDevice(place, request.kind());
        long total = onDevice ? plan.totalBytes() : plan.hostBytes();
        long largest = has(place, request.kind())
                ? place.pool.heaps().of(request.kind()).largestBlock()
                : Long.MAX_VALUE;
        boolean unknown = !isHost(place) && plan.freeFigure() instanceof FreeFigure.Unknown;
        double fraction = place.config.gpuMemoryFraction();
        OptionalLong limit = onDevice ? place.config.limitBytes() : OptionalLong.empty();
        long ceiling = limit.isPresent()
                ? Math.min(limit.getAsLong(), total)
                : (long) (total * (unknown ? Math.min(0.8, fraction) : fraction));
        return request.byteSize() > ceiling || request.byteSize() > largest;
    }

    private void checkCheaply() {
        if (seenInKernel != null) {
            throw seenInKernel;
        }
        checkViolations();
        for (Place place : places) {
            checkStats(place);
        }
        DomainLedger.Figures figures = places.getFirst().pool.ledger().figures();
        require(
                "I3",
                figures.heldBytes() == card.usedBytes(),
                () -> "the ledger holds " + figures.heldBytes() + ", the card " + card.usedBytes());
        require("I3", figures.inFlightBytes() == 0, () -> figures.inFlightBytes() + " bytes are in flight at rest");
        require(
                "I3",
                figures.reservedBytes() == reserved(),
                () -> figures.reservedBytes() + " bytes are reserved, should be " + reserved());
        long hostHeld = Domains.host().figures().heldBytes() - hostHeldBefore;
        require(
                "I3",
                hostHeld == host.usedBytes(),
                () -> "the ledger holds " + hostHeld + ", the host " + host.usedBytes());
    }

    private void checkStats(Place place) {
        MemoryStats stats = place.pool.stats();
        require("I13", stats.inUseBytes() + stats.pooledBytes() == stats.totalAllocatedBytes(), () -> stats.toString());
        require(
                "I13",
                stats.activeBuffers() == place.open,
                () -> stats.activeBuffers() + " buffers, should be " + place.open + " in " + place.pool);
        require(
                "I13",
                stats.poolHits() + stats.poolMisses() == place.served,
                () -> stats + ": requests served should be " + place.served);
        require("I13", stats.cpuFallbacks() == place.fallbacks, () -> stats + ": should be " + place.fallbacks);
        require("I13", stats.peakBytes() >= stats.inUseBytes(), () -> stats.toString());
        OptionalLong limit = place.config.limitBytes();
        if (limit.isPresent() && !isHost(place)) {
            long bytes = blockBytes(place);
            require(
                    "I7",
                    bytes <= limit.getAsLong(),
                    () -> bytes + " bytes in blocks, the limit is " + limit.getAsLong());
        }
    }

    /** Everything that is too slow after each step. */
    void checkAll() {
        tell("check everything");
        for (Place place : places) {
            place.pool.validate();
            long used = place.pool.heaps().all().stream()
                    .mapToLong(heap -> heap.blocks().figures().usedBytes())
                    .sum();
            MemoryStats stats = place.pool.stats();
            require(
                    "I3",
                    used == stats.inUseBytes(),
                    () -> used + " bytes are used, " + stats.inUseBytes() + " are counted");
            place.spans.values().removeIf(b -> b.closed && !b.held() && b.usesEnded());
            checkSpans(place);
            for (ModelBuffer buffer : place.spans.values()) {
                checkPending(buffer);
            }
        }
        for (ModelBuffer buffer : List.copyOf(open)) {
            if (plain(buffer)) {
                for (int window = 0; window < buffer.windows(); window++) {
                    verify(buffer, window, true, false);
                }
            }
        }
        checkCheaply();
    }

    private static int fences(Point.@Nullable Pending pending) {
        return pending == null ? 0 : (pending.first() instanceof Point.OnFence ? 1 : 0) + fences(pending.rest());
    }

    /** A buffer remembers what is under way, not all that ever was; finished points go when the next is added. */
    private static void checkPending(ModelBuffer buffer) {
        buffer.usesEnded();
        int remembered = fences(buffer.core.pending());
        require(
                "fences",
                remembered <= 2 * buffer.uses.size() + FORGOTTEN_FENCES,
                () -> buffer + " remembers " + remembered + " fences, " + buffer.uses.size() + " uses are under way");
    }

    private static void checkSpans(Place place) {
        ModelBuffer before = null;
        for (ModelBuffer buffer : place.spans.values()) {
            if (before != null && before.address + granted(before) > buffer.address) {
                throw new Broken("I1", before + " overlaps " + buffer);
            }
            before = buffer;
        }
        long open = place.spans.values().stream()
                .filter(buffer -> !buffer.closed || buffer.held())
                .mapToLong(EngineWorld::granted)
                .sum();
        long counted = place.pool.stats().inUseBytes();
        require("I3", open <= counted, () -> "open buffers take " + open + " bytes, " + counted + " are counted");
    }

    private void checkViolations() {
        for (SimulatedBackend backend : backends) {
            if (!backend.violations().isEmpty()) {
                throw new Broken("I5", backend.violations().toString());
            }
        }
    }

    private static void checkUnchanged(MemoryStats before, MemoryStats after) {
        require(
                "I11",
                after.poolHits() == before.poolHits()
                        && after.poolMisses() == before.poolMisses()
                        && after.cpuFallbacks() == before.cpuFallbacks()
                        && after.inUseBytes() <= before.inUseBytes()
                        && after.peakBytes() == before.peakBytes(),
                () -> "a refused call changed " + before + " to " + after);
    }

    private static void requireContents(byte @Nullable [] expected, byte[] actual, String what) {
        if (expected != null && !Arrays.equals(expected, actual)) {
            int at = Arrays.mismatch(expected, actual);
            throw new Broken("I14", "%s: byte %d is %d, should be %d".formatted(what, at, actual[at], expected[at]));
        }
    }

    private static void requireThrown(Class<? extends RuntimeException> type, Runnable call) {
        try {
            call.run();
        } catch (RuntimeException e) {
            if (type.isInstance(e)) {
                return;
            }
            throw e;
        }
        throw new Broken("I9", "no " + type.getSimpleName() + " was thrown");
    }

    private static void require(String invariant, boolean holds, Supplier<@Nullable Object> what) {
        if (!holds) {
            throw new Broken(invariant, String.valueOf(what.get()));
        }
    }

    // Small things.

    private SimulatedDevice.Builder describe(String name) {
        SimulatedDevice.Builder builder = SimulatedDevice.builder(name)
                .memory(card)
                .hostMemory(host)
                .baseAlignment(plan.baseAlignment())
                .granularity(plan.granularity())
                .freeFigure(plan.freeFigure());
        plan.granule().ifPresent(builder::virtualMemory);
        plan.maxBlockBytes().ifPresent(builder::maxBlockBytes);
        builder = plan.hostVisible() ? builder.hostVisibleMemory() : builder;
        builder = plan.coherent() ? builder : builder.withoutCoherence();
        builder = plan.hostCopies() ? builder : builder.withoutHostCopies();
        builder = plan.peerCopies() ? builder : builder.withoutPeerCopies();
        return plan.overCommitting() ? builder.overCommitting() : builder;
    }

    private static boolean isHost(Place place) {
        return place.backend.name().equals("cpu");
    }

    private static boolean onDevice(Place place, MemoryKind kind) {
        return has(place, kind) && place.pool.heaps().of(kind).traits().placement() == KindTraits.Placement.DEVICE;
    }

    private static boolean has(Place place, MemoryKind kind) {
        return place.pool.session().driver().traits(kind).supported();
    }

    /** What a limit binds. */
    private static long blockBytes(Place place) {
        long bytes = 0;
        for (Heap heap : place.pool.heaps().all()) {
            if (heap.traits().placement() == KindTraits.Placement.DEVICE) {
                bytes += heap.blocks().figures().blockBytes();
            }
        }
        return bytes;
    }

    /** Bytes set aside on the card. */
    private long reserved() {
        long bytes = 0;
        for (Place place : places) {
            bytes += isHost(place) ? 0 : reservedIn(place);
        }
        return bytes;
    }

    private long reservedIn(Place place) {
        long bytes = 0;
        for (LedgerReservation reservation : reservations) {
            if (Objects.equals(reservedAt.get(reservation), place)) {
                bytes += reservation.remainingBytes(place.pool.device());
            }
        }
        return bytes;
    }

    private static long alignment(SplittableRandom random) {
        return random.nextInt(3) == 0 ? 1L << random.nextInt(22) : AllocationRequest.DEFAULT_ALIGNMENT;
    }

    private static EngineBuffer coreOf(MemoryBuffer handle) {
        if (handle instanceof FallbackBuffer fallback) {
            Optional<DeviceBuffer> device = fallback.asGpu();
            return (EngineBuffer) device.or(fallback::asCpu).orElseThrow();
        }
        return (EngineBuffer) handle;
    }

    /** Whether calls on the buffer are allowed: nobody writes through a view meanwhile. */
    private static boolean plain(ModelBuffer buffer) {
        return buffer.view == null;
    }

    private @Nullable ModelBuffer pickOpen(SplittableRandom random, Predicate<ModelBuffer> suitable) {
        for (int tries = 0; tries < 8 && !open.isEmpty(); tries++) {
            ModelBuffer buffer = open.get(random.nextInt(open.size()));
            if (suitable.test(buffer)) {
                return buffer;
            }
        }
        return null;
    }

    private static Place pick(SplittableRandom random, List<Place> from) {
        return from.get(random.nextInt(from.size()));
    }

    private void tell(String format, @Nullable Object... arguments) {
        if (story != null) {
            story.add(String.format(Locale.ROOT, format, arguments));
        }
    }
}
