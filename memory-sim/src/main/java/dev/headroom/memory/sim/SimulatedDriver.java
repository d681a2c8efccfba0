package dev.headroom.memory.sim;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A driver of a simulated device. Every call first meets the fault plan, without a lock, and then does its work under
 * the lock of the clock. Unlike a real driver it checks everything: what the engine must never do is a {@link
 * Violation}.
 */
final class SimulatedDriver implements DeviceDriver {

    /** What a driver still does after it has said that its device is lost. */
    private static final Set<String> GIVING_BACK =
            Set.of("free", "decommit", "release", "unmap", "closeQueue", "closeFence", "close");

    private static final Set<String> SILENT = Set.of("closeQueue", "closeFence", "close");

    private final SimulatedDevice device;
    private final Optional<VirtualMemory> virtualMemory;
    private final Set<SimulatedBlock> blocks = newIdentitySet();
    private final Set<SimulatedBlock> quarantined = newIdentitySet();
    private final Set<SimulatedDriverQueue> queues = newIdentitySet();
    private final Set<SimulatedFence> fences = newIdentitySet();
    private final Set<SimulatedMapping> mappings = newIdentitySet();
    private boolean lostForGood;
    /** A call has answered that the device is lost: what it was working on is gone, and only giving back still works. */
    private boolean toldLost;

    private boolean closed;

    SimulatedDriver(SimulatedDevice device) {
        this.device = device;
        this.virtualMemory = device.granule().isPresent()
                ? Optional.of(new SimulatedVirtualMemory(this, device.granule().getAsLong()))
                : Optional.empty();
    }

    @Override
    public GpuDevice device() {
        return device.device();
    }

    @Override
    public KindTraits traits(MemoryKind kind) {
        return device.traits(kind);
    }

    @Override
    public MemoryBudget budget(MemoryKind kind) throws DriverException {
        meet("budget");
        lock();
        try {
            requireOpen("budget");
            return device.budget(device.placeOf(requireSupported(kind)));
        } finally {
            unlock();
        }
    }

    @Override
    public DriverBlock allocate(BlockRequest request) throws DriverException {
        meet("allocate");
        lock();
        try {
            requireOpen("allocate");
            KindTraits traits = requireSupported(request.kind());
            if (request.byteSize() <= 0
                    || request.byteSize() % traits.granularity() != 0
                    || request.byteSize() > traits.maxBlockBytes()
                    || Long.bitCount(request.byteAlignment()) != 1
                    || request.byteAlignment() < traits.baseAlignment()) {
                throw device.misuse(Violation.Type.BAD_ARGUMENT, request + " does not suit " + traits);
            }
            PhysicalMemory place = device.placeOf(traits);
            take(place, request.byteSize(), "allocate");
            SimulatedBlock block =
                    newBlock(request.kind(), request.byteSize(), request.byteAlignment(), request.name(), place, false);
            device.books().blockBytes += request.byteSize();
            return block;
        } finally {
            unlock();
        }
    }

    @Override
    public FreeOutcome free(DriverBlock driverBlock) {
        return giveBack("free", driverBlock, false);
    }

    @Override
    public HostMapping map(DriverBlock driverBlock, long byteOffset, long byteSize, MapAccess access)
            throws DriverException {
        meet("map");
        lock();
        try {
            SimulatedBlock block = requireOwn(driverBlock);
            requireUsable(block, byteOffset, byteSize);
            KindTraits traits = traits(block.kind);
            if (!traits.hostVisible()) {
                throw device.misuse(Violation.Type.BAD_ARGUMENT, "the host cannot reach " + block);
            }
            Timeline.Use use =
                    new Timeline.Use(block, byteOffset, byteSize, access != MapAccess.READ, "a host mapping");
            for (Timeline.PendingUse pending : block.pending) {
                if (pending.use().conflictsWith(use)) {
                    throw device.misuse(
                            Violation.Type.HOST_RACE,
                            "%s was mapped for %s while %s was pending"
                                    .formatted(block, access, pending.use().what()));
                }
            }
            SimulatedMapping mapping =
                    new SimulatedMapping(this, block, byteOffset, byteSize, access, traits.coherent());
            block.mappings++;
            mappings.add(mapping);
            device.books().mappings++;
            return mapping;
        } finally {
            unlock();
        }
    }

