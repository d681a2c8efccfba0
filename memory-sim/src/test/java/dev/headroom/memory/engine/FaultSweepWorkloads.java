package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.FaultSweepRun.join;
import static dev.headroom.memory.engine.FaultSweepRun.millis;
import static dev.headroom.memory.engine.FaultSweepRun.pattern;
import static dev.headroom.memory.engine.FaultSweepRun.requireAll;
import static dev.headroom.memory.engine.FaultSweepRun.requirePattern;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.Selection;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** What the sweep does with every call failing in turn. Devices are small, so that thousands of runs are quick. */
final class FaultSweepWorkloads {

    private static final int KIB = 1024;
    private static final int MIB = 1024 * KIB;

    /** Simulated devices cost virtual time only: real time passes where something that never comes is waited for. */
    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .stagingBytes(MIB)
            .waitTimeout(millis(20))
            .closeTimeout(millis(40))
            .build();

    private FaultSweepWorkloads() {}

    static List<FaultSweepWorkload> all() {
        return List.of(
                workload("open and close", card(), run -> run.pool(0)),
                workload("allocate and close", card(), FaultSweepWorkloads::allocate),
                workload("many sizes and growth", card(), FaultSweepWorkloads::manySizes),
                workload("full pool, then room", card(), FaultSweepWorkloads::fullPool)
                        .with(CONFIG.toBuilder().limitBytes(3 * MIB).build()),
                workload("cleared memory", card(), FaultSweepWorkloads::cleared),
                workload("write and read native memory", card(), FaultSweepWorkloads::nativeTransfer),
                workload("write and read heap memory", card(), FaultSweepWorkloads::heapTransfer),
                workload("transfer over several staging slots", stagedCard(), FaultSweepWorkloads::largeTransfer),
                workload("staging without coherence", incoherentCard(), FaultSweepWorkloads::largeTransfer),
                workload("asynchronous transfers", card(), FaultSweepWorkloads::asynchronous)
                        .pumping(),
                workload("asynchronous transfers through staging", stagedCard(), FaultSweepWorkloads::asynchronous)
                        .pumping(),
                workload("fill and copy", card(), FaultSweepWorkloads::fillAndCopy),
                workload("copy to a peer", twoCards(true), FaultSweepWorkloads::copyToOther),
                workload("copy to a peer, asynchronously", twoCards(true), FaultSweepWorkloads::copyToOtherAsync)
                        .pumping(),
                workload("copy through the host", twoCards(false), FaultSweepWorkloads::copyToOther),
                workload("host-visible memory", visibleCard(), FaultSweepWorkloads::hostVisible),
                workload("queues of the user", card(), FaultSweepWorkloads::userQueues)
                        .pumping(),
                workload("queues of the user, and reuse", card(), FaultSweepWorkloads::userQueuesReuse)
                        .with(CONFIG.toBuilder().limitBytes(MIB).build()),
                workload("shrink", card(), FaultSweepWorkloads::shrink),
                workload("address ranges", rangeCard(), FaultSweepWorkloads::manySizes),
                workload("address ranges with holes", rangeCard(), FaultSweepWorkloads::holes),
                workload("idle pages make up for a growth", rangeCard(), FaultSweepWorkloads::movedPages),
                workload("idle blocks make up for a growth", card(), FaultSweepWorkloads::movedBlocks)
                        .with(CONFIG.toBuilder().growthBytes(0).build()),
                workload("fallback to the host", cardAndHost(), FaultSweepWorkloads::fallback)
                        .with(CONFIG.toBuilder().limitBytes(MIB).build()),
                workload("reservation", twoCards(true), FaultSweepWorkloads::reservation),
                workload("selection", cardAndHost(), FaultSweepWorkloads::selection),
                workload("memory taken in advance", card(), FaultSweepWorkloads::allocate)
                        .with(CONFIG.toBuilder()
                                .preAllocation(List.of((long) MIB, 100L * KIB))
                                .build()),
                workload("a sibling gives back", siblings(), FaultSweepWorkloads::siblingGivesBack),
                workload("a listener gives back", card(), FaultSweepWorkloads::listenerGivesBack)
                        .with(CONFIG.toBuilder().limitBytes(2 * MIB).build()),
                workload("move", cardAndHost(), FaultSweepWorkloads::move)
                        .with(CONFIG.toBuilder().limitBytes(MIB).build()),
                workload("tracked buffers", card(), FaultSweepWorkloads::tracked)
                        .with(CONFIG.toBuilder().tracking(TrackingLevel.FULL).build()),
                workload("close over open buffers", card(), FaultSweepWorkloads::leftOpen)
                        .with(CONFIG.toBuilder().tracking(TrackingLevel.FULL).build())
                        .leaving(2)
                        .pumping(),
                workload("close over a copy to a peer", twoCards(true), FaultSweepWorkloads::leftCopying)
                        .leaving(1)
                        .pumping());
    }

