package dev.headroom.memory.engine;

import dev.headroom.memory.BufferRange;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Moves bytes into, out of and between buffers of one device. The way is chosen by what the memory is like: where the host
 * reaches it, bytes are copied through a mapping; else the driver is given the host's memory; and where it declines, they go
 * through a {@link StagingRing}. Thread-safe. Callers hold a use of every buffer involved.
 *
 * <p>Everything submitted is recorded on its buffers before a method returns or throws, so that their memory is not reused
 * under it.
 */
final class CopyEngine {

    private static final long BOUNCE_BYTES = 1L << 20;
    private static final long PIECE_BYTES = 16L << 20;
    private static final int SIGNAL_TRIES = 2;

    private final DeviceSession session;
    private final StagingRing upload;
    private final StagingRing readback;
    private final CompletionPump pump;
    private final Waiter waiter;
    private final Duration idleTimeout;
    private final AtomicReference<@Nullable TransferQueue> queue = new AtomicReference<>();
    /** Queues of other devices that may be writing here, which this device knows nothing about. */
    private final Set<TransferQueue> visitors = ConcurrentHashMap.newKeySet();
    /** Whether the driver has said that it does not take host memory. */
    private volatile boolean hostDeclined;

    CopyEngine(
            DeviceSession session,
            StagingRing upload,
            StagingRing readback,
            CompletionPump pump,
            Waiter waiter,
            Duration idleTimeout) {
        this.session = session;
        this.upload = upload;
        this.readback = readback;
        this.pump = pump;
        this.waiter = waiter;
        this.idleTimeout = idleTimeout;
    }

    /** Copies bytes in and waits for them. */
    void write(Extent buffer, long offset, MemorySegment source) {
        if (buffer.hostVisible()) {
            mapAndWrite(buffer, offset, source);
            return;
        }
        Point.OnQueue end = submitFromHost(buffer, offset, source);
        if (end == null) {
            end = writeStaged(buffer, offset, source);
        }
        finish(end);
    }

    /** Copies bytes out and waits for them. */
    void read(Extent buffer, long offset, MemorySegment target) {
        if (buffer.hostVisible()) {
            mapAndRead(buffer, offset, target);
            return;
        }
        if (target.isNative() && !hostDeclined) {
            Point.OnQueue end = trySubmit(
                    "reading", new Copy(at(buffer, offset), new InHost(target), target.byteSize()), buffer, null);
            if (end != null) {
                finish(end);
                return;
            }
            hostDeclined = true;
        }
        readStaged(buffer, offset, target);
    }

    /** Sets bytes and waits. */
    void fill(Extent buffer, long offset, long size, byte value) {
        if (buffer.hostVisible()) {
            waiter.awaitWork(buffer.pending());
            withMapping(buffer.block(), buffer.byteOffset() + offset, size, MapAccess.WRITE_DISCARD, mapping -> {
                mapping.segment().fill(value);
                mapping.flush();
            });
            return;
        }
        Point.OnQueue end =
                trySubmit("filling", new Fill(buffer.block(), buffer.byteOffset() + offset, size, value), buffer, null);
        if (end != null) {
            finish(end);
            return;
        }
        throughHost(size, this, pattern -> {
            pattern.fill(value);
            for (long done = 0; done < size; done += pattern.byteSize()) {
                long part = Math.min(pattern.byteSize(), size - done);
                write(buffer, offset + done, pattern.asSlice(0, part));
            }
        });
    }

    /** Copies bytes to a buffer of this device or another and waits. */
    void copy(Extent source, long sourceOffset, CopyEngine there, Extent target, long targetOffset, long size) {
        Point.OnQueue end = submitCopy(source, sourceOffset, there, target, targetOffset, size);
        if (end != null) {
            finish(end);
        } else {
            bounce(source, sourceOffset, there, target, targetOffset, size);
        }
    }

