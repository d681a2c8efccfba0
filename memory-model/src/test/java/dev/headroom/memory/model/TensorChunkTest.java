package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TensorChunkTest {

    private static final long CHUNK = 16L << 20;

    private static List<TensorChunk> cut(long values) {
        return TensorChunk.cut(
                GgufWriter.builder().tensor("t", DataType.I8, values).build().tensors(), CHUNK);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void thePiecesCoverATensorAndAreAlike(long seed) {
        Random random = new Random(seed);
        for (int i = 0; i < 200; i++) {
            long size = 1 + random.nextLong(1L << (1 + random.nextInt(33)));
            List<TensorChunk> chunks = cut(size);
            assertThat(chunks).as("size %d", size).hasSize((int) Math.ceilDiv(size, CHUNK));
            long end = 0;
            for (TensorChunk chunk : chunks) {
                assertThat(chunk.offset()).isEqualTo(end).matches(offset -> offset % 4096 == 0);
                assertThat(chunk.byteSize()).isPositive().isLessThanOrEqualTo(CHUNK);
                end += chunk.byteSize();
            }
            assertThat(end).isEqualTo(size);
            // No small rest: the last piece lacks no more than a page for each of the others.
            assertThat(chunks.getLast().byteSize())
                    .isGreaterThan(chunks.getFirst().byteSize() - 4096L * chunks.size());
        }
    }
}
