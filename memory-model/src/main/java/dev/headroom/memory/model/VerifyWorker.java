package dev.headroom.memory.model;

import dev.headroom.memory.FallbackBuffer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.Objects;

/** Reads pieces back and compares them with the file, which it reads anew. */
final class VerifyWorker implements ChunkLoop.Worker {

    private final OpenShards shards;
    private final Map<String, FallbackBuffer> buffers;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment expected;
    private final MemorySegment found;

    VerifyWorker(OpenShards shards, Map<String, FallbackBuffer> buffers, long chunkBytes) {
        this.shards = shards;
        this.buffers = buffers;
        this.expected = arena.allocate(chunkBytes);
        this.found = arena.allocate(chunkBytes);
    }

    @Override
    public long process(TensorChunk chunk) throws IOException {
        FallbackBuffer buffer =
                Objects.requireNonNull(buffers.get(chunk.tensor().name()));
        long size = chunk.byteSize();
        shards.read(chunk, expected);
        buffer.read(chunk.offset(), found.asSlice(0, size));
        long differs = MemorySegment.mismatch(expected, 0, size, found, 0, size);
        if (differs >= 0) {
            throw new TensorMismatchException(
                    chunk.tensor(),
                    chunk.offset() + differs,
                    expected.get(ValueLayout.JAVA_BYTE, differs),
                    found.get(ValueLayout.JAVA_BYTE, differs),
                    buffer.location() + " memory");
        }
        return size;
    }

    @Override
    public long finish() {
        return 0;
    }

    @Override
    public void close() {
        arena.close();
    }
}