    /** Copies bytes in; the future ends when they have arrived. */
    CompletableFuture<Void> writeAsync(Extent buffer, long offset, MemorySegment source, KeepAlive keepAlive) {
        if (buffer.hostVisible()) {
            mapAndWrite(buffer, offset, source);
            return CompletableFuture.completedFuture(null);
        }
        Point.OnQueue end = keepAlive == KeepAlive.CALLER ? submitFromHost(buffer, offset, source) : null;
        return future(end != null ? end : writeStaged(buffer, offset, source));
    }

    /** Copies bytes out; the future ends when they have arrived. */
    CompletableFuture<Void> readAsync(Extent buffer, long offset, MemorySegment target) {
        if (buffer.hostVisible()) {
            mapAndRead(buffer, offset, target);
            return CompletableFuture.completedFuture(null);
        }
        if (target.isNative() && !hostDeclined) {
            Point.OnQueue end = trySubmit(
                    "reading", new Copy(at(buffer, offset), new InHost(target), target.byteSize()), buffer, null);
            if (end != null) {
                return future(end);
            }
            hostDeclined = true;
        }
        return readStagedAsync(buffer, offset, target);
    }

    /** Copies bytes to another buffer; between devices that cannot reach each other the copy is done before this returns. */
    CompletableFuture<Void> copyAsync(
            Extent source, long sourceOffset, CopyEngine there, Extent target, long targetOffset, long size) {
        Point.OnQueue end = submitCopy(source, sourceOffset, there, target, targetOffset, size);
        if (end != null) {
            return future(end);
        }
        bounce(source, sourceOffset, there, target, targetOffset, size);
        return CompletableFuture.completedFuture(null);
    }

