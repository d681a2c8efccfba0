package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.BufferRange;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.engine.EngineEvents.Span;
import dev.headroom.memory.engine.EngineEvents.Transfer;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A buffer in one of the engine's heaps. Each call holds a use of the pool and of the buffer while it lasts, so that neither
 * goes away under it; what it leaves under way on the device is recorded as pending.
 */
final class EngineBuffer extends Extent implements DeviceBuffer, PinnedRange.Source {

    /** A thread that is none of the user's, to ask whether memory can be reached from other threads. */
    private static final Thread ANY_OTHER_THREAD = Thread.ofPlatform().unstarted(() -> {});

    private final BufferHome home;

    EngineBuffer(BufferHome home, Heap heap, int node, long byteSize) {
        super(heap, node, byteSize);
        this.home = home;
    }

    private @Nullable BufferTrail trail() {
        BufferNotes notes = notes();
        return notes == null ? null : notes.trail();
    }

    /** Its name in a trace, so that its end is found there too; 0 for none. Before anybody else sees the buffer. */
    void traceAs(long id) {
        BufferNotes notes = ownNotes();
        notes.traceAs(id);
        BufferTrail trail = notes.trail();
        if (trail != null) {
            trail.traceAs(id);
        }
    }

    @Override
    public BufferId id() {
        return ownNotes().id();
    }

    @Override
    public BufferLocation location() {
        return home.location();
    }

    @Override
    public boolean deviceAccessible() {
        return true;
    }

    @Override
    public GpuMemoryPool pool() {
        return home.pool();
    }

    @Override
    public MemoryKind kind() {
        return heap().kind();
    }

    @Override
    public void write(long offset, MemorySegment source) {
        long size = checkRange(offset, source.byteSize());
        begin();
        try {
            if (size > 0) {
                Span span = transferring(Transfer.WRITE);
                home.copies().write(this, offset, source);
                end(span, size);
            }
        } finally {
            end();
        }
    }

    @Override
    public void read(long offset, MemorySegment target) {
        long size = checkRange(offset, checkWritable(target).byteSize());
        begin();
        try {
            if (size > 0) {
                Span span = transferring(Transfer.READ);
                home.copies().read(this, offset, target);
                end(span, size);
            }
        } finally {
            end();
        }
    }

    @Override
    public void copyTo(long offset, MemoryBuffer target, long targetOffset, long size) {
        checkRange(offset, size);
        BufferRange range = target.resolve(targetOffset, size);
        if (range.buffer() instanceof EngineBuffer other) {
            checkOverlap(offset, other, range.byteOffset(), size);
            withBoth(other, () -> {
                if (size > 0) {
                    Span span = transferring(Transfer.COPY);
                    home.copies().copy(this, offset, other.home.copies(), other, range.byteOffset(), size);
                    end(span, size);
                }
            });
        } else {
            copyThroughHost(offset, range, size);
        }
    }

    @Override
    public void fill(long offset, long size, byte value) {
        checkRange(offset, size);
        begin();
        try {
            if (size > 0) {
                Span span = transferring(Transfer.FILL);
                home.copies().fill(this, offset, size, value);
                end(span, size);
            }
        } finally {
            end();
        }
    }

    @Override
    public CompletableFuture<Void> writeAsync(long offset, MemorySegment source, KeepAlive keepAlive) {
        long size = checkRange(offset, source.byteSize());
        Objects.requireNonNull(keepAlive, "keepAlive");
        if (keepAlive == KeepAlive.CALLER && !source.isNative()) {
            throw new IllegalArgumentException("a heap segment may move: KeepAlive.CALLER needs native memory");
        }
        begin();
        try {
            return size == 0
                    ? CompletableFuture.completedFuture(null)
                    : timed(Transfer.WRITE, size, () -> home.copies().writeAsync(this, offset, source, keepAlive));
        } finally {
            end();
        }
    }

