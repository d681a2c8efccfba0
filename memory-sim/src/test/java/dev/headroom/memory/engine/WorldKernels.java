package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.requireContents;

import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** Steps with kernels of the user's on queues of the user's, declared as they must be. */
final class WorldKernels {

    private final WorldState state;
    private final WorldBuffers buffers;
    private @Nullable BrokenInvariant seen;

    WorldKernels(WorldState state, WorldBuffers buffers) {
        this.state = state;
        this.buffers = buffers;
    }

    void launch(SplittableRandom random) {
        ModelBuffer written = state.pickOpen(random, ModelBuffer::plain);
        if (written == null) {
            return;
        }
        WorldPlace place = state.placeOf(written.pool);
        ModelBuffer read = state.pickOpen(random, b -> b.plain() && b.pool == written.pool && b != written);
        SimulatedQueue queue = place.queues.get(random.nextInt(WorldPlace.QUEUES));
        int window = random.nextInt(written.windows());
        int readWindow = read == null ? 0 : random.nextInt(read.windows());
        Duration time =
                Duration.ofNanos(random.nextInt(10) == 0 ? random.nextLong(50_000_000) : random.nextLong(300_000));
        state.tell("launch a kernel of %s on %s, reading %s", time, written, read);
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
                compare(before, operands.getFirst(), written);
                if (read != null) {
                    compare(operand, operands.get(1), read);
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
            buffers.close(written, false);
        }
    }

    private void compare(byte @Nullable [] expected, MemorySegment operand, ModelBuffer buffer) {
        if (seen == null) {
            try {
                requireContents(expected, operand.toArray(ValueLayout.JAVA_BYTE), "a kernel saw " + buffer);
            } catch (BrokenInvariant e) {
                seen = e; // a clock must not throw
            }
        }
    }

    /** Throws what a kernel found broken. */
    void requireNothingSeen() {
        if (seen != null) {
            throw seen;
        }
    }

    void closeQueue(SplittableRandom random) {
        WorldPlace place = state.pickPlace(random);
        state.tell("destroy a user's queue of %s", place.pool);
        place.queues
                .set(random.nextInt(WorldPlace.QUEUES), place.device.newQueue())
                .close();
    }
}