    /** Waits until no other device writes here. An interrupt stays set. False if one still does, or nobody can tell. */
    boolean awaitVisitors(Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean interrupted = false;
        try {
            for (TransferQueue visitor : visitors) {
                if (visitor.mayBeBusy()) {
                    visitor.requireKnown();
                }
                long value = visitor.lastIssued();
                boolean ended;
                long left;
                do {
                    interrupted |= Thread.interrupted();
                    left = deadline - System.nanoTime();
                    ended = visitor.awaitReached(value, Duration.ofNanos(Math.max(0, left)));
                } while (!ended && left > 0 && Thread.currentThread().isInterrupted());
                if (!ended) {
                    return false;
                }
            }
            return true;
        } catch (GpuMemoryException e) {
            return false; // lost, and what it still does nobody knows
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Lets go of the queue. Nothing is under way. */
    void close() {
        TransferQueue open = queue.getAndSet(null);
        if (open != null) {
            session.letGo(open::close);
        }
    }

    /** Uses a mapping. */
    @FunctionalInterface
    private interface MappingUse {
        void use(HostMapping mapping) throws DriverException;
    }

    private void mapAndWrite(Extent buffer, long offset, MemorySegment source) {
        waiter.awaitWork(buffer.pending());
        long size = source.byteSize();
        withMapping(buffer.block(), buffer.byteOffset() + offset, size, MapAccess.WRITE_DISCARD, mapping -> {
            copyInPieces(source, mapping.segment());
            mapping.flush();
        });
    }

    private void mapAndRead(Extent buffer, long offset, MemorySegment target) {
        waiter.awaitWork(buffer.pending());
        long size = target.byteSize();
        withMapping(buffer.block(), buffer.byteOffset() + offset, size, MapAccess.READ, mapping -> {
            mapping.invalidate();
            copyInPieces(mapping.segment(), target);
        });
    }

    /** One long copy would keep the garbage collector, and with it every thread, waiting until its end. */
    private static void copyInPieces(MemorySegment source, MemorySegment target) {
        long size = source.byteSize();
        for (long done = 0; done < size; done += PIECE_BYTES) {
            MemorySegment.copy(source, done, target, done, Math.min(PIECE_BYTES, size - done));
        }
    }

    private void withMapping(DriverBlock block, long offset, long size, MapAccess access, MappingUse use) {
        session.requireAlive();
        try (HostMapping mapping = session.driver().map(block, offset, size, access)) {
            use.use(mapping);
        } catch (DriverException e) {
            throw session.failed("reaching memory from the host", e);
        }
    }

    private Point.@Nullable OnQueue submitFromHost(Extent buffer, long offset, MemorySegment source) {
        if (!source.isNative() || hostDeclined) {
            return null;
        }
        Copy copy = new Copy(new InHost(source), at(buffer, offset), source.byteSize());
        Point.OnQueue end = trySubmit("writing", copy, buffer, null);
        hostDeclined = end == null;
        return end;
    }

    private Point.@Nullable OnQueue submitCopy(
            Extent source, long sourceOffset, CopyEngine there, Extent target, long targetOffset, long size) {
        Copy copy;
        if (there.session.equals(session)) {
            copy = new Copy(at(source, sourceOffset), at(target, targetOffset), size);
            return trySubmit("copying", copy, source, target);
        }
        if (!there.session.device().backend().equals(session.device().backend())) {
            return null;
        }
        there.waiter.awaitWork(target.pending()); // our queue cannot wait for another driver's
        InPeer peer = new InPeer(target.block(), target.byteOffset() + targetOffset);
        Point.OnQueue end = trySubmit("copying", new Copy(at(source, sourceOffset), peer, size), source, null);
        if (end != null) {
            target.addPending(end);
            there.visitors.removeIf(visitor -> !visitor.mayBeBusy());
            there.visitors.add(end.queue());
        }
        return end;
    }

    /** Copies piece by piece through the host. */
    private void bounce(
            Extent source, long sourceOffset, CopyEngine there, Extent target, long targetOffset, long size) {
        throughHost(size, there, through -> {
            for (long done = 0; done < size; done += through.byteSize()) {
                MemorySegment part = through.asSlice(0, Math.min(through.byteSize(), size - done));
                read(source, sourceOffset + done, part);
                there.write(target, targetOffset + done, part);
            }
        });
    }

    /** Copies piece by piece to a buffer the engine knows nothing about. */
    void copyThroughHost(Extent source, long offset, BufferRange target, long size) {
        throughHost(size, this, through -> {
            for (long done = 0; done < size; done += through.byteSize()) {
                MemorySegment part = through.asSlice(0, Math.min(through.byteSize(), size - done));
                read(source, offset + done, part);
                target.buffer().write(target.byteOffset() + done, part);
            }
        });
    }

    /**
     * Lends memory of the host for transfers that are waited for. Where a wait ends because nothing is known about the device
     * any more, the device may still use the memory: then it is never given back.
     */
    private void throughHost(long size, CopyEngine there, Consumer<MemorySegment> use) {
        Arena arena = Arena.ofConfined();
        boolean ended = false;
        try {
            use.accept(arena.allocate(Math.clamp(size, 1, BOUNCE_BYTES)));
            ended = true;
        } finally {
            if (ended || !(mayBeBusy() || there.mayBeBusy())) {
                arena.close();
            }
        }
    }

    private Point.OnQueue writeStaged(Extent buffer, long offset, MemorySegment source) {
        Point.OnQueue end = null;
        for (long done = 0; done < source.byteSize(); ) {
            StagingRing.Slot slot = upload.acquire();
            long part = Math.min(slot.byteSize(), source.byteSize() - done);
            Point.OnQueue busy = null;
            try {
                MemorySegment piece = source.asSlice(done, part);
                withMapping(slot.block(), slot.byteOffset(), part, MapAccess.WRITE_DISCARD, mapping -> {
                    mapping.segment().copyFrom(piece);
                    mapping.flush();
                });
                InBlock from = new InBlock(slot.block(), slot.byteOffset());
                busy = submit("writing", new Copy(from, at(buffer, offset + done), part), buffer, null);
            } finally {
                upload.release(slot, busy);
            }
            end = busy;
            done += part;
        }
        if (end == null) {
            throw new IllegalArgumentException("nothing to write");
        }
        return end;
    }

    /**
     * Part of a staged read under way.
     *
     * @param slot   where the bytes go through
     * @param end    when they are there
     * @param target where they belong
     */
    private record Piece(StagingRing.Slot slot, Point.OnQueue end, MemorySegment target) {}

    private void readStaged(Extent buffer, long offset, MemorySegment target) {
        ArrayDeque<Piece> underWay = new ArrayDeque<>();
        try {
            long next = 0;
            while (next < target.byteSize() || !underWay.isEmpty()) {
                StagingRing.Slot slot = null;
                if (next < target.byteSize()) {
                    slot = underWay.isEmpty() ? readback.acquire() : readback.tryAcquire();
                }
                if (slot != null) {
                    Piece piece = submitPiece(buffer, offset, target, next, slot);
                    underWay.add(piece);
                    next += piece.target().byteSize();
                } else {
                    Piece piece = underWay.element();
                    waiter.await(piece.end());
                    copyOut(piece);
                    underWay.remove();
                    readback.release(piece.slot(), null);
                }
            }
        } finally {
            underWay.forEach(piece -> readback.release(piece.slot(), piece.end()));
        }
    }

    /** The future of a read in pieces: it ends when no piece touches the target any more, well if all pieces arrived. */
    private final class PiecewiseRead {
        private final CompletableFuture<Void> future = new CompletableFuture<>();
        private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        /** Pieces under way, and one for the loop that submits them. */
        private final AtomicInteger open = new AtomicInteger(1);

        void add(Piece piece) {
            open.incrementAndGet();
            pump.add(piece.end(), lost -> arrived(piece, lost));
        }

        private void arrived(Piece piece, @Nullable GpuMemoryException lost) {
            try {
                if (lost == null) {
                    copyOut(piece);
                } else {
                    fail(lost);
                }
            } catch (RuntimeException | Error e) {
                fail(e);
            } finally {
                readback.release(piece.slot(), piece.end());
                endOne();
            }
        }

        void fail(Throwable cause) {
            failure.compareAndSet(null, cause);
        }

        void endOne() {
            if (open.decrementAndGet() == 0) {
                CompletionPump.complete(future, failure.get());
            }
        }
    }

    private CompletableFuture<Void> readStagedAsync(Extent buffer, long offset, MemorySegment target) {
        PiecewiseRead read = new PiecewiseRead();
        boolean any = false;
        try {
            for (long next = 0; next < target.byteSize(); ) {
                Piece piece = submitPiece(buffer, offset, target, next, readback.acquire());
                next += piece.target().byteSize();
                read.add(piece);
                any = true;
            }
        } catch (RuntimeException | Error e) {
            if (!any) {
                throw e;
            }
            read.fail(e); // earlier pieces are still on their way to the target
        } finally {
            read.endOne();
        }
        return read.future;
    }

    private Piece submitPiece(Extent buffer, long offset, MemorySegment target, long start, StagingRing.Slot slot) {
        long part = Math.min(slot.byteSize(), target.byteSize() - start);
        Point.OnQueue end = null;
        try {
            InBlock to = new InBlock(slot.block(), slot.byteOffset());
            end = submit("reading", new Copy(at(buffer, offset + start), to, part), buffer, null);
        } finally {
            if (end == null) {
                readback.release(slot, null);
            }
        }
        return new Piece(slot, end, target.asSlice(start, part));
    }

    private void copyOut(Piece piece) {
        long size = piece.target().byteSize();
        withMapping(piece.slot().block(), piece.slot().byteOffset(), size, MapAccess.READ, mapping -> {
            mapping.invalidate();
            piece.target().copyFrom(mapping.segment());
        });
    }

    private Point.OnQueue submit(String doing, TransferCommand command, Extent buffer, @Nullable Extent other) {
        Point.OnQueue end = trySubmit(doing, command, buffer, other);
        if (end == null) {
            throw new GpuMemoryException(session.device() + ": " + doing
                    + " is not supported by this driver, not even through staging memory");
        }
        return end;
    }

    /** Submits a command behind everything its buffers wait for, and records its end on them. Null if unsupported. */
    private Point.@Nullable OnQueue trySubmit(
            String doing, TransferCommand command, Extent buffer, @Nullable Extent other) {
        session.requireAlive();
        try {
            TransferQueue ours = queue();
            orderAfter(ours, buffer);
            if (other != null) {
                orderAfter(ours, other);
            }
            Point.OnQueue end = submitAndMark(command, ours);
            buffer.addPending(end);
            if (other != null) {
                other.addPending(end);
            }
            return end;
        } catch (DriverException e) {
            if (e.kind() == DriverException.Kind.UNSUPPORTED) {
                return null;
            }
            throw session.failed(doing, e);
        }
    }

    /** Work that was submitted must not be forgotten, whatever fails behind it: where it cannot be marked, it is waited for. */
    private Point.OnQueue submitAndMark(TransferCommand command, TransferQueue ours) throws DriverException {
        try {
            session.driver().submit(command, ours.queue());
            return mark(ours);
        } catch (RuntimeException | Error e) {
            // No driver should throw this; nobody knows how far it had come.
            if (!session.isLost() && !drained(ours)) {
                session.lose(e);
            }
            throw e;
        }
    }

    private Point.OnQueue mark(TransferQueue ours) {
        DriverException failure = null;
        for (int round = 0; round < SIGNAL_TRIES; round++) {
            try {
                long value = session.driver().signal(ours.queue());
                ours.issued(value);
                return new Point.OnQueue(ours, value);
            } catch (DriverException e) {
                failure = e;
                if (e.kind() == DriverException.Kind.DEVICE_LOST) {
                    throw session.lose(e);
                }
            }
        }
        if (drained(ours)) {
            return new Point.OnQueue(ours, 0);
        }
        throw session.lose(Objects.requireNonNull(failure));
    }

    /** Whether all work on the device has ended, as the device itself says. If it does not say so, ours may go on for ever. */
    private boolean drained(TransferQueue ours) {
        long before = ours.lastIssued();
        try {
            if (session.awaitIdle(idleTimeout)) {
                ours.reached(before);
                return true;
            }
        } catch (DriverException e) {
            if (e.kind() == DriverException.Kind.DEVICE_LOST) {
                session.lose(e);
            }
        } catch (RuntimeException | Error e) {
            // The failure that led here is the one to report.
        }
        ours.issued(Long.MAX_VALUE);
        return false;
    }

    /** Whether something that was submitted is not known to have ended. Asks nobody. */
    boolean mayBeBusy() {
        TransferQueue ours = queue.get();
        return ours != null && ours.mayBeBusy();
    }

    private void orderAfter(TransferQueue ours, Extent buffer) throws DriverException {
        for (Point.Pending p = buffer.pending(); p != null; p = p.rest()) {
            switch (p.first()) {
                case Point.OnFence fence -> orderAfter(ours, fence);
                case Point.OnQueue queued -> {
                    if (!queued.queue().equals(ours)) {
                        waiter.await(queued);
                    }
                }
                case Point.OnStage ignored -> {}
            }
        }
    }

    private void orderAfter(TransferQueue ours, Point.OnFence fence) throws DriverException {
        try {
            if (!fence.done()) {
                fence.holdBack(ours.queue());
            }
        } catch (DriverException e) {
            if (e.kind() != DriverException.Kind.UNSUPPORTED) {
                throw e;
            }
            waiter.await(fence); // what the device cannot do, we can
        }
    }

    private TransferQueue queue() throws DriverException {
        TransferQueue open = queue.get();
        if (open != null) {
            return open;
        }
        TransferQueue fresh = new TransferQueue(session, session.driver().openQueue());
        TransferQueue winner = queue.compareAndExchange(null, fresh);
        if (winner == null) {
            return fresh;
        }
        fresh.close();
        return winner;
    }

    private void finish(Point.OnQueue end) {
        waiter.await(end);
    }

    private CompletableFuture<Void> future(Point.OnQueue end) {
        CompletableFuture<Void> future = new CompletableFuture<>();
        pump.add(end, failure -> CompletionPump.complete(future, failure));
        return future;
    }

    private static InBlock at(Extent buffer, long offset) {
        return new InBlock(buffer.block(), buffer.byteOffset() + offset);
    }
}
