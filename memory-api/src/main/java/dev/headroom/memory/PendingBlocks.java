package dev.headroom.memory;

import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The blocks of a {@link FixedBlockPool} that were freed while work on them may be under way: they are out of use, and nobody can
 * take them. A stage frees them when it ends; fences are looked at when blocks are short. Thread-safe.
 */
final class PendingBlocks {

    private static final class Fenced {
        private final int[] blocks;
        private final List<QueueFence> fences;
        private final AtomicBoolean over = new AtomicBoolean();

        private Fenced(int[] blocks, List<QueueFence> fences) {
            this.blocks = blocks;
            this.fences = fences;
        }
    }

    private final BlockBits bits;
    private final Queue<Fenced> fenced = new ConcurrentLinkedQueue<>();
    private final AtomicInteger stages = new AtomicInteger();
    private final CompletableFuture<Boolean> lastStage = new CompletableFuture<>();
    private volatile boolean closed;

    PendingBlocks(BlockBits bits) {
        this.bits = bits;
    }

    /** Frees blocks that were retired when the stage ends; restores them if it takes nobody in. */
    void add(CompletionStage<?> use, int[] blocks) {
        AtomicBoolean over = new AtomicBoolean();
        stages.incrementAndGet();
        boolean done = false;
        try {
            CompletionStage<?> ignored = use.whenComplete((_, _) -> {
                if (!over.getAndSet(true)) {
                    bits.release(blocks, 0, blocks.length);
                    stageEnded();
                }
            });
            done = true;
        } finally {
            if (!done && !over.getAndSet(true)) {
                bits.restore(blocks, 0, blocks.length);
                stageEnded();
            }
        }
    }

    /** Frees blocks that were retired once all these fences are found to be reached. */
    void add(List<QueueFence> fences, int[] blocks) {
        fenced.add(new Fenced(blocks, fences));
    }

    /** Frees blocks whose fences are reached. True if there were some. */
    boolean collect() {
        return fenced.removeIf(this::isCollected);
    }

    private boolean isCollected(Fenced pending) {
        boolean first = pending.fences.stream().allMatch(QueueFence::isDone) && !pending.over.getAndSet(true);
        if (first) {
            bits.release(pending.blocks, 0, pending.blocks.length);
        }
        return first;
    }

    /** After the bits are closed: what slabs of pending blocks have to wait for. Fences wait in their slabs themselves. */
    CompletionStage<?> close() {
        closed = true;
        fenced.clear();
        completeIfLast();
        return lastStage;
    }

    private void stageEnded() {
        stages.decrementAndGet();
        completeIfLast();
    }

    private void completeIfLast() {
        if (closed && stages.get() == 0) {
            lastStage.complete(true);
        }
    }
}