    // What is done.

    private static void allocate(FaultSweepRun run) {
        try (DeviceBuffer buffer = run.allocate(run.pool(0), AllocationRequest.of(100 * KIB))) {
            assertThat(buffer.byteSize()).isEqualTo(100 * KIB);
        }
        try (DeviceBuffer _ = run.allocate(run.pool(0), AllocationRequest.of(50 * KIB))) {
            assertThat(run.pool(0).budget().totalBytes()).isEqualTo(16 * MIB);
            assertThat(run.pool(0).usableBytes()).isPositive();
            assertThat(run.pool(0).pressure()).isNotNull();
        }
    }

    private static void manySizes(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 8; i++) {
                AllocationRequest request = AllocationRequest.of((i * 37 % 8 + 1) * 90 * KIB);
                buffers.add(run.allocate(pool, i % 3 == 0 ? request.aligned(64 * KIB) : request));
            }
            buffers.closeEverySecond();
            for (int i = 0; i < 4; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of((i + 1) * 200 * KIB)));
            }
        }
    }

    private static void fullPool(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 3; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
            }
            assertThatThrownBy(() -> run.allocate(pool, AllocationRequest.of(MIB)))
                    .isInstanceOfAny(
                            DeviceOutOfMemoryException.class, FaultSweepTest.ANNOUNCED, FaultSweepTest.Thrown.class);
            buffers.get(1).close();
            buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
        }
    }

    private static void cleared(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (DeviceBuffer dirty = pool.allocate(80 * KIB)) {
            dirty.fill(0, 80 * KIB, (byte) 9);
        }
        try (DeviceBuffer buffer =
                run.allocate(pool, AllocationRequest.of(80 * KIB).zeroed())) {
            MemorySegment back = run.nativeBytes(80 * KIB, 1);
            buffer.read(0, back);
            requireAll(back, 0);
        }
    }

    private static void nativeTransfer(FaultSweepRun run) {
        transfer(run, 70 * KIB, run.nativeBytes(70 * KIB, 3), run.nativeBytes(70 * KIB, 4));
    }

    private static void heapTransfer(FaultSweepRun run) {
        MemorySegment source = MemorySegment.ofArray(pattern(70 * KIB, 3));
        transfer(run, 70 * KIB, source, MemorySegment.ofArray(new byte[70 * KIB]));
    }

    private static void largeTransfer(FaultSweepRun run) {
        transfer(run, 540 * KIB, run.nativeBytes(540 * KIB, 3), run.nativeBytes(540 * KIB, 4));
    }

    private static void transfer(FaultSweepRun run, int size, MemorySegment source, MemorySegment target) {
        try (DeviceBuffer buffer = run.allocate(run.pool(0), AllocationRequest.of(size + 100))) {
            buffer.write(100, source);
            buffer.read(100, target);
            requirePattern(target, 3);
        }
    }

    private static void asynchronous(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 300 * KIB;
        try (DeviceBuffer first = run.allocate(pool, AllocationRequest.of(size));
                DeviceBuffer second = run.allocate(pool, AllocationRequest.of(size))) {
            MemorySegment source = run.nativeBytes(size, 5);
            MemorySegment kept = run.nativeBytes(KIB, 6);
            MemorySegment target = run.nativeBytes(size, 7);
            CompletableFuture<Void> written = run.note(first.writeAsync(0, source));
            source.fill((byte) 0); // it is in staging memory by now
            CompletableFuture<Void> copied = run.note(first.copyToAsync(0, second, 0, size));
            CompletableFuture<Void> overwritten = run.note(second.writeAsync(size - KIB, kept, KeepAlive.CALLER));
            CompletableFuture<Void> read = run.note(second.readAsync(0, target));
            join(written);
            join(copied);
            join(overwritten);
            join(read);
            requirePattern(target.asSlice(0, size - KIB), 5);
            requirePattern(target.asSlice(size - KIB), 6);
        }
    }

    private static void fillAndCopy(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (DeviceBuffer first = run.allocate(pool, AllocationRequest.of(60 * KIB));
                DeviceBuffer second = run.allocate(pool, AllocationRequest.of(60 * KIB))) {
            first.fill(0, 60 * KIB, (byte) 1);
            first.fill(20 * KIB, 20 * KIB, (byte) 2);
            first.copyTo(0, second, 0, 60 * KIB);
            first.copyTo(0, first, 50 * KIB, 10 * KIB);
            MemorySegment back = run.nativeBytes(60 * KIB, 1);
            second.slice(0, 60 * KIB).read(0, back);
            requireAll(back.asSlice(0, 20 * KIB), 1);
            requireAll(back.asSlice(20 * KIB, 20 * KIB), 2);
        }
    }

    private static void copyToOther(FaultSweepRun run) {
        int size = 100 * KIB;
        try (DeviceBuffer here = run.allocate(run.pool(0), AllocationRequest.of(size));
                DeviceBuffer there = run.allocate(run.pool(1), AllocationRequest.of(size))) {
            here.write(0, run.nativeBytes(size, 8));
            there.fill(0, size, (byte) 0);
            here.copyTo(0, there, 0, size);
            MemorySegment back = run.nativeBytes(size, 9);
            there.read(0, back);
            requirePattern(back, 8);
        }
    }

    private static void copyToOtherAsync(FaultSweepRun run) {
        int size = 100 * KIB;
        try (DeviceBuffer here = run.allocate(run.pool(0), AllocationRequest.of(size));
                DeviceBuffer there = run.allocate(run.pool(1), AllocationRequest.of(size))) {
            here.write(0, run.nativeBytes(size, 8));
            CompletableFuture<Void> copied = run.note(here.copyToAsync(0, there, 0, size));
            MemorySegment back = run.nativeBytes(size, 9);
            CompletableFuture<Void> read = run.note(there.readAsync(0, back));
            join(copied); // only this future knows if the bytes never came
            join(read);
            requirePattern(back, 8);
        }
    }

    private static void hostVisible(FaultSweepRun run) {
        int size = 70 * KIB;
        for (MemoryKind kind : List.of(MemoryKind.DEVICE, MemoryKind.UPLOAD)) {
            AllocationRequest request = AllocationRequest.of(size).ofKind(kind);
            try (DeviceBuffer buffer = run.allocate(run.pool(0), request.zeroed());
                    DeviceBuffer other = run.allocate(run.pool(0), request)) {
                try (HostView view = buffer.map()) {
                    requireAll(view.segment(), 0);
                    view.segment().copyFrom(MemorySegment.ofArray(pattern(size, 11)));
                }
                buffer.copyTo(0, other, 0, size);
                MemorySegment back = MemorySegment.ofArray(new byte[size]);
                other.read(0, back);
                requirePattern(back, 11);
                join(run.note(other.writeAsync(0, run.nativeBytes(KIB, 12))));
                join(run.note(other.readAsync(0, back.asSlice(0, 0))));
            }
        }
    }

    private static void userQueues(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 64 * KIB;
        try (SimulatedQueue queue = run.device(0).newQueue();
                DeviceBuffer buffer = run.allocate(pool, AllocationRequest.of(size))) {
            CompletableFuture<Void> written = run.note(buffer.writeAsync(0, run.nativeBytes(size, 13)));
            buffer.waitOn(queue);
            QueueFence fence = launch(buffer, queue, size, 14);
            MemorySegment back = run.nativeBytes(size, 15);
            buffer.read(0, back); // behind the kernel
            requireAll(back, 14);
            assertThat(fence.await(Duration.ofSeconds(1))).isTrue();
            assertThat(fence.isDone()).isTrue();
            join(written);
        }
    }

    private static void userQueuesReuse(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 600 * KIB;
        try (SimulatedQueue queue = run.device(0).newQueue()) {
            try (DeviceBuffer buffer = run.allocate(pool, AllocationRequest.of(size))) {
                buffer.waitOn(queue);
                launch(buffer, queue, size, 16);
            }
            // There is no other memory: the next buffer has to wait for the kernel.
            try (DeviceBuffer buffer = run.allocate(pool, AllocationRequest.of(size))) {
                buffer.fill(0, size, (byte) 17);
                buffer.waitOn(queue);
                launch(buffer, queue, size, 18);
            }
        }
    }

    /** A user's kernel, as a careful user launches it: work that could not be declared is waited for. */
    private static QueueFence launch(DeviceBuffer buffer, SimulatedQueue queue, int size, int value) {
        try (PinnedRange range = ((PinnedRange.Source) buffer).pin()) {
            queue.submit(SimulatedKernel.lasting(millis(1))
                    .writing(range)
                    .doing(operands -> operands.getFirst().asSlice(0, size).fill((byte) value)));
        }
        boolean declared = false;
        try {
            QueueFence fence = buffer.usedOn(queue);
            declared = true;
            return fence;
        } finally {
            if (!declared) {
                queue.synchronize(Duration.ofSeconds(1));
            }
        }
    }

    private static void shrink(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 4; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(900 * KIB)));
            }
            buffers.closeEverySecond();
            pool.shrink();
            buffers.add(run.allocate(pool, AllocationRequest.of(700 * KIB)));
        }
        pool.clearPool();
        assertThat(pool.awaitIdle(Duration.ofSeconds(1))).isTrue();
    }

    /** A large buffer over the holes that trimming left: several pieces are committed for it, or none. */
    private static void holes(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 6; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(2 * MIB)));
            }
            for (int i = 0; i < 5; i += 2) {
                buffers.get(i).close();
            }
            pool.shrink();
            buffers.get(1).close();
            buffers.get(3).close();
            buffers.add(run.allocate(pool, AllocationRequest.of(9 * MIB)));
            buffers.get(6).fill(4 * MIB - KIB, 2 * KIB, (byte) 1);
        }
    }

    /** Pages of two gaps go back, and twice as many are taken at the end. */
    private static void movedPages(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 5; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
            }
            buffers.get(0).close();
            buffers.get(2).close();
            buffers.add(run.allocate(pool, AllocationRequest.of(4 * MIB)));
            buffers.get(5).fill(0, 4 * MIB, (byte) 1);
            buffers.add(run.allocate(pool, AllocationRequest.of(2 * MIB)));
        }
    }

    private static void movedBlocks(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 2; i < 6; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(i * 100 * KIB)));
            }
            buffers.closeEverySecond();
            buffers.add(run.allocate(pool, AllocationRequest.of(600 * KIB)));
            buffers.get(4).fill(0, 600 * KIB, (byte) 1);
            buffers.add(run.allocate(pool, AllocationRequest.of(300 * KIB)));
        }
    }

    private static void fallback(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 900 * KIB;
        try (FallbackBuffer first = pool.allocateWithFallback(size);
                FallbackBuffer second = pool.allocateWithFallback(size)) {
            second.asCpu().ifPresent(buffer -> run.note(buffer.pool()));
            first.fill(0, size, (byte) 21);
            first.copyTo(0, second, 0, size);
            MemorySegment back = MemorySegment.ofArray(new byte[size]);
            second.read(0, back);
            requireAll(back, 21);
        }
    }

    private static void reservation(FaultSweepRun run) {
        long each = 3 * MIB;
        try (Reservation reservation = run.memory()
                        .reserve(Map.of(run.pool(0).device(), each, run.pool(1).device(), each));
                DeviceBuffer buffer = reservation.pool(run.pool(0).device()).allocate(MIB)) {
            assertThat(buffer.byteSize()).isEqualTo(MIB);
            assertThat(reservation.remainingBytes(run.pool(1).device())).isEqualTo(each);
            try (DeviceBuffer other = reservation.pool(run.pool(1).device()).allocate(MIB)) {
                buffer.fill(0, KIB, (byte) 1);
                buffer.copyTo(0, other, 0, KIB);
            }
        }
    }

    private static void selection(FaultSweepRun run) {
        Selection selection = run.memory().selectBackendForModel(2 * MIB);
        run.note(selection.pool());
        try (Reservation reservation = selection.reserve()) {
            for (var device : reservation.devices()) {
                try (DeviceBuffer buffer = reservation.pool(device).allocate(MIB)) {
                    buffer.fill(0, KIB, (byte) 1);
                }
            }
        }
        assertThat(run.memory().summary()).contains("sim");
    }

    private static void siblingGivesBack(FaultSweepRun run) {
        try (DeviceBuffer idle = run.allocate(run.pool(0), AllocationRequest.of(3 * MIB))) {
            idle.fill(0, KIB, (byte) 1);
        }
        try (DeviceBuffer buffer = run.allocate(run.pool(1), AllocationRequest.of(3 * MIB))) {
            buffer.fill(0, KIB, (byte) 2);
        }
    }

    private static void listenerGivesBack(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        ((PoolEngine) pool).monitor().stop(); // its thread would call the driver whenever it likes
        try (Buffers buffers = new Buffers()) {
            pool.addPressureListener((_, _, _) -> {
                long bytes = buffers.get(0).byteSize();
                buffers.get(0).close();
                return bytes;
            });
            buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
            buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
            buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
        }
    }

    private static void move(FaultSweepRun run) {
        int size = 600 * KIB;
        GpuMemoryPool card = run.pool(0);
        GpuMemoryPool host = run.pool(1);
        try (FallbackBuffer buffer = card.allocateWithFallback(size)) {
            buffer.write(0, run.nativeBytes(size, 31));
            buffer.moveTo(host);
            buffer.moveTo(card);
            MemorySegment back = run.nativeBytes(size, 32);
            buffer.read(0, back);
            requirePattern(back, 31);
            DeviceBuffer taken = buffer.takeGpu().orElseThrow();
            try (taken) {
                taken.read(0, back);
            }
        }
    }

    private static void tracked(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        CompletableFuture<Void> use = new CompletableFuture<>();
        try (DeviceBuffer buffer =
                run.allocate(pool, AllocationRequest.of(50 * KIB).tagged("kv cache"))) {
            assertThat(pool.tracker().orElseThrow().all()).hasSize(1);
            buffer.closeAfter(use);
            buffer.fill(0, 50 * KIB, (byte) 1);
        } finally {
            assertThat(pool.tracker().orElseThrow().all()).isEmpty();
            use.complete(null);
        }
    }

    /** Nothing is closed, and work is under way: what a close of the memory has to cope with. */
    private static void leftOpen(FaultSweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 300 * KIB;
        SimulatedQueue queue = run.device(0).newQueue();
        DeviceBuffer buffer = pool.allocate(size);
        buffer.fill(0, size, (byte) 1);
        launch(buffer, queue, size, 2);
        DeviceBuffer other = pool.allocate(size);
        run.note(other.writeAsync(0, MemorySegment.ofArray(pattern(size, 3))));
        run.note(other.readAsync(0, run.nativeBytes(size, 4)));
    }

    /** A copy between devices that both close over. */
    private static void leftCopying(FaultSweepRun run) {
        int size = 200 * KIB;
        DeviceBuffer here = run.allocate(run.pool(0), AllocationRequest.of(size));
        DeviceBuffer there = run.allocate(run.pool(1), AllocationRequest.of(size));
        here.fill(0, KIB, (byte) 1);
        run.note(here.copyToAsync(0, there, 0, size));
        run.note(there.copyToAsync(0, here, 0, size));
    }

    // Where it is done.

    private static FaultSweepWorkload workload(
            String name, FaultSweepWorkload.Backends backends, FaultSweepWorkload.Body body) {
        return new FaultSweepWorkload(name, CONFIG, backends, 0, false, body);
    }

    private static SimulatedDevice.Builder small(String name) {
        return SimulatedDevice.builder(name).totalBytes(16 * MIB).maxBlockBytes(MIB);
    }

    private static FaultSweepWorkload.Backends card() {
        return (clock, plan) -> List.of(sim(clock, plan).device(small("card")).build());
    }

    private static FaultSweepWorkload.Backends stagedCard() {
        return (clock, plan) -> List.of(
                sim(clock, plan).device(small("card").withoutHostCopies()).build());
    }

    private static FaultSweepWorkload.Backends incoherentCard() {
        return (clock, plan) -> List.of(sim(clock, plan)
                .device(small("card").withoutHostCopies().withoutCoherence())
                .build());
    }

    private static FaultSweepWorkload.Backends visibleCard() {
        return (clock, plan) -> List.of(sim(clock, plan)
                .device(small("card").hostVisibleMemory().withoutCoherence())
                .build());
    }

    private static FaultSweepWorkload.Backends rangeCard() {
        return (clock, plan) -> List.of(sim(clock, plan)
                .device(SimulatedDevice.builder("card with ranges")
                        .totalBytes(16 * MIB)
                        .virtualMemory(256 * KIB))
                .build());
    }

    private static FaultSweepWorkload.Backends twoCards(boolean peers) {
        return (clock, plan) -> {
            SimulatedBackend.Builder backend = sim(clock, plan);
            for (String name : List.of("one card", "other card")) {
                backend.device(peers ? small(name) : small(name).withoutPeerCopies());
            }
            return List.of(backend.build());
        };
    }

    private static FaultSweepWorkload.Backends cardAndHost() {
        return (clock, plan) -> List.of(
                sim(clock, plan).device(small("card")).build(),
                SimulatedBackend.builder("cpu")
                        .priority(0)
                        .clock(clock)
                        .faults(plan)
                        .device(SimulatedDevice.host(64 * MIB).maxBlockBytes(4 * MIB))
                        .build());
    }

    /** One card that two backends show. */
    private static FaultSweepWorkload.Backends siblings() {
        return (clock, plan) -> {
            PhysicalMemory memory = PhysicalMemory.of(4 * MIB);
            List<SimulatedBackend> backends = new ArrayList<>();
            for (String name : List.of("sim", "sim2")) {
                backends.add(SimulatedBackend.builder(name)
                        .clock(clock)
                        .faults(plan)
                        .device(SimulatedDevice.builder("shared card").memory(memory))
                        .build());
            }
            return backends;
        };
    }

    private static SimulatedBackend.Builder sim(VirtualClock clock, FaultPlan plan) {
        return SimulatedBackend.builder("sim").clock(clock).faults(plan);
    }

    /** Buffers that are closed together. */
    private static final class Buffers implements AutoCloseable {
        private final List<DeviceBuffer> all = new ArrayList<>();

        void add(DeviceBuffer buffer) {
            all.add(buffer);
        }

        DeviceBuffer get(int index) {
            return all.get(index);
        }

        void closeEverySecond() {
            for (int i = 0; i < all.size(); i += 2) {
                all.get(i).close();
            }
        }

        @Override
        public void close() {
            all.forEach(DeviceBuffer::close);
        }
    }
}
