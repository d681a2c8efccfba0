package dev.headroom.memory.benchmarks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A server in which a small model drafts a few tokens for each request and a large one verifies them together. Both keep paged
 * caches; what is rejected gives its blocks back, so that the end of each cache goes to and fro. The number of drafted tokens
 * follows how many were accepted lately, and with it the sizes of the verifying step.
 */
final class SpeculativeTrace {

    private static final int MOST_RUNNING = 16;
    private static final int MOST_DRAFTED = 12;
    private static final ModelShape TARGET = ModelShape.SEVEN_B;
    private static final ModelShape DRAFT = ModelShape.HALF_B;

    private final LlmTrace trace = new LlmTrace();
    private final TraceRandom random;
    private final List<Request> running = new ArrayList<>();
    private int drafted = 5;

    /** The blocks of one request in one model's cache. */
    private static final class Blocks {
        private final ModelShape model;
        private final int tokens;
        private int[] ids = {};

        private Blocks(ModelShape model, int tokens) {
            this.model = model;
            this.tokens = tokens;
        }

        /** Allocates or frees, the last first, until there is room for exactly so many tokens. */
        private void fit(LlmTrace trace, int length) {
            int wanted = (length + tokens - 1) / tokens * model.layers();
            int had = ids.length;
            for (int i = had - 1; i >= wanted; i--) {
                trace.free(ids[i]);
            }
            ids = Arrays.copyOf(ids, wanted);
            for (int i = had; i < wanted; i++) {
                ids[i] = trace.allocate((long) tokens * model.kv() * 2 * ModelShape.ELEMENT);
            }
        }
    }

    /** A conversation, with a cache in each model. */
    private static final class Request {
        private final Blocks target = new Blocks(TARGET, 16);
        private final Blocks draft = new Blocks(DRAFT, 32);
        private int length;
        private int end;
        /** How often this one's drafts are right; some texts are easier than others. */
        private double odds;

        private void fit(LlmTrace trace, int tokens) {
            target.fit(trace, tokens);
            draft.fit(trace, tokens);
        }
    }

    SpeculativeTrace(long seed) {
        this.random = new TraceRandom(seed);
    }

    /** Runs so many rounds of drafting and verifying. */
    LlmTrace run(int rounds) {
        int[] _ = TARGET.allocateWeights(trace);
        int[] _ = DRAFT.allocateWeights(trace);
        trace.fix();
        for (int round = 0; round < rounds; round++) {
            if (running.size() < MOST_RUNNING && random.uniform() < 0.3) {
                admit();
            }
            if (!running.isEmpty()) {
                round();
            }
        }
        running.forEach(request -> request.fit(trace, 0));
        return trace;
    }

    private void admit() {
        Request request = new Request();
        request.length = random.length(500, 1.0, 8, 6000);
        request.end = request.length + random.length(200, 0.8, 8, 1500);
        request.odds = 0.5 + 0.45 * random.uniform();
        request.fit(trace, request.length);
        TARGET.step(trace, request.length, 1);
        DRAFT.step(trace, request.length, 1);
        running.add(request);
    }

    private void round() {
        int batch = running.size();
        // The odds of every drafted token are kept until they are compared.
        int[] odds = new int[drafted];
        for (int i = 0; i < drafted; i++) {
            for (Request request : running) {
                request.draft.fit(trace, request.length + i + 1);
            }
            DRAFT.step(trace, batch, batch);
            odds[i] = trace.allocate((long) batch * DRAFT.vocab() * 4);
        }
        for (Request request : running) {
            request.target.fit(trace, request.length + drafted + 1);
        }
        TARGET.step(trace, batch * (drafted + 1), batch * (drafted + 1));
        int accepted = 0;
        for (int i = batch - 1; i >= 0; i--) {
            accepted += verify(running.get(i));
        }
        trace.freeAll(odds);
        running.removeIf(request -> request.length == 0);
        boolean good = accepted > 0.7 * drafted * batch;
        drafted = Math.clamp(drafted + (good ? 1 : -1), 2, MOST_DRAFTED);
    }

    private int verify(Request request) {
        int accepted = 0;
        while (accepted < drafted && random.uniform() < request.odds) {
            accepted++;
        }
        request.length += accepted + 1;
        if (request.length >= request.end) {
            request.length = 0;
        }
        request.fit(trace, request.length);
        return accepted;
    }
}
