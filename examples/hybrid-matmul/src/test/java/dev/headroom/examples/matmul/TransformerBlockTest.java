package dev.headroom.examples.matmul;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.Selection;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelLoader;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.WriteProgress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A block of a small model, loaded by {@code ModelLoader}, against float64. */
class TransformerBlockTest {

    private static final long SEED = 42;
    private static final int TOKENS = 8;

    /** Four query heads share two key heads; no extent is a multiple of the kernels' tile but the width. */
    private static final ModelShape SHAPE = new ModelShape(
            "tiny", "llama", 1, 64, 64, 90, 4, 2, 16, 32, 10_000, 1e-5, ModelShape.Experts.NONE, Set.of());

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"cpu", "opencl", "vulkan", "cuda"})
    void a_prompt_and_the_tokens_behind_it_match_the_reference(String backend) throws IOException {
        Path path = folder.resolve("tiny.gguf");
        GgufSynthesizer.of(SHAPE, DataType.F32, SEED).write(path, WriteProgress.none());
        GgufFile file = GgufFile.read(path);
        float[] prompt = Products.random(SHAPE.embeddingLength() * TOKENS, 11);
        double[][] expected = new BlockReference(SHAPE, file, SEED).forward(columns(prompt));
        try (GpuMemory memory = GpuMemory.builder()
                .config(MemoryConfig.builder().limitBytes(64L << 20).build())
                .open()) {
            Selection selection = memory.explainSelection(16L << 20, BackendPreference.parse(backend));
            assumeTrue(selection.chosen().isPresent(), () -> "no " + backend + " device: " + selection.explain());
            GpuMemoryPool pool = selection.pool();
            try (HybridScheduler scheduler = HybridScheduler.of(pool, MatmulKernels.of(pool), 0);
                    LoadedModel model = ModelLoader.of(pool).load(file);
                    TransformerBlock block = new TransformerBlock(scheduler, model, SHAPE, 0, pool, TOKENS)) {
                int done = 5; // the prompt at once, then token by token
                requireClose(block.forward(select(prompt, 0, done), done), expected, 0);
                for (; done < TOKENS; done++) {
                    requireClose(block.forward(select(prompt, done, 1), 1), expected, done);
                }
                assertThatThrownBy(() -> block.forward(new float[SHAPE.embeddingLength()], 1))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessage("1 new tokens behind 8: must be 1 to 0");
                assertThat(scheduler.report().fallbacks()).isZero();
                if (backend.equals("cpu")) {
                    assertThat(scheduler.report().onDevice()).isZero();
                } else {
                    // In each of four calls seven layers, and two products for each head.
                    assertThat(scheduler.report().onDevice()).isEqualTo(4 * (7 + 2 * SHAPE.heads()));
                }
            }
            assertThat(pool.stats().inUseBytes()).isZero();
        }
    }

    private static void requireClose(float[] answer, double[][] expected, int first) {
        int count = answer.length / SHAPE.embeddingLength();
        double largest = Arrays.stream(expected)
                .flatMapToDouble(Arrays::stream)
                .map(Math::abs)
                .max()
                .orElseThrow();
        assertThat(largest).isGreaterThan(1);
        double worst = 0;
        for (int i = 0; i < answer.length; i++) {
            double error = Math.abs(answer[i] - expected[first + i % count][i / count]);
            worst = error <= worst ? worst : error; // also if it is not a number
        }
        assertThat(worst).as("largest error from token %d on", first).isLessThanOrEqualTo(1e-5 * largest);
    }

    /** Of activations with a column for each token, some columns. */
    private static float[] select(float[] x, int first, int count) {
        float[] result = new float[SHAPE.embeddingLength() * count];
        for (int i = 0; i < result.length; i++) {
            result[i] = x[i / count * TOKENS + first + i % count];
        }
        return result;
    }

    private static double[][] columns(float[] x) {
        double[][] result = new double[TOKENS][SHAPE.embeddingLength()];
        for (int i = 0; i < x.length; i++) {
            result[i % TOKENS][i / TOKENS] = x[i];
        }
        return result;
    }
}
