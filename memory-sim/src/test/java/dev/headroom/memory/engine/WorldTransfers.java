package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.requireContents;

import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.KeepAlive;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** Steps that move bytes, at once and asynchronously, and the ends of those that were asynchronous. */
final class WorldTransfers {

    /** An asynchronous call whose end has not been seen. */
    private record Transfer(
            CompletableFuture<Void> future, MemorySegment host, byte @Nullable [] expected, String what) {}

    private static final int RING_SLOTS = 4;
    /** One slot of the ring stays free for calls that wait. */
    private static final int HOST_SLOTS = RING_SLOTS - 1;

    private final WorldState state;
    private final Arena arena = Arena.ofShared();
    private final List<Transfer> transfers = new ArrayList<>();
    private final List<MemorySegment> idleSegments = new ArrayList<>();

    WorldTransfers(WorldState state) {
        this.state = state;
        for (int i = 0; i < HOST_SLOTS; i++) {
            idleSegments.add(arena.allocate(ModelBuffer.WINDOW));
        }
    }

    void close() {
        arena.close();
    }

    // At once.

    void write(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, ModelBuffer::plain);
        if (buffer != null) {
            writeWindow(buffer, random.nextInt(buffer.windows()), random);
        }
    }

    void writeWindow(ModelBuffer buffer, int window, SplittableRandom random) {
        int size = buffer.contents[window] == null ? buffer.windowSize() : 1 + random.nextInt(buffer.windowSize());
        int from = random.nextInt(buffer.windowSize() - size + 1);
        byte[] bytes = buffer.nextPattern(size);
        boolean nativeSource = random.nextBoolean();
        boolean sliced = random.nextInt(8) == 0;
        long at = buffer.windowOffset(window) + from;
        state.tell(
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

    void read(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, ModelBuffer::plain);
        if (buffer != null) {
            verify(buffer, random.nextInt(buffer.windows()), random.nextBoolean(), random.nextInt(8) == 0);
        }
    }

    /** Reads a window and compares it with what must be there. */
    void verify(ModelBuffer buffer, int window, boolean nativeTarget, boolean sliced) {
        long at = buffer.windowOffset(window);
        state.tell(
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

    void fill(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, ModelBuffer::plain);
        if (buffer == null) {
            return;
        }
        byte value = (byte) random.nextInt();
        boolean whole = buffer.isSmall() && random.nextInt(4) == 0;
        int window = random.nextInt(buffer.windows());
        long at = whole ? 0 : buffer.windowOffset(window);
        long size = whole ? buffer.byteSize() : buffer.windowSize();
        state.tell("fill %d bytes at %d of %s", size, at, buffer);
        buffer.handle.fill(at, size, value);
        byte[] bytes = new byte[buffer.windowSize()];
        Arrays.fill(bytes, value);
        for (int i = 0; i < buffer.windows(); i++) {
            if (whole || i == window) {
                buffer.put(i, 0, bytes);
            }
        }
    }

    void copy(SplittableRandom random, boolean async) {
        ModelBuffer source = state.pickOpen(random, ModelBuffer::plain);
        ModelBuffer target = state.pickOpen(random, ModelBuffer::plain);
        if (source == null || target == null || (source.equals(target) && source.windows() < 2)) {
            return;
        }
        int from = random.nextInt(source.windows());
        int to = source.equals(target) ? 1 - from : random.nextInt(target.windows());
        int size = Math.min(source.windowSize(), target.windowSize());
        state.tell(
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

    // Asynchronously.

    void writeAsync(SplittableRandom random) {
        boolean burst = random.nextInt(8) == 0; // more at once than the ring has slots
        for (int i = 0; i < (burst ? RING_SLOTS + 2 : 1); i++) {
            ModelBuffer buffer = state.pickOpen(random, ModelBuffer::plain);
            if (buffer != null) {
                boolean staged = burst || random.nextBoolean();
                int window = random.nextInt(buffer.windows());
                byte[] bytes = buffer.nextPattern(buffer.windowSize());
                state.tell(
                        "write all of window %d of %s asynchronously, %s",
                        window, buffer, staged ? KeepAlive.STAGED : KeepAlive.CALLER);
                if (staged) {
                    writeStaged(buffer, window, bytes);
                } else {
                    writeKept(buffer, window, bytes);
                }
            }
        }
    }

    private void writeStaged(ModelBuffer buffer, int window, byte[] bytes) {
        attempt(() -> {
            byte[] source = bytes.clone();
            CompletableFuture<Void> end =
                    buffer.handle.writeAsync(buffer.windowOffset(window), MemorySegment.ofArray(source));
            Arrays.fill(source, (byte) 0x55); // it was copied before the call returned
            transfers.add(new Transfer(end, MemorySegment.NULL, null, "write"));
            buffer.put(window, 0, bytes);
        });
    }

    private void writeKept(ModelBuffer buffer, int window, byte[] bytes) {
        makeRoomInRing();
        MemorySegment segment = idleSegments.removeLast();
        MemorySegment source = segment.asSlice(0, bytes.length).copyFrom(MemorySegment.ofArray(bytes));
        boolean done = attempt(() -> {
            CompletableFuture<Void> end =
                    buffer.handle.writeAsync(buffer.windowOffset(window), source, KeepAlive.CALLER);
            transfers.add(new Transfer(end, segment, null, "write"));
            buffer.put(window, 0, bytes);
        });
        if (!done) {
            idleSegments.add(segment);
        }
    }

    void readAsync(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, ModelBuffer::plain);
        if (buffer == null) {
            return;
        }
        makeRoomInRing();
        int window = random.nextInt(buffer.windows());
        state.tell("read all of window %d of %s asynchronously", window, buffer);
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

    // Their ends.

    /** Whether the end of an asynchronous transfer has not been seen. */
    boolean anyPending() {
        return !transfers.isEmpty();
    }

    /** A staged read needs a slot of the ring; those of earlier reads come back only when the pump steps. */
    void makeRoomInRing() {
        if (idleSegments.isEmpty()) {
            pumpAll();
        }
    }

    /** Lets all work end and takes the steps of the pools' pump threads, which the model's pools do not have. */
    void pumpAll() {
        state.clock.runUntilIdle();
        for (WorldPlace place : state.places) {
            place.pool.pump().step();
        }
        collect();
    }

    void collect() {
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

    /** Runs a transfer; staging memory may be impossible to get, but then it must be. */
    private boolean attempt(Runnable transfer) {
        try {
            transfer.run();
            return true;
        } catch (DeviceOutOfMemoryException e) {
            state.tell("refused: %s", e.getMessage());
            state.shrinkAll();
            try {
                transfer.run();
            } catch (DeviceOutOfMemoryException again) {
                return false;
            }
            throw new BrokenInvariant(
                    "I6", "staging was refused although idle memory could be given back: " + e.getMessage());
        }
    }
}
