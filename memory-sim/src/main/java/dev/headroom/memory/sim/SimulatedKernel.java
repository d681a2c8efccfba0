package dev.headroom.memory.sim;

import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * A user's kernel: the ranges it reads and writes, how long it runs, and what it does. Immutable; refine from
 * {@link #lasting}.
 */
public final class SimulatedKernel {

    /** A range the kernel touches. */
    record Operand(DriverBlock block, long byteOffset, long byteSize, boolean writes) {}

    private final String name;
    private final Duration duration;
    private final List<Operand> operands;
    private final Consumer<List<MemorySegment>> body;

    private SimulatedKernel(
            String name, Duration duration, List<Operand> operands, Consumer<List<MemorySegment>> body) {
        this.name = name;
        this.duration = duration;
        this.operands = operands;
        this.body = body;
    }

    /**
     * A kernel that touches nothing yet and does nothing.
     *
     * @param duration how long it runs; a very long one has hung
     * @return the kernel
     */
    public static SimulatedKernel lasting(Duration duration) {
        if (duration.isNegative()) {
            throw new IllegalArgumentException("duration is " + duration + ": must be 0 or more");
        }
        return new SimulatedKernel("kernel", duration, List.of(), _ -> {});
    }

    /**
     * The kernel with a name for messages.
     *
     * @param newName the name
     * @return a copy
     */
    public SimulatedKernel named(String newName) {
        return new SimulatedKernel(Objects.requireNonNull(newName, "newName"), duration, operands, body);
    }

    /**
     * The kernel reading a range more.
     *
     * @param range the range, which must stay pinned until the kernel is submitted
     * @return a copy
     */
    public SimulatedKernel reading(PinnedRange range) {
        return reading(range.block(), range.byteOffset(), range.byteSize());
    }

    /**
     * The kernel reading a range more.
     *
     * @param block      a block of a simulated driver
     * @param byteOffset where the range begins
     * @param byteSize   how long it is
     * @return a copy
     */
    public SimulatedKernel reading(DriverBlock block, long byteOffset, long byteSize) {
        return with(new Operand(block, byteOffset, byteSize, false));
    }

    /**
     * The kernel reading and writing a range more.
     *
     * @param range the range, which must stay pinned until the kernel is submitted
     * @return a copy
     */
    public SimulatedKernel writing(PinnedRange range) {
        return writing(range.block(), range.byteOffset(), range.byteSize());
    }

    /**
     * The kernel reading and writing a range more.
     *
     * @param block      a block of a simulated driver
     * @param byteOffset where the range begins
     * @param byteSize   how long it is
     * @return a copy
     */
    public SimulatedKernel writing(DriverBlock block, long byteOffset, long byteSize) {
        return with(new Operand(block, byteOffset, byteSize, true));
    }

    /**
     * The kernel with something to do.
     *
     * @param newBody is given the ranges in the order they were added, at the moment the kernel ends; those it only
     *                reads are read-only; it must not call Headroom
     * @return a copy
     */
    public SimulatedKernel doing(Consumer<List<MemorySegment>> newBody) {
        return new SimulatedKernel(name, duration, operands, Objects.requireNonNull(newBody, "newBody"));
    }

    String name() {
        return name;
    }

    Duration duration() {
        return duration;
    }

    List<Operand> operands() {
        return operands;
    }

    Consumer<List<MemorySegment>> body() {
        return body;
    }

    private SimulatedKernel with(Operand operand) {
        List<Operand> more = new ArrayList<>(operands);
        more.add(operand);
        return new SimulatedKernel(name, duration, List.copyOf(more), body);
    }
}
