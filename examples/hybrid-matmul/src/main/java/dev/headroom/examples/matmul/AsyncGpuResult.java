package dev.headroom.examples.matmul;

import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * A result that a device may still be working on: a thin view of a {@link CompletableFuture}, with the three states that
 * matter. Thread-safe.
 */
public final class AsyncGpuResult {

    /** How far a result is. It never leaves {@link #READY} or {@link #ERROR} again. */
    public enum State {
        /** The device is at work. */
        PENDING,
        /** The values are there. */
        READY,
        /** The device failed, and there are no values. */
        ERROR
    }

    private final CompletableFuture<float[]> future;

    private AsyncGpuResult(CompletableFuture<float[]> future) {
        this.future = future;
    }

    /**
     * A view of a future.
     *
     * @param future what yields the values
     * @return the view
     */
    public static AsyncGpuResult of(CompletableFuture<float[]> future) {
        return new AsyncGpuResult(Objects.requireNonNull(future, "future"));
    }

    /**
     * How far it is. Never blocks.
     *
     * @return the state
     */
    public State state() {
        if (!future.isDone()) {
            return State.PENDING;
        }
        return future.isCompletedExceptionally() ? State.ERROR : State.READY;
    }

    /**
     * Whether there is an answer, good or bad: {@link #await} would not wait. Never blocks.
     *
     * @return false while the state is {@link State#PENDING}
     */
    public boolean isReady() {
        return future.isDone();
    }

    /**
     * The values, if they are there. Never blocks.
     *
     * @return the values; empty while the state is {@link State#PENDING}
     * @throws dev.headroom.memory.GpuMemoryException if the device failed
     */
    public Optional<float[]> tryGet() {
        return future.isDone() ? Optional.of(await()) : Optional.empty();
    }

    /**
     * Waits for the values.
     *
     * @return the values
     * @throws dev.headroom.memory.GpuMemoryException if the device failed
     */
    public float[] await() {
        try {
            return future.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException failure ? failure : e;
        }
    }

    /**
     * Why there are no values.
     *
     * @return the failure; empty unless the state is {@link State#ERROR}
     */
    public Optional<Throwable> error() {
        if (!future.isCompletedExceptionally()) {
            return Optional.empty();
        }
        try {
            await();
            return Optional.empty();
        } catch (RuntimeException failure) {
            return Optional.of(failure);
        }
    }

    /**
     * The future behind it, for what is to happen next.
     *
     * @return a copy that may be completed or cancelled without effect here
     */
    public CompletableFuture<float[]> future() {
        return future.copy();
    }
}
