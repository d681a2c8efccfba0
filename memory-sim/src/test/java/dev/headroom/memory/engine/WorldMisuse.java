package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.requireThrown;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.MemoryStats;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;

/** Calls that must be refused, and must leave everything as it was. */
final class WorldMisuse {

    private final WorldState state;
    private final WorldBuffers buffers;

    WorldMisuse(WorldState state, WorldBuffers buffers) {
        this.state = state;
        this.buffers = buffers;
    }

    void misuse(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, any -> true);
        if (buffer == null) {
            return;
        }
        MemoryStats before = buffer.pool.stats();
        MemorySegment bytes = MemorySegment.ofArray(new byte[2]);
        long size = buffer.byteSize();
        switch (random.nextInt(8)) {
            case 0 -> {
                state.tell("write beyond the end of %s", buffer);
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.write(size - 1, bytes));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.write(Long.MAX_VALUE, bytes));
            }
            case 1 -> {
                state.tell("read before the beginning of %s", buffer);
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.read(-1, bytes));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.readAsync(size - 1, bytes));
            }
            case 2 -> {
                state.tell("fill beyond the end of %s", buffer);
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.fill(0, size + 1, (byte) 0));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.fill(1, Long.MAX_VALUE, (byte) 0));
                requireThrown(IndexOutOfBoundsException.class, () -> buffer.handle.fill(0, -1, (byte) 0));
            }
            case 3 -> {
                state.tell("copy %s onto itself", buffer);
                requireThrown(IllegalArgumentException.class, () -> buffer.handle.copyTo(0, buffer.handle, 0, size));
            }
            case 4 -> {
                state.tell("ask for nonsense");
                requireThrown(IllegalArgumentException.class, () -> buffer.pool.allocate(0));
                requireThrown(IllegalArgumentException.class, () -> buffer.pool.allocate(-size));
                requireThrown(
                        IllegalArgumentException.class,
                        () -> buffer.pool.allocate(AllocationRequest.of(size).aligned(3)));
            }
            case 5 -> {
                state.tell("ask for everything");
                requireThrown(AllocationTooLargeException.class, () -> buffer.pool.allocate(Long.MAX_VALUE));
                requireThrown(AllocationTooLargeException.class, () -> buffer.pool.allocate(1L << 40));
            }
            case 6 -> {
                state.tell("let %s and a foreign queue wait for each other", buffer);
                requireThrown(IllegalArgumentException.class, () -> buffer.core.waitOn(() -> "elsewhere"));
                requireThrown(IllegalArgumentException.class, () -> buffer.core.usedOn(() -> "elsewhere"));
            }
            default -> {
                if (buffer.held()) {
                    return;
                }
                buffers.close(buffer, true);
                state.tell("use %s after that", buffer);
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
        WorldRefusals.checkUnchanged(before, buffer.pool.stats());
    }
}