    @Override
    public DriverQueue openQueue() throws DriverException {
        meet("openQueue");
        lock();
        try {
            requireOpen("openQueue");
            SimulatedDriverQueue queue = new SimulatedDriverQueue(this, new Timeline(device.clock()));
            queues.add(queue);
            device.books().queues++;
            return queue;
        } finally {
            unlock();
        }
    }

    @Override
    public void submit(TransferCommand command, DriverQueue driverQueue) throws DriverException {
        meet("submit");
        lock();
        try {
            Timeline timeline = requireOwn(driverQueue).timeline();
            List<Timeline.Use> uses = new ArrayList<>(2);
            switch (command) {
                case TransferCommand.Fill fill -> {
                    Timeline.Use target = use(fill.block(), fill.byteOffset(), fill.byteSize(), true, "a fill");
                    uses.add(target);
                    requireOrdered(device, timeline, uses);
                    timeline.submit(device.transferNanos(fill.byteSize()), uses, () -> fill(target, fill.value()));
                }
                case TransferCommand.Copy(var source, var target, long byteSize) -> {
                    Side from = side(source, byteSize, false);
                    Side to = side(target, byteSize, true);
                    if (from.use() != null) {
                        uses.add(from.use());
                    }
                    if (to.use() != null) {
                        uses.add(to.use());
                    }
                    requireApart(uses);
                    requireOrdered(device, timeline, uses);
                    timeline.submit(device.transferNanos(byteSize), uses, () -> copy(from, to));
                }
            }
        } finally {
            unlock();
        }
    }

    @Override
    public long signal(DriverQueue driverQueue) throws DriverException {
        meet("signal");
        lock();
        try {
            return requireOwn(driverQueue).timeline().signal();
        } finally {
            unlock();
        }
    }

    @Override
    public long completed(DriverQueue driverQueue) throws DriverException {
        meet("completed");
        lock();
        try {
            Timeline timeline = requireOwn(driverQueue).timeline();
            if (!timeline.isIdle()) {
                device.clock().poll();
            }
            requireNotLost("completed");
            return timeline.completed();
        } finally {
            unlock();
        }
    }

    @Override
    public void waitFor(DriverQueue driverQueue, DriverQueue other, long value) throws DriverException {
        meet("waitFor");
        lock();
        try {
            requireOwn(driverQueue).timeline().waitFor(requireSignal(other, value));
        } finally {
            unlock();
        }
    }

    @Override
    public boolean await(DriverQueue driverQueue, long value, Duration timeout) throws DriverException {
        meet("await");
        lock();
        try {
            Timeline.Point point = requireSignal(driverQueue, value);
            boolean reached = device.clock().await(() -> isLost() || point.reached(), timeout);
            requireNotLost("await");
            return reached;
        } finally {
            unlock();
        }
    }

    @Override
    public DriverFence record(NativeQueue nativeQueue) throws DriverException {
        meet("record");
        lock();
        try {
            requireOpen("record");
            SimulatedFence fence = new SimulatedFence(
                    this, requireUser(nativeQueue, "record").timeline().end());
            fences.add(fence);
            device.books().fences++;
            return fence;
        } finally {
            unlock();
        }
    }

    @Override
    public void waitFor(DriverQueue driverQueue, DriverFence driverFence) throws DriverException {
        meet("waitFor");
        lock();
        try {
            Timeline timeline = requireOwn(driverQueue).timeline();
            if (!(driverFence instanceof SimulatedFence fence) || fence.driver() != this) {
                throw device.misuse(Violation.Type.FOREIGN_OBJECT, "a fence of another driver: " + driverFence);
            }
            requireUsable(fence);
            timeline.waitFor(fence.point());
        } finally {
            unlock();
        }
    }

    @Override
    public void hold(NativeQueue nativeQueue, DriverQueue ours, long value) throws DriverException {
        meet("hold");
        lock();
        try {
            requireUser(nativeQueue, "hold").timeline().waitFor(requireSignal(ours, value));
        } finally {
            unlock();
        }
    }

    @Override
    public boolean awaitIdle(Duration timeout) throws DriverException {
        meet("awaitIdle");
        lock();
        try {
            requireOpen("awaitIdle");
            boolean idle = device.clock()
                    .await(
                            () -> isLost()
                                    || (queues.stream()
                                                    .allMatch(queue ->
                                                            queue.timeline().isIdle())
                                            && fences.stream()
                                                    .allMatch(fence ->
                                                            fence.point().reached())),
                            timeout);
            requireNotLost("awaitIdle");
            return idle;
        } finally {
            unlock();
        }
    }

