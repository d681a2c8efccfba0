package dev.headroom.examples;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferStack;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FixedBlockPool;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The memory of a serving engine: blocks of the KV cache that come with the tokens and go with the sequence, and activations on
 * a stack. When the blocks run out, the sequence that came last is put off.
 */
final class ServeSequences {

    private static final int TOKENS_PER_BLOCK = 16;
    private static final int TOKENS = 300;
    private static final int LAYERS = 4;

    /** Where the values of a sequence lie: its table of blocks, which a paged attention kernel would read. */
    private static final class Sequence {
        private final String name;
        private final int[] table = new int[TOKENS / TOKENS_PER_BLOCK + 1];
        private int blocks;

        private Sequence(String name) {
            this.name = name;
        }
    }

    private final FixedBlockPool cache;
    private final BufferStack activations;
    private final Deque<Sequence> running = new ArrayDeque<>();

    private ServeSequences(FixedBlockPool cache, BufferStack activations) {
        this.cache = cache;
        this.activations = activations;
    }

    private void run() {
        running.add(new Sequence("first"));
        running.add(new Sequence("second"));
        running.add(new Sequence("third"));
        for (int token = 0; token < TOKENS; token++) {
            for (Sequence sequence : running.toArray(new Sequence[0])) {
                if (running.contains(sequence)) {
                    makeRoomFor(sequence, token);
                }
            }
            step();
        }
        for (Sequence sequence : running) {
            System.out.println(sequence.name + " is done, in " + sequence.blocks + " blocks");
            cache.free(sequence.table, 0, sequence.blocks);
        }
        System.out.println(cache.stats().slabs() + " slab of blocks, "
                + cache.stats().inUseBlocks() + " in use; "
                + activations.highWaterBytes() / 1024 + " KiB of activations in " + activations.byteSize() / 1024
                + " KiB");
    }

    private void makeRoomFor(Sequence sequence, int token) {
        while (sequence.blocks * TOKENS_PER_BLOCK <= token && running.contains(sequence)) {
            try {
                sequence.table[sequence.blocks] = cache.allocate();
                int block = sequence.table[sequence.blocks++];
                cache.slab(block).fill(cache.byteOffset(block), cache.blockBytes(), (byte) 0);
            } catch (DeviceOutOfMemoryException e) {
                Sequence last = running.removeLast();
                System.out.println("at token " + token + " " + last.name + " is put off, which frees " + last.blocks);
                cache.free(last.table, 0, last.blocks);
            }
        }
    }

    /** Takes nothing from the pool after the first time. */
    private void step() {
        try (BufferStack.Frame pass = activations.push()) {
            long residual = pass.allocate(64 << 10);
            for (int layer = 0; layer < LAYERS; layer++) {
                try (BufferStack.Frame inner = activations.push()) {
                    long scores = inner.allocate(256 << 10);
                    activations.chunk(scores).fill(activations.byteOffset(scores), 256 << 10, (byte) layer);
                    activations.chunk(residual).fill(activations.byteOffset(residual), 64 << 10, (byte) layer);
                }
            }
        }
    }

    public static void main(String[] args) {
        try (GpuMemory memory = GpuMemory.open()) {
            GpuMemoryPool pool = memory.selectBackendForModel(8L << 20).pool();
            try (FixedBlockPool cache =
                            pool.fixedBlocks(AllocationRequest.of(64 << 10).tagged("kv cache"), 32, 32);
                    BufferStack activations =
                            pool.stack(AllocationRequest.of(1 << 20).tagged("activations"))) {
                new ServeSequences(cache, activations).run();
            }
        }
    }
}
