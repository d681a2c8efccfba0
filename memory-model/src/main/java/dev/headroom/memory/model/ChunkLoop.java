package dev.headroom.memory.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Does something with every piece of a model, on one or several threads, one of which is the caller's. That one alone looks
 * whether the load is called off, and reports. All threads have ended when {@link #run} returns or throws.
 */
final class ChunkLoop {

    /** What one thread does. Used by that thread only. */
    interface Worker extends AutoCloseable {

        /** Deals with a piece, or begins to. Returns how many bytes have been finished since the last call. */
        long process(TensorChunk chunk) throws IOException;

        /** Waits for what was begun. Returns how many bytes that finished. */
        long finish() throws IOException;

        @Override
        void close();
    }

    /** Makes the worker of a thread, on that thread. */
    @FunctionalInterface
    interface Workers {
        Worker open();
    }

    private final List<TensorChunk> chunks;
    private final long bytesTotal;
    private final LoadProgress.Stage stage;
    private final LoadProgress progress;
    private final BooleanSupplier cancelled;
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicLong bytesDone = new AtomicLong();
    private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

    ChunkLoop(
            List<TensorChunk> chunks,
            long bytesTotal,
            LoadProgress.Stage stage,
            LoadProgress progress,
            BooleanSupplier cancelled) {
        this.chunks = chunks;
        this.bytesTotal = bytesTotal;
        this.stage = stage;
        this.progress = progress;
        this.cancelled = cancelled;
    }

    /** Throws if the load is called off. */
    static void requireWanted(BooleanSupplier cancelled) throws LoadCancelledException {
        if (Thread.currentThread().isInterrupted()) {
            throw new LoadCancelledException(true);
        }
        if (cancelled.getAsBoolean()) {
            throw new LoadCancelledException(false);
        }
    }

    void run(int threads, Workers workers) throws IOException {
        List<Thread> others = new ArrayList<>();
        try {
            for (int i = 1; i < Math.min(threads, chunks.size()); i++) {
                others.add(
                        Thread.ofPlatform().daemon().name("headroom-load-" + i).start(() -> work(workers, false)));
            }
            work(workers, true);
        } finally {
            next.set(chunks.size()); // also if a thread could not be started
            joinAll(others);
        }
        switch (failure.get()) {
            case null ->
                report(chunks.isEmpty() ? "" : chunks.getLast().tensor().name());
            case IOException e -> throw e;
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case Throwable e -> throw new IllegalStateException(e);
        }
    }

    private void work(Workers workers, boolean caller) {
        try (Worker worker = workers.open()) {
            for (int i = next.getAndIncrement(); i < chunks.size(); i = next.getAndIncrement()) {
                if (caller) {
                    requireWanted(cancelled);
                }
                TensorChunk chunk = chunks.get(i);
                bytesDone.addAndGet(worker.process(chunk));
                if (caller) {
                    report(chunk.tensor().name());
                }
            }
            bytesDone.addAndGet(worker.finish());
        } catch (Throwable e) {
            next.set(chunks.size());
            if (!failure.compareAndSet(null, e)) {
                Throwable first = failure.get();
                if (first != null && !first.equals(e)) {
                    first.addSuppressed(e);
                }
            }
        }
    }

    private void report(String tensor) {
        progress.advanced(stage, bytesDone.get(), bytesTotal, tensor);
    }

    /** Waits whatever happens: the threads use what the caller is about to give back. */
    private static void joinAll(List<Thread> threads) {
        boolean interrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
