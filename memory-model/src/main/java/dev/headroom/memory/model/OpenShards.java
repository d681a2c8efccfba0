package dev.headroom.memory.model;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The files of a model while they are loaded, mapped as a whole. Pages come in as they are touched.
 *
 * <p>A mapping of a file that is cut short faults where the file has gone. The JVM turns that into an {@link InternalError}
 * if its own copy routine was reading, and dies if native code was. So mapped memory may be the source of a Java copy only:
 * it is never handed to a driver, and comparing reads the channel.
 */
final class OpenShards implements AutoCloseable {

    private final GgufFile file;
    private final List<FileChannel> channels = new ArrayList<>();
    private final List<MemorySegment> mappings = new ArrayList<>();
    private final Arena arena = Arena.ofShared();

    private OpenShards(GgufFile file) {
        this.file = file;
    }

    /** Opens and maps all shards. */
    static OpenShards open(GgufFile file) throws IOException {
        OpenShards shards = new OpenShards(file);
        boolean done = false;
        try {
            for (GgufShard shard : file.shards()) {
                FileChannel channel = FileChannel.open(shard.path(), StandardOpenOption.READ);
                shards.channels.add(channel);
                // A mapping longer than the file would be made without complaint.
                if (channel.size() != shard.fileBytes()) {
                    throw changed(shard, channel.size());
                }
                shards.mappings.add(channel.map(FileChannel.MapMode.READ_ONLY, 0, shard.fileBytes(), shards.arena));
            }
            done = true;
            return shards;
        } finally {
            if (!done) {
                shards.close();
            }
        }
    }

    /** The mapped bytes of a piece. Fails if the file has become shorter than it was. */
    MemorySegment mapped(TensorChunk chunk) throws IOException {
        int index = chunk.tensor().shard();
        GgufShard shard = file.shards().get(index);
        long size = channels.get(index).size();
        if (size != shard.fileBytes()) {
            throw changed(shard, size);
        }
        return mappings.get(index).asSlice(chunk.fileOffset(), chunk.byteSize());
    }

    /** Reads a piece past the mapping. */
    void read(TensorChunk chunk, MemorySegment target) throws IOException {
        int index = chunk.tensor().shard();
        FileChannel channel = channels.get(index);
        ByteBuffer buffer = target.asSlice(0, chunk.byteSize()).asByteBuffer();
        long position = chunk.fileOffset();
        while (buffer.hasRemaining()) {
            int count = channel.read(buffer, position);
            if (count < 0) {
                throw changed(file.shards().get(index), channel.size());
            }
            position += count;
        }
    }

    @Override
    public void close() {
        arena.close();
        for (FileChannel channel : channels) {
            try {
                channel.close();
            } catch (IOException e) {
                // It was only read from: nothing can be lost, and what was read has been judged.
            }
        }
    }

    private static ModelFileException changed(GgufShard shard, long size) {
        return new ModelFileException(
                shard.path(),
                shard.fileBytes() + " bytes, as when it was opened",
                size + " bytes, while it was loaded");
    }
}