    @Override
    public Optional<VirtualMemory> virtualMemory() {
        return virtualMemory;
    }

    @Override
    public void close() {
        Throwable failure = meetAnyway("close");
        lock();
        try {
            if (closed) {
                throw device.misuse(Violation.Type.DOUBLE_CLOSE, "the driver was closed twice");
            }
            String left = "%d blocks, %d queues, %d fences and %d mappings"
                    .formatted(blocks.size(), queues.size(), fences.size(), mappings.size());
            boolean clean = blocks.isEmpty() && queues.isEmpty() && fences.isEmpty() && mappings.isEmpty();
            if (!clean && !isLost()) {
                throw device.misuse(Violation.Type.LEFT_BEHIND, "the driver was closed with " + left);
            }
            // A context that goes takes everything in it along.
            closed = true;
            blocks.forEach(this::vanish);
            quarantined.forEach(this::vanish);
            device.books().blocks -= blocks.size();
            device.books().queues -= queues.size();
            device.books().fences -= fences.size();
            device.books().mappings -= mappings.size();
            blocks.clear();
            quarantined.clear();
            queues.clear();
            fences.clear();
            mappings.clear();
            device.closed(this);
        } finally {
            unlock();
        }
        throwUnchecked(failure);
    }

    // What the other classes of this package ask.

    SimulatedDevice simulated() {
        return device;
    }

    void lock() {
        device.clock().lock().lock();
    }

    void unlock() {
        device.clock().lock().unlock();
    }

    boolean isLost() {
        return lostForGood || device.lost();
    }

    boolean toldLost() {
        return toldLost;
    }

    /** The device was lost and comes back; this driver does not. */
    void stayLost() {
        lostForGood = true;
    }

    void cancelWork() {
        queues.forEach(queue -> queue.timeline().cancel());
    }

    void meet(String operation) throws DriverException {
        try {
            device.meet(operation, lostForGood, toldLost, toldLost && !GIVING_BACK.contains(operation));
        } catch (DriverException e) {
            // A call that cannot report tells nobody.
            if (e.kind() == DriverException.Kind.DEVICE_LOST && !SILENT.contains(operation)) {
                noteToldLost();
            }
            throw e;
        }
    }

    /** For calls that do their work although they fail, in whatever way. */
    @Nullable
    Throwable meetAnyway(String operation) {
        try {
            meet(operation);
            return null;
        } catch (DriverException | RuntimeException | Error e) {
            return e;
        }
    }

    /** Throws what no driver should throw; what drivers do report is not for a call that cannot report it. */
    static void throwUnchecked(@Nullable Throwable failure) {
        switch (failure) {
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case null, default -> {}
        }
    }

    /** How a call that gives memory back reports its failure. */
    static FreeOutcome kept(Throwable failure) {
        throwUnchecked(failure);
        return FreeOutcome.failed((DriverException) failure);
    }

    /** A driver that says its device is lost has stopped working for us, even where the device itself lives on. */
    private void noteToldLost() {
        lock();
        try {
            if (!toldLost) {
                toldLost = true;
                cancelWork();
                device.cancelUserWork();
            }
        } finally {
            unlock();
        }
    }

    void requireNotLost(String operation) throws DriverException {
        if (isLost()) {
            throw SimulatedDevice.lostIn(operation);
        }
    }

    void requireUsable(SimulatedFence fence) {
        requireOpen("a fence");
        if (fence.closed()) {
            throw device.misuse(Violation.Type.USE_AFTER_CLOSE, "a fence was used after it was closed");
        }
    }

    /** Checks that a range of a block can be worked on. */
    void requireUsable(SimulatedBlock block, long byteOffset, long byteSize) {
        requireLive(block);
        if (byteOffset < 0 || byteSize <= 0 || byteSize > block.byteSize - byteOffset) {
            throw device.misuse(
                    Violation.Type.OUT_OF_RANGE,
                    "%d bytes at %d are not inside %s".formatted(byteSize, byteOffset, block));
        }
        if (block.quarantined.intersects(byteOffset, byteOffset + byteSize)) {
            throw device.misuse(
                    Violation.Type.QUARANTINE_TOUCHED, "a piece of " + block + " that could not be decommitted");
        }
        if (block.committed != null && !block.committed.containsAll(byteOffset, byteOffset + byteSize)) {
            throw device.misuse(
                    Violation.Type.COMMITMENT,
                    "%d bytes at %d are not committed in %s".formatted(byteSize, byteOffset, block));
        }
    }

