package dev.headroom.memory.benchmarks;

import java.util.Locale;

/**
 * The kinds of traces there are. Each looks like what a program does with large language models: true shapes of tensors, lengths
 * and arrivals from a generator of random numbers with a fixed seed. The same kind is the same trace on every machine.
 */
public enum TraceGenerator {
    /** Serving: the KV cache in blocks of 16 tokens, one for each layer. */
    PAGED {
        @Override
        LlmTrace generate() {
            return new ServingTrace(ServingTrace.Cache.PAGED, 24, false, SEED).run(900);
        }
    },
    /** Serving: the KV cache of each request doubles when it is full. */
    DOUBLE {
        @Override
        LlmTrace generate() {
            return new ServingTrace(ServingTrace.Cache.DOUBLING, 24, false, SEED).run(900);
        }
    },
    /** Serving: the KV cache of each request is made anew, one token longer, in each step. */
    CAT {
        @Override
        LlmTrace generate() {
            return new ServingTrace(ServingTrace.Cache.EXACT, 6, false, SEED).run(500);
        }
    },
    /** As {@link #DOUBLE}, and every 100 steps the model is replaced by one of other shapes. */
    SWAP {
        @Override
        LlmTrace generate() {
            return new ServingTrace(ServingTrace.Cache.DOUBLING, 24, true, SEED).run(1200);
        }
    },
    /** Serving with a small model that drafts and a large one that verifies; rejected tokens give their blocks back. */
    SPECULATIVE {
        @Override
        LlmTrace generate() {
            return new SpeculativeTrace(SEED).run(700);
        }
    },
    /** Training steps with activation checkpointing, gradient accumulation and sequences of varying length. */
    TRAINING {
        @Override
        LlmTrace generate() {
            return new TrainingTrace(SEED).run(90);
        }
    };

    private static final long SEED = 42;

    /** Makes the trace. */
    abstract LlmTrace generate();

    /** The kind's name. */
    String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
