package dev.headroom.memory.cuda;

import static dev.headroom.memory.cuda.SweepRun.join;
import static dev.headroom.memory.cuda.SweepRun.pattern;
import static dev.headroom.memory.cuda.SweepRun.requireAll;
import static dev.headroom.memory.cuda.SweepRun.requirePattern;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.Selection;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.cuda.CudaDouble.Property;
import dev.headroom.memory.cuda.CudaDouble.Work;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** What the sweep does with every call failing in turn. Devices are small, so that thousands of runs are quick. */
final class SweepWorkloads {

    private static final int KIB = 1024;
    private static final int MIB = 1024 * KIB;
    private static final long GRANULE = MIB;

    /** Real time passes only where something that never comes is waited for. */
    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .stagingBytes(MIB)
            .limitBytes(12 * MIB)
            .waitTimeout(Duration.ofMillis(20))
            .closeTimeout(Duration.ofMillis(40))
            .build();

    private SweepWorkloads() {}

    static List<SweepWorkload> all() {
        return List.of(
                card("open and close", run -> run.pool(0)),
                card("ask before opening", SweepWorkloads::ask),
                card("allocate and close", SweepWorkloads::allocate),
                card("many sizes and growth", SweepWorkloads::manySizes),
                blocks("many sizes and growth, in blocks", SweepWorkloads::manySizes),
                card("full pool, then room", SweepWorkloads::fullPool).with(config -> config.limitBytes(3 * MIB)),
                blocks("full pool of blocks, then room", SweepWorkloads::fullPool)
                        .with(config -> config.limitBytes(3 * MIB)),
                blocks("memory others take", SweepWorkloads::occupied),
                card("cleared memory", SweepWorkloads::cleared),
                card("write and read native memory", SweepWorkloads::nativeTransfer),
                card("write and read heap memory", SweepWorkloads::heapTransfer),
                card("transfer over several staging slots", SweepWorkloads::largeTransfer),
                card("asynchronous transfers", SweepWorkloads::asynchronous).pumping(),
                card("asynchronous transfers of a slow device", SweepWorkloads::asynchronous)
                        .on(driver -> driver.work(Work.BY_WORKER, 20_000))
                        .pumping(),
                card("fill and copy", SweepWorkloads::fillAndCopy),
                cards("copy to a peer", true, SweepWorkloads::copyToOther),
                cards("copy to a peer, asynchronously", true, SweepWorkloads::copyToOtherAsync)
                        .pumping(),
                cards("copy through the host", false, SweepWorkloads::copyToOther),
                card("host-visible memory", SweepWorkloads::hostVisible).pumping(),
                card("streams of the user", SweepWorkloads::userStreams).pumping(),
                card("streams of the user, and reuse", SweepWorkloads::userStreamsReuse)
                        .with(config -> config.limitBytes(MIB)),
                card("pointers for kernels", SweepWorkloads::pointers),
                card("shrink", SweepWorkloads::shrink),
                blocks("shrink blocks", SweepWorkloads::shrink),
                card("address ranges with holes", SweepWorkloads::holes)
                        .on(driver -> driver.set(0, Property.GRANULARITY, 256 * KIB))
                        .with(config -> config.limitBytes(8 * MIB)),
                card("fallback to the host", SweepWorkloads::fallback).with(config -> config.limitBytes(MIB)),
                cards("reservation", true, SweepWorkloads::reservation),
                card("selection", SweepWorkloads::selection),
                card("memory taken in advance", SweepWorkloads::allocate)
                        .with(config -> config.preAllocation(List.of((long) MIB, 100L * KIB))),
                card("a listener gives back", SweepWorkloads::listenerGivesBack)
                        .with(config -> config.limitBytes(2 * MIB)),
                card("move", SweepWorkloads::move).with(config -> config.limitBytes(MIB)),
                card("tracked buffers", SweepWorkloads::tracked).with(config -> config.tracking(TrackingLevel.FULL)),
                card("close over open buffers", SweepWorkloads::leftOpen)
                        .leaving()
                        .pumping(),
                cards("close over a copy to a peer", true, SweepWorkloads::leftCopying)
                        .leaving()
                        .pumping());
    }

    // What is done.

    private static void ask(SweepRun run) {
        var device = run.device(0);
        assertThat(run.memory().budget(device).totalBytes()).isEqualTo(32L * MIB);
        run.memory().usableBytes(device);
        run.memory().pressure(device);
        run.memory().explainSelection(MIB);
        assertThat(run.memory().summary()).contains("cuda");
    }