    void requireLive(SimulatedBlock block) {
        block.driver.requireOpen("a block");
        switch (block.state) {
            case FREED -> throw device.misuse(Violation.Type.USE_AFTER_CLOSE, block + " was used after it was freed");
            case QUARANTINED ->
                throw device.misuse(Violation.Type.QUARANTINE_TOUCHED, block + " was used after it could not be freed");
            case LIVE -> {}
        }
    }

    /** Checks that new work races with nothing pending. */
    static void requireOrdered(SimulatedDevice device, Timeline timeline, List<Timeline.Use> uses) {
        for (Timeline.Use use : uses) {
            for (Timeline.PendingUse pending : use.block().pending) {
                if (pending.use().conflictsWith(use) && !timeline.comesAfter(pending)) {
                    throw device.misuse(
                            Violation.Type.QUEUE_RACE,
                            "%s at %d..%d of %s, while %s at %d..%d is pending in another queue and nothing orders them"
                                    .formatted(
                                            use.what(),
                                            use.byteOffset(),
                                            use.byteOffset() + use.byteSize(),
                                            use.block(),
                                            pending.use().what(),
                                            pending.use().byteOffset(),
                                            pending.use().byteOffset()
                                                    + pending.use().byteSize()));
                }
            }
        }
    }

    SimulatedBlock requireOwn(DriverBlock block) {
        requireOpen("a block");
        if (block instanceof SimulatedBlock own && own.driver == this) {
            return own;
        }
        throw device.misuse(Violation.Type.FOREIGN_OBJECT, "a block of another driver: " + block);
    }

    SimulatedBlock newBlock(
            MemoryKind kind, long byteSize, long byteAlignment, String name, PhysicalMemory place, boolean range) {
        long address = device.nextAddress(byteSize, byteAlignment);
        BlockBytes bytes = device.newBytes(byteSize, byteAlignment, place);
        SimulatedBlock block =
                new SimulatedBlock(this, kind, byteSize, byteAlignment, address, name, place, bytes, range);
        blocks.add(block);
        device.books().blocks++;
        return block;
    }

    void take(PhysicalMemory place, long byteSize, String operation) throws DriverException {
        if (!place.take(byteSize, device.overCommitting())) {
            throw new DriverException(
                    DriverException.Kind.OUT_OF_MEMORY,
                    2,
                    operation,
                    "%d bytes wanted, %d free".formatted(byteSize, place.freeBytes()));
        }
    }

    /** Ends a block or a range, or sets it aside if that is made to fail. */
    FreeOutcome giveBack(String operation, DriverBlock driverBlock, boolean range) {
        Throwable failure = meetAnyway(operation);
        lock();
        try {
            SimulatedBlock block = requireOwn(driverBlock);
            if (block.state == SimulatedBlock.State.FREED) {
                throw device.misuse(Violation.Type.DOUBLE_CLOSE, block + " was freed twice");
            }
            requireLive(block);
            if ((block.committed != null) != range) {
                throw device.misuse(Violation.Type.BAD_ARGUMENT, operation + " is not the way to end " + block);
            }
            if (!isLost() && !toldLost) {
                requireUnused(block, 0, block.byteSize);
            }
            blocks.remove(block);
            device.books().blocks--;
            device.books().blockBytes -= block.heldBytes();
            if (block.committed != null) {
                device.books().committed -= block.committed.size();
            }
            if (failure != null) {
                block.state = SimulatedBlock.State.QUARANTINED;
                quarantined.add(block);
                device.books().failedFrees++;
                device.books().quarantined += block.heldBytes();
                return kept(failure);
            }
            block.state = SimulatedBlock.State.FREED;
            block.place.giveBack(block.heldBytes());
            // What could not be decommitted goes with its range after all.
            block.place.giveBack(block.quarantined.size());
            device.books().quarantined -= block.quarantined.size();
            releaseBytes(block);
            return FreeOutcome.freed();
        } finally {
            unlock();
        }
    }

