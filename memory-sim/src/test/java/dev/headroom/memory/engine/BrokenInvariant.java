package dev.headroom.memory.engine;

import java.util.Arrays;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Something that must always hold, and did not. */
final class BrokenInvariant extends AssertionError {
    private static final long serialVersionUID = 1;

    BrokenInvariant(String invariant, String what) {
        super(invariant + ": " + what);
    }

    static void require(String invariant, boolean holds, Supplier<@Nullable Object> what) {
        if (!holds) {
            throw new BrokenInvariant(invariant, String.valueOf(what.get()));
        }
    }

    /** I14: bytes are what was written last; null stands for bytes that nobody knows. */
    static void requireContents(byte @Nullable [] expected, byte[] actual, String what) {
        if (expected != null && !Arrays.equals(expected, actual)) {
            int at = Arrays.mismatch(expected, actual);
            throw new BrokenInvariant(
                    "I14", "%s: byte %d is %d, should be %d".formatted(what, at, actual[at], expected[at]));
        }
    }

    /** I9: a call that must be refused is, by an exception of a type the caller can tell apart. */
    static void requireThrown(Class<? extends RuntimeException> type, Runnable call) {
        try {
            call.run();
        } catch (RuntimeException e) {
            if (type.isInstance(e)) {
                return;
            }
            throw e;
        }
        throw new BrokenInvariant("I9", "no " + type.getSimpleName() + " was thrown");
    }
}
