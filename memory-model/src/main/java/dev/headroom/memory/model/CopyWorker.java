package dev.headroom.memory.model;

import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.KeepAlive;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * Copies pieces from the mapped file into their buffers, several of them under way at a time where the device has copy
 * engines of its own. Where the host writes the memory itself, a piece has arrived when its call returns.
 */
final class CopyWorker implements ChunkLoop.Worker {

    /** A piece on its way. */
    private record UnderWay(CompletableFuture<Void> arrival, long byteSize) {}

    private final OpenShards shards;
    private final Map<String, FallbackBuffer> buffers;
    private final long maxBytesUnderWay;
    private final Queue<UnderWay> underWay = new ArrayDeque<>();
    private long bytesUnderWay;

    CopyWorker(OpenShards shards, Map<String, FallbackBuffer> buffers, long maxBytesUnderWay) {
        this.shards = shards;
        this.buffers = buffers;
        this.maxBytesUnderWay = maxBytesUnderWay;
    }

    @Override
    public long process(TensorChunk chunk) throws IOException {
        FallbackBuffer buffer =
                Objects.requireNonNull(buffers.get(chunk.tensor().name()));
        // Staged, because a driver must not touch the mapping: see OpenShards.
        CompletableFuture<Void> arrival = buffer.writeAsync(chunk.offset(), shards.mapped(chunk), KeepAlive.STAGED);
        underWay.add(new UnderWay(arrival, chunk.byteSize()));
        bytesUnderWay += chunk.byteSize();
        long arrived = 0;
        while (!underWay.isEmpty()
                && (bytesUnderWay > maxBytesUnderWay
                        || underWay.element().arrival().isDone())) {
            arrived += awaitOldest();
        }
        return arrived;
    }

    @Override
    public long finish() throws IOException {
        long arrived = 0;
        while (!underWay.isEmpty()) {
            arrived += awaitOldest();
        }
        return arrived;
    }

    @Override
    public void close() {
        // What is under way needs nothing of ours: its bytes are in staging, and closing a buffer waits for it.
    }

    private long awaitOldest() throws IOException {
        UnderWay oldest = underWay.remove();
        try {
            oldest.arrival().get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LoadCancelledException(true);
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case RuntimeException failure -> throw failure;
                case Error error -> throw error;
                case null, default -> throw new IllegalStateException(e);
            }
        }
        bytesUnderWay -= oldest.byteSize();
        return oldest.byteSize();
    }
}