    /** Checks that neither work nor a mapping is left on a range that goes. */
    void requireUnused(SimulatedBlock block, long byteOffset, long byteSize) {
        if (block.mappings > 0 && mappings.stream().anyMatch(mapping -> mapping.covers(block, byteOffset, byteSize))) {
            throw device.misuse(Violation.Type.CLOSED_IN_USE, block + " was taken back while it was mapped");
        }
        for (Timeline.PendingUse pending : block.pending) {
            if (pending.use().overlaps(byteOffset, byteSize)) {
                throw device.misuse(
                        Violation.Type.CLOSED_IN_USE,
                        "%s was taken back while %s was pending"
                                .formatted(block, pending.use().what()));
            }
        }
    }

    void closed(SimulatedDriverQueue queue) {
        if (queues.remove(queue)) {
            device.books().queues--;
        }
    }

    void closed(SimulatedFence fence) {
        if (fences.remove(fence)) {
            device.books().fences--;
        }
    }

    void closed(SimulatedMapping mapping) {
        if (mappings.remove(mapping)) {
            device.books().mappings--;
        }
    }

    void requireOpen(String what) {
        // What a lost context took along may still be let go of.
        if (closed && !isLost()) {
            throw device.misuse(Violation.Type.USE_AFTER_CLOSE, what + " was used after its driver was closed");
        }
    }

    KindTraits requireSupported(MemoryKind kind) {
        KindTraits traits = traits(kind);
        if (!traits.supported()) {
            throw device.misuse(Violation.Type.BAD_ARGUMENT, "the device has no " + kind.label() + " memory");
        }
        return traits;
    }

    /** One end of a copy: a range of a block, or a segment of the host's. */
    private record Side(
            Timeline.@Nullable Use use, @Nullable MemorySegment segment) {}

    private Side side(TransferCommand.Endpoint endpoint, long byteSize, boolean writes) throws DriverException {
        return switch (endpoint) {
            case TransferCommand.InBlock(DriverBlock block, long byteOffset) ->
                new Side(use(block, byteOffset, byteSize, writes, "a copy"), null);
            case TransferCommand.InHost(MemorySegment segment) -> {
                if (!device.hostEndpoints()) {
                    throw unsupported("copies from and to plain host memory");
                }
                if (!segment.isNative()
                        || segment.byteSize() != byteSize
                        || !segment.scope().isAlive()
                        || (writes && segment.isReadOnly())) {
                    throw device.misuse(
                            Violation.Type.HOST_SEGMENT,
                            "%s does not suit a copy of %d bytes".formatted(segment, byteSize));
                }
                yield new Side(null, segment);
            }
            case TransferCommand.InPeer(DriverBlock block, long byteOffset) -> {
                if (!device.peerEndpoints()) {
                    throw unsupported("copies between devices");
                }
                if (!(block instanceof SimulatedBlock peer)
                        || peer.driver.device.clock() != device.clock()
                        || !peer.driver.device().backend().equals(device().backend())) {
                    throw device.misuse(Violation.Type.FOREIGN_OBJECT, "a peer of another backend: " + block);
                }
                yield new Side(peer.driver.use(block, byteOffset, byteSize, writes, "a copy between devices"), null);
            }
        };
    }

    private Timeline.Use use(DriverBlock driverBlock, long byteOffset, long byteSize, boolean writes, String what) {
        SimulatedBlock block = requireOwn(driverBlock);
        requireUsable(block, byteOffset, byteSize);
        return new Timeline.Use(block, byteOffset, byteSize, writes, what);
    }

    private void requireApart(List<Timeline.Use> uses) {
        if (uses.size() == 2
                && uses.get(0).block() == uses.get(1).block()
                && uses.get(0).overlaps(uses.get(1).byteOffset(), uses.get(1).byteSize())) {
            throw device.misuse(
                    Violation.Type.BAD_ARGUMENT,
                    "source and target of a copy overlap in " + uses.get(0).block());
        }
    }

    private static void fill(Timeline.Use target, byte value) {
        BlockBytes bytes = target.block().bytes;
        if (!bytes.isHollow()) {
            bytes.at(target.byteOffset(), target.byteSize()).fill(value);
        }
        bytes.markWritten(target.byteOffset(), target.byteSize());
    }