    private static void allocate(SweepRun run) {
        try (DeviceBuffer buffer = run.allocate(run.pool(0), AllocationRequest.of(100 * KIB))) {
            assertThat(buffer.byteSize()).isEqualTo(100 * KIB);
        }
        try (DeviceBuffer _ = run.allocate(run.pool(0), AllocationRequest.of(50 * KIB))) {
            assertThat(run.pool(0).budget().totalBytes()).isEqualTo(32 * MIB);
            assertThat(run.pool(0).usableBytes()).isPositive();
            assertThat(run.pool(0).pressure()).isNotNull();
        }
    }

    private static void manySizes(SweepRun run) {
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

    private static void fullPool(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 3; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
            }
            assertThatThrownBy(() -> run.allocate(pool, AllocationRequest.of(MIB)))
                    .isInstanceOf(GpuMemoryException.class);
            buffers.get(1).close();
            buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
        }
    }

    /** Another process takes the memory this one was about to take, and gives some back. */
    private static void occupied(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            buffers.add(run.allocate(pool, AllocationRequest.of(2 * MIB)));
            run.driver().occupy(0, 32L * MIB);
            assertThatThrownBy(() -> run.allocate(pool, AllocationRequest.of(9 * MIB)))
                    .isInstanceOf(GpuMemoryException.class);
            run.driver().occupy(0, 0);
            buffers.add(run.allocate(pool, AllocationRequest.of(3 * MIB)));
        } finally {
            run.driver().occupy(0, 0);
        }
    }

    private static void cleared(SweepRun run) {
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

    private static void nativeTransfer(SweepRun run) {
        transfer(run, 70 * KIB, run.nativeBytes(70 * KIB, 3), run.nativeBytes(70 * KIB, 4));
    }

    private static void heapTransfer(SweepRun run) {
        MemorySegment source = MemorySegment.ofArray(pattern(70 * KIB, 3));
        transfer(run, 70 * KIB, source, MemorySegment.ofArray(new byte[70 * KIB]));
    }

    private static void largeTransfer(SweepRun run) {
        MemorySegment source = MemorySegment.ofArray(pattern(900 * KIB, 3));
        transfer(run, 900 * KIB, source, MemorySegment.ofArray(new byte[900 * KIB]));
    }

    private static void transfer(SweepRun run, int size, MemorySegment source, MemorySegment target) {
        try (DeviceBuffer buffer = run.allocate(run.pool(0), AllocationRequest.of(size + 100))) {
            buffer.write(100, source);
            buffer.read(100, target);
            requirePattern(target, 3);
        }
    }

    private static void asynchronous(SweepRun run) {
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

    private static void fillAndCopy(SweepRun run) {
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

    private static void copyToOther(SweepRun run) {
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

    private static void copyToOtherAsync(SweepRun run) {
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

    private static void hostVisible(SweepRun run) {
        int size = 70 * KIB;
        for (MemoryKind kind : List.of(MemoryKind.UPLOAD, MemoryKind.READBACK)) {
            AllocationRequest request = AllocationRequest.of(size).ofKind(kind);
            try (DeviceBuffer buffer = run.allocate(run.pool(0), request.zeroed());
                    DeviceBuffer other = run.allocate(run.pool(0), AllocationRequest.of(size))) {
                try (HostView view = buffer.map()) {
                    requireAll(view.segment(), 0);
                    view.segment().copyFrom(MemorySegment.ofArray(pattern(size, 11)));
                }
                buffer.copyTo(0, other, 0, size);
                MemorySegment back = MemorySegment.ofArray(new byte[size]);
                other.read(0, back);
                requirePattern(back, 11);
                join(run.note(other.copyToAsync(0, buffer, 0, size)));
            }
        }
    }

    private static void userStreams(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 64 * KIB;
        try (SweepStream stream = run.stream(pool);
                DeviceBuffer buffer = run.allocate(pool, AllocationRequest.of(size))) {
            CompletableFuture<Void> written = run.note(buffer.writeAsync(0, run.nativeBytes(size, 13)));
            buffer.waitOn(stream.queue());
            stream.fill(buffer, size, 14);
            MemorySegment back = run.nativeBytes(size, 15);
            buffer.read(0, back); // behind the kernel
            requireAll(back, 14);
            join(written);
        }
    }

    private static void userStreamsReuse(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 600 * KIB;
        try (SweepStream stream = run.stream(pool)) {
            try (DeviceBuffer buffer = run.allocate(pool, AllocationRequest.of(size))) {
                buffer.waitOn(stream.queue());
                stream.fill(buffer, size, 16);
            }
            // There is no other memory: the next buffer has to wait for the kernel.
            try (DeviceBuffer buffer = run.allocate(pool, AllocationRequest.of(size))) {
                buffer.fill(0, size, (byte) 17);
                buffer.waitOn(stream.queue());
                stream.fill(buffer, size, 18);
            }
        }
    }

    private static void pointers(SweepRun run) {
        try (DeviceBuffer buffer = run.allocate(run.pool(0), AllocationRequest.of(4096))) {
            buffer.fill(0, 4096, (byte) 1);
            try (CudaPointer pointer = CudaPointer.of(buffer)) {
                assertThat(pointer.pointer()).isNotNull();
            }
        }
    }

    private static void shrink(SweepRun run) {
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
    private static void holes(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        try (Buffers buffers = new Buffers()) {
            for (int i = 0; i < 6; i++) {
                buffers.add(run.allocate(pool, AllocationRequest.of(MIB)));
            }
            for (int i = 0; i < 5; i += 2) {
                buffers.get(i).close();
            }
            pool.shrink();
            buffers.get(1).close();
            buffers.get(3).close();
            buffers.add(run.allocate(pool, AllocationRequest.of(4 * MIB + 300 * KIB)));
            buffers.get(6).fill(4 * MIB - KIB, 2 * KIB, (byte) 1);
        }
    }

    private static void fallback(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 900 * KIB;
        try (FallbackBuffer first = pool.allocateWithFallback(size);
                FallbackBuffer second = pool.allocateWithFallback(size)) {
            first.fill(0, size, (byte) 21);
            first.copyTo(0, second, 0, size);
            MemorySegment back = MemorySegment.ofArray(new byte[size]);
            second.read(0, back);
            requireAll(back, 21);
        }
    }

    private static void reservation(SweepRun run) {
        long each = 3 * MIB;
        try (Reservation reservation = run.memory().reserve(Map.of(run.device(0), each, run.device(1), each));
                DeviceBuffer buffer = reservation.pool(run.device(0)).allocate(MIB)) {
            assertThat(buffer.byteSize()).isEqualTo(MIB);
            try (DeviceBuffer other = reservation.pool(run.device(1)).allocate(MIB)) {
                buffer.fill(0, KIB, (byte) 1);
                buffer.copyTo(0, other, 0, KIB);
            }
        }
    }

    private static void selection(SweepRun run) {
        Selection selection = run.memory().selectBackendForModel(2 * MIB);
        try (Reservation reservation = selection.reserve()) {
            for (var device : reservation.devices()) {
                try (DeviceBuffer buffer = reservation.pool(device).allocate(MIB)) {
                    buffer.fill(0, KIB, (byte) 1);
                }
            }
        }
    }

    private static void listenerGivesBack(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
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

    private static void move(SweepRun run) {
        int size = 600 * KIB;
        GpuMemoryPool card = run.pool(0);
        try (FallbackBuffer buffer = card.allocateWithFallback(size)) {
            buffer.write(0, run.nativeBytes(size, 31));
            buffer.moveTo(run.hostPool());
            buffer.moveTo(card);
            MemorySegment back = run.nativeBytes(size, 32);
            buffer.read(0, back);
            requirePattern(back, 31);
        }
    }

    private static void tracked(SweepRun run) {
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
    private static void leftOpen(SweepRun run) {
        GpuMemoryPool pool = run.pool(0);
        int size = 300 * KIB;
        DeviceBuffer buffer = pool.allocate(size);
        buffer.fill(0, size, (byte) 1);
        DeviceBuffer other = pool.allocate(size);
        run.note(other.writeAsync(0, MemorySegment.ofArray(pattern(size, 3))));
        run.note(other.readAsync(0, run.nativeBytes(size, 4)));
    }

    /** A copy between devices that both close over. */
    private static void leftCopying(SweepRun run) {
        int size = 200 * KIB;
        DeviceBuffer here = run.allocate(run.pool(0), AllocationRequest.of(size));
        DeviceBuffer there = run.allocate(run.pool(1), AllocationRequest.of(size));
        here.fill(0, KIB, (byte) 1);
        run.note(here.copyToAsync(0, there, 0, size));
        run.note(there.copyToAsync(0, here, 0, size));
    }

    // Where it is done.

    private static SweepWorkload card(String name, SweepWorkload.Body body) {
        return new SweepWorkload(name, CONFIG, List.of(32L), driver -> small(driver, 1), false, false, body);
    }

    private static SweepWorkload blocks(String name, SweepWorkload.Body body) {
        return card(name, body).on(driver -> driver.set(0, Property.WITHOUT_VIRTUAL_MEMORY, true));
    }

    private static SweepWorkload cards(String name, boolean peers, SweepWorkload.Body body) {
        return new SweepWorkload(
                name, CONFIG, List.of(32L, 32L), driver -> small(driver, 2).peers(peers, 2), false, false, body);
    }

    private static CudaDouble small(CudaDouble driver, int devices) {
        for (int i = 0; i < devices; i++) {
            driver.set(i, Property.GRANULARITY, GRANULE).set(i, Property.CONTEXT_BYTES, MIB);
        }
        return driver;
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
