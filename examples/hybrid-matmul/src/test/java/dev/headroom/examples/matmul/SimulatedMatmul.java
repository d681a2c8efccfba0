package dev.headroom.examples.matmul;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;

/** Kernels of a simulated device: correct, and as slow as a test wants them. */
final class SimulatedMatmul implements MatmulKernels {

    private final SimulatedQueue queue;
    private final Duration duration;

    SimulatedMatmul(SimulatedDevice device, Duration duration) {
        this.queue = device.newQueue();
        this.duration = duration;
    }

    @Override
    public QueueFence launch(MatmulShape shape, DeviceBuffer a, DeviceBuffer b, DeviceBuffer c) {
        try (PinnedRange rangeOfA = pin(a);
                PinnedRange rangeOfB = pin(b);
                PinnedRange rangeOfC = pin(c)) {
            a.waitOn(queue);
            b.waitOn(queue);
            c.waitOn(queue);
            queue.submit(SimulatedKernel.lasting(duration)
                    .named("matmul")
                    .reading(rangeOfA)
                    .reading(rangeOfB)
                    .writing(rangeOfC)
                    .doing(operands -> compute(shape, operands)));
            a.usedOn(queue);
            b.usedOn(queue);
            return c.usedOn(queue);
        }
    }

    private static PinnedRange pin(DeviceBuffer buffer) {
        return ((PinnedRange.Source) buffer).pin();
    }

    private static void compute(MatmulShape shape, List<MemorySegment> operands) {
        float[] a = operands.get(0).toArray(ValueLayout.JAVA_FLOAT);
        float[] b = operands.get(1).toArray(ValueLayout.JAVA_FLOAT);
        float[] c = HostMatmul.multiply(MatmulTask.of(a, b, shape.m(), shape.k(), shape.n()));
        operands.get(2).copyFrom(MemorySegment.ofArray(c));
    }

    @Override
    public void close() {
        queue.close();
    }
}