    @Override
    public CompletableFuture<Void> readAsync(long offset, MemorySegment target) {
        long size = checkRange(offset, checkWritable(target).byteSize());
        if (!target.isAccessibleBy(ANY_OTHER_THREAD)) {
            throw new IllegalArgumentException(
                    "the target belongs to one thread: an asynchronous read needs a shared or automatic arena");
        }
        begin();
        try {
            return size == 0
                    ? CompletableFuture.completedFuture(null)
                    : timed(Transfer.READ, size, () -> home.copies().readAsync(this, offset, target));
        } finally {
            end();
        }
    }

    @Override
    public CompletableFuture<Void> copyToAsync(long offset, MemoryBuffer target, long targetOffset, long size) {
        checkRange(offset, size);
        BufferRange range = target.resolve(targetOffset, size);
        if (size > 0 && range.buffer() instanceof EngineBuffer other) {
            checkOverlap(offset, other, range.byteOffset(), size);
            other.begin();
            try {
                begin();
                try {
                    return timed(
                            Transfer.COPY,
                            size,
                            () -> home.copies()
                                    .copyAsync(this, offset, other.home.copies(), other, range.byteOffset(), size));
                } finally {
                    end();
                }
            } finally {
                other.end();
            }
        }
        copyTo(offset, target, targetOffset, size);
        return CompletableFuture.completedFuture(null);
    }

    @Override
    public BufferRange resolve(long offset, long size) {
        checkRange(offset, size);
        requireOpen();
        return new BufferRange(this, offset);
    }

    @Override
    public HostView map() {
        beginHold();
        try {
            return openView();
        } catch (RuntimeException | Error e) {
            endHold();
            throw e;
        }
    }

    @Override
    public void waitOn(NativeQueue queue) {
        begin();
        try {
            home.fences().hold(this, queue);
        } finally {
            end();
        }
    }

    @Override
    public QueueFence usedOn(NativeQueue queue) {
        begin();
        try {
            return home.fences().record(this, queue);
        } finally {
            end();
        }
    }

    @Override
    public void closeAfter(CompletionStage<?> stage) {
        begin();
        try {
            addPending(new Point.OnStage(stage));
        } finally {
            end();
        }
    }

    @Override
    public DeviceBuffer moveTo(GpuMemoryPool target) {
        requireOpen();
        home.begin();
        try {
            if (!acquireExclusively()) {
                requireOpen();
                throw new IllegalStateException(
                        this + " is in use: close its views, and wait for other calls, before a move");
            }
            try {
                if (!home.waiter().allDone(pending())) {
                    throw new IllegalStateException(this + " has pending work: wait for it before a move");
                }
                DeviceBuffer copy = copyOut(target);
                shut();
                return copy;
            } finally {
                if (releaseExclusively()) {
                    recycle();
                }
            }
        } finally {
            home.end();
        }
    }

    @Override
    public PinnedRange pin() {
        beginHold();
        return new Pin();
    }

    @Override
    public void close() {
        if (shut()) {
            recycle();
        }
    }

    @Override
    public String toString() {
        return id() + "[" + byteSize() + " bytes, " + home.session().device().id() + (isClosed() ? ", closed]" : "]");
    }

    /** Begins a use of pool and buffer, or says why not. */
    void begin() {
        home.begin();
        if (!acquire()) {
            home.end();
            throw refused();
        }
    }

    /** Ends a use; the last one after a close recycles. */
    void end() {
        if (release()) {
            recycle();
        }
        home.end();
    }

    /** A use that lasts beyond the call: a view somebody holds. */
    private void beginHold() {
        begin();
        BufferTrail trail = trail();
        if (trail != null) {
            trail.hold();
        }
    }

    private void endHold() {
        BufferTrail trail = trail();
        if (trail != null) {
            trail.letGo();
        }
        end();
    }

    /** Closes, and says so first: from the moment the buffer is closed, somebody may ask who closed it. */
    private boolean shut() {
        BufferTrail trail = trail();
        if (trail != null) {
            trail.close(this);
        }
        return closeOnce();
    }

    private void recycle() {
        BufferNotes notes = notes();
        if (notes != null && notes.isRecorded()) {
            EVENTS.freed(home.session().device(), kind(), id(), byteSize());
        }
        home.recycle(this);
    }

    private @Nullable Span transferring(Transfer transfer) {
        return EVENTS.transferring(home.session().device(), transfer, false);
    }

