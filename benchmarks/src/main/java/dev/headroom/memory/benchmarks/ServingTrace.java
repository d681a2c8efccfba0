package dev.headroom.memory.benchmarks;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A server with continuous batching: weights once, requests that come and grow and go, activations freed in reverse, a
 * workspace that grows, adapters that come and go.
 */
final class ServingTrace {

    /** How the keys and values of a request are kept. */
    enum Cache {
        /** In blocks of 16 tokens, one for each layer. */
        PAGED,
        /** One tensor each, which doubles. */
        DOUBLING,
        /** One tensor each, of the exact length, made anew in each step. */
        EXACT
    }

    private static final int BLOCK_TOKENS = 16;
    private static final int SWAP_STEPS = 100;
    private static final int MOST_PARKED = 3;
    private static final int MOST_ADAPTERS = 6;

    private final LlmTrace trace = new LlmTrace();
    private final Cache cache;
    private final int mostRunning;
    private final boolean swaps;
    private final TraceRandom random;
    private final List<Request> running = new ArrayList<>();
    private final List<Request> parked = new ArrayList<>();
    private final ArrayDeque<int[]> adapters = new ArrayDeque<>();
    private ModelShape model = ModelShape.SEVEN_B;
    private int[] weights = {};
    private long workspaceBytes = 32L << 20;
    private int workspace;

    /** A conversation. */
    private static final class Request {
        private int length;
        private int end;
        private int capacity;
        private int[] tensors = {};
    }

    ServingTrace(Cache cache, int mostRunning, boolean swaps, long seed) {
        this.cache = cache;
        this.mostRunning = mostRunning;
        this.swaps = swaps;
        this.random = new TraceRandom(seed);
    }

    /** Runs so many steps; the conversations end with it, the weights do not. */
    LlmTrace run(int steps) {
        weights = model.allocateWeights(trace);
        if (!swaps) {
            trace.fix();
        }
        workspace = trace.allocate(workspaceBytes);
        for (int step = 0; step < steps; step++) {
            if (swaps && step % SWAP_STEPS == SWAP_STEPS - 1) {
                swap();
            }
            step(step);
        }
        running.forEach(this::release);
        parked.forEach(this::release);
        return trace;
    }

    /** Another model moves in; a few conversations stay parked in memory. */
    private void swap() {
        parked.forEach(this::release);
        parked.clear();
        for (Request request : running) {
            if (parked.size() < MOST_PARKED) {
                parked.add(request);
            } else {
                release(request);
            }
        }
        running.clear();
        trace.freeAll(weights);
        model = model.equals(ModelShape.SEVEN_B)
                ? ModelShape.THIRTEEN_B_4_BIT
                : model.equals(ModelShape.THIRTEEN_B_4_BIT) ? ModelShape.THREE_B : ModelShape.SEVEN_B;
        weights = model.allocateWeights(trace);
    }

    private void step(int step) {
        int prefill = running.size() < mostRunning && random.uniform() < 0.25 ? admit() : 0;
        if (step % 97 == 13) {
            adapters.add(adapter(8 << (int) (random.next() & 3)));
            if (adapters.size() > MOST_ADAPTERS) {
                trace.freeAll(adapters.remove());
            }
        }
        long needed = (long) Math.max(prefill, running.size()) * model.mlp() * 4 * 2;
        if (needed > workspaceBytes) {
            workspaceBytes = needed;
            int larger = trace.allocate(needed);
            trace.free(workspace);
            workspace = larger;
        }
        model.step(trace, prefill + running.size(), Math.max(1, running.size()));
        for (int i = running.size() - 1; i >= 0; i--) {
            Request request = running.get(i);
            request.length++;
            if (request.length >= request.end) {
                release(request);
                running.remove(i);
            } else {
                grow(request);
            }
        }
    }

    private int admit() {
        Request request = new Request();
        request.length = random.length(400, 0.9, 8, 4096);
        request.end = request.length + random.length(120, 0.8, 4, 1024);
        grow(request);
        running.add(request);
        return request.length;
    }

    private int[] adapter(int rank) {
        int[] ids = new int[model.layers() * 8];
        int count = 0;
        for (int layer = 0; layer < model.layers(); layer++) {
            for (int part = 0; part < 4; part++) {
                int rows = part == 1 || part == 2 ? model.kv() : model.hidden();
                ids[count++] = trace.allocate((long) rank * model.hidden() * ModelShape.ELEMENT);
                ids[count++] = trace.allocate((long) rank * rows * ModelShape.ELEMENT);
            }
        }
        return ids;
    }

    private void grow(Request request) {
        switch (cache) {
            case PAGED -> {
                int had = request.tensors.length;
                int wanted = (request.length + BLOCK_TOKENS - 1) / BLOCK_TOKENS * model.layers();
                request.tensors = Arrays.copyOf(request.tensors, wanted);
                for (int i = had; i < wanted; i++) {
                    request.tensors[i] = trace.allocate((long) BLOCK_TOKENS * model.kv() * 2 * ModelShape.ELEMENT);
                }
            }
            case DOUBLING -> {
                if (request.length > request.capacity) {
                    int capacity = Math.max(256, request.capacity);
                    while (capacity < request.length) {
                        capacity *= 2;
                    }
                    replace(request, capacity);
                }
            }
            case EXACT -> replace(request, request.length);
        }
    }

    private void replace(Request request, int capacity) {
        int[] before = request.tensors;
        request.tensors = new int[model.layers() * 2];
        for (int i = 0; i < request.tensors.length; i++) {
            request.tensors[i] = trace.allocate((long) capacity * model.kv() * ModelShape.ELEMENT);
            if (before.length > 0) {
                trace.free(before[i]);
            }
        }
        request.capacity = capacity;
    }

    private void release(Request request) {
        trace.freeAll(request.tensors);
    }
}