    private void copy(Side from, Side to) {
        if (isGone(from) || isGone(to)) {
            return; // a lost device gave its memory back while another one was copying
        }
        if (from.use() != null && to.use() != null) {
            to.use()
                    .block()
                    .bytes
                    .copyFrom(
                            from.use().block().bytes,
                            from.use().byteOffset(),
                            to.use().byteOffset(),
                            to.use().byteSize());
        } else if (to.use() != null && from.segment() != null) {
            if (requireAlive(from.segment())) {
                BlockBytes bytes = to.use().block().bytes;
                if (!bytes.isHollow()) {
                    bytes.at(to.use().byteOffset(), to.use().byteSize()).copyFrom(unowned(from.segment()));
                }
                bytes.markWritten(to.use().byteOffset(), to.use().byteSize());
            }
        } else if (from.use() != null && to.segment() != null) {
            if (requireAlive(to.segment())) {
                BlockBytes bytes = from.use().block().bytes;
                if (!bytes.isWritten(from.use().byteOffset(), from.use().byteSize())) {
                    device.note(
                            Violation.Type.UNWRITTEN_READ,
                            "a copy to the host reads bytes of " + from.use().block());
                }
                if (!bytes.isHollow()) {
                    unowned(to.segment())
                            .copyFrom(
                                    bytes.at(from.use().byteOffset(), from.use().byteSize()));
                }
            }
        } else if (from.segment() != null && to.segment() != null) {
            if (requireAlive(from.segment()) && requireAlive(to.segment())) {
                unowned(to.segment()).copyFrom(unowned(from.segment()));
            }
        }
    }

    private static boolean isGone(Side side) {
        return side.use() != null && side.use().block().state == SimulatedBlock.State.FREED;
    }

    /**
     * The segment for whichever thread lets the time pass: a device knows addresses, not the threads they belong to.
     */
    @SuppressWarnings("restricted") // an address whose owner waits for the copy
    private static MemorySegment unowned(MemorySegment segment) {
        return segment.isAccessibleBy(Thread.currentThread())
                ? segment
                : MemorySegment.ofAddress(segment.address()).reinterpret(segment.byteSize());
    }

    private boolean requireAlive(MemorySegment segment) {
        boolean alive = segment.scope().isAlive();
        if (!alive) {
            device.note(Violation.Type.HOST_SEGMENT, "host memory was closed while a copy needed it");
        }
        return alive;
    }

    private DriverException unsupported(String what) {
        return new DriverException(DriverException.Kind.UNSUPPORTED, 0, "submit", what + " are switched off");
    }

    private SimulatedDriverQueue requireOwn(DriverQueue queue) {
        requireOpen("a queue");
        if (!(queue instanceof SimulatedDriverQueue own) || own.driver() != this) {
            throw device.misuse(Violation.Type.FOREIGN_OBJECT, "a queue of another driver: " + queue);
        }
        if (own.closed()) {
            throw device.misuse(Violation.Type.USE_AFTER_CLOSE, "a queue was used after it was closed");
        }
        return own;
    }

    private Timeline.Point requireSignal(DriverQueue queue, long value) {
        Timeline timeline = requireOwn(queue).timeline();
        if (value < 0 || value > timeline.lastSignal()) {
            throw device.misuse(Violation.Type.BAD_ARGUMENT, value + " was never signalled in that queue");
        }
        return timeline.pointOf(value);
    }

    private SimulatedQueue requireUser(NativeQueue queue, String operation) throws DriverException {
        requireOpen("a driver");
        if (!device.userQueues()) {
            throw new DriverException(DriverException.Kind.UNSUPPORTED, 0, operation, "users' queues are switched off");
        }
        if (!(queue instanceof SimulatedQueue own) || own.device() != device) {
            throw device.misuse(Violation.Type.FOREIGN_OBJECT, "a queue of another device: " + queue);
        }
        own.requireOpen();
        return own;
    }

    private void vanish(SimulatedBlock block) {
        long held = block.heldBytes();
        if (block.state == SimulatedBlock.State.LIVE) {
            device.books().blockBytes -= held;
            if (block.committed != null) {
                device.books().committed -= block.committed.size();
            }
        } else {
            device.books().quarantined -= held;
        }
        device.books().quarantined -= block.quarantined.size();
        block.state = SimulatedBlock.State.FREED;
        block.place.giveBack(held + block.quarantined.size());
        releaseBytes(block);
    }

    private void releaseBytes(SimulatedBlock block) {
        try {
            block.bytes.release();
        } catch (IllegalStateException e) {
            throw device.misuse(
                    Violation.Type.CLOSED_IN_USE, block + " was taken back while the host was reading or writing it");
        }
    }

    private static <T> Set<T> newIdentitySet() {
        return Collections.newSetFromMap(new IdentityHashMap<>());
    }
}