    private static void end(@Nullable Span span, long size) {
        if (span != null) {
            span.end(size);
        }
    }

    private CompletableFuture<Void> timed(Transfer transfer, long size, Supplier<CompletableFuture<Void>> call) {
        Span span = EVENTS.transferring(home.session().device(), transfer, true);
        CompletableFuture<Void> future = call.get();
        if (span != null) {
            CompletableFuture<Void> ignored = future.thenRun(() -> span.end(size));
        }
        return future;
    }

    private HostView openView() {
        if (!hostVisible()) {
            throw new UnsupportedKindException("%s: %s memory cannot be reached from the host; use read and write"
                    .formatted(home.session().device(), kind().label()));
        }
        home.session().requireAlive();
        home.waiter().awaitWork(pending());
        try {
            return new BufferView(home.session(), this, byteSize(), this::endHold);
        } catch (DriverException e) {
            throw home.session().failed("mapping a buffer", e);
        }
    }

    /** Copies the contents to a new buffer of another pool. */
    private DeviceBuffer copyOut(GpuMemoryPool target) {
        BufferNotes notes = notes();
        long alignment = notes == null ? 1 : notes.byteAlignment();
        AllocationRequest request = AllocationRequest.of(byteSize())
                .aligned(Math.max(alignment, AllocationRequest.DEFAULT_ALIGNMENT))
                .ofKind(kind());
        BufferTrail trail = trail();
        Optional<String> tag =
                trail == null ? Optional.empty() : trail.metadata().tag();
        DeviceBuffer copy = target.allocate(tag.map(request::tagged).orElse(request));
        boolean done = false;
        try {
            if (copy instanceof EngineBuffer other) {
                home.copies().copy(this, 0, other.home.copies(), other, 0, byteSize());
            } else {
                home.copies().copyThroughHost(this, 0, new BufferRange(copy, 0), byteSize());
            }
            done = true;
            return copy;
        } finally {
            if (!done) {
                copy.close();
            }
        }
    }

    private RuntimeException refused() {
        if (!isClosed()) {
            return new IllegalStateException(this + " is being moved by another thread; try again when that is done");
        }
        BufferClosedException refusal = new BufferClosedException(this + " was used after it was closed");
        BufferTrail trail = trail();
        if (trail != null) {
            trail.explain(refusal);
        }
        return refusal;
    }

    private void requireOpen() {
        if (isClosed()) {
            throw refused();
        }
    }

    private void withBoth(EngineBuffer other, Runnable copy) {
        other.begin();
        try {
            begin();
            try {
                copy.run();
            } finally {
                end();
            }
        } finally {
            other.end();
        }
    }

    private void copyThroughHost(long offset, BufferRange range, long size) {
        begin();
        try {
            Span span = transferring(Transfer.COPY);
            home.copies().copyThroughHost(this, offset, range, size);
            end(span, size);
        } finally {
            end();
        }
    }

    private long checkRange(long offset, long size) {
        Objects.checkFromIndexSize(offset, size, byteSize());
        return size;
    }

    private static MemorySegment checkWritable(MemorySegment target) {
        if (target.isReadOnly()) {
            throw new IllegalArgumentException("the target is read-only");
        }
        return target;
    }

    private void checkOverlap(long offset, EngineBuffer other, long otherOffset, long size) {
        if (other == this && offset < otherOffset + size && otherOffset < offset + size && size > 0) {
            throw new IllegalArgumentException("source and target overlap: [%d, %d) and [%d, %d)"
                    .formatted(offset, offset + size, otherOffset, otherOffset + size));
        }
    }

    /** Holds the buffer in place. */
    private final class Pin implements PinnedRange {
        private final AtomicBoolean open = new AtomicBoolean(true);

        @Override
        public DriverBlock block() {
            return EngineBuffer.this.block();
        }

        @Override
        public long byteOffset() {
            return EngineBuffer.this.byteOffset();
        }

        @Override
        public long byteSize() {
            return EngineBuffer.this.byteSize();
        }

        @Override
        public DeviceDriver driver() {
            return home.session().driver();
        }

        @Override
        public void close() {
            if (open.getAndSet(false)) {
                endHold();
            }
        }
    }
}
