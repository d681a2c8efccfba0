package dev.headroom.memory.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.sim.AllocationTrace;
import java.io.IOException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The traces are valid, and the ones the documentation lists. */
class TraceGeneratorTest {

    /** Figures of different machines can be compared only as long as the traces are the same. */
    private static final Map<TraceGenerator, Integer> OPERATIONS = Map.of(
            TraceGenerator.PAGED, 852_560,
            TraceGenerator.DOUBLE, 497_104,
            TraceGenerator.CAT, 632_016,
            TraceGenerator.SWAP, 707_240,
            TraceGenerator.SPECULATIVE, 1_669_782,
            TraceGenerator.TRAINING, 466_333);

    @TempDir
    private Path folder;

    @ParameterizedTest
    @EnumSource
    void isTheSameEverywhereAndFreesOnlyWhatIsOpen(TraceGenerator kind) {
        LlmTrace trace = kind.generate();
        assertThat(trace.operations()).isEqualTo(OPERATIONS.get(kind));
        BitSet open = new BitSet();
        boolean valid = true;
        for (int i = 0; i < trace.operations(); i++) {
            int operation = trace.operation(i);
            int id = operation >= 0 ? operation : ~operation;
            valid &= open.get(id) == (operation < 0) && trace.byteSize(id) > 0;
            open.flip(id);
        }
        assertThat(valid).isTrue();
        assertThat(trace.peakLiveBytes()).isGreaterThan(trace.fixedBytes());
    }

    @Test
    void isWrittenAsItIsReplayed() throws IOException {
        LlmTrace trace = TraceGenerator.TRAINING.generate();
        Path file = folder.resolve("trace");
        trace.write(file);
        AllocationTrace read = AllocationTrace.read(file);
        assertThat(read.operations()).isEqualTo(trace.operations());
        assertThat(read.peakLiveBytes()).isEqualTo(trace.peakLiveBytes());
    }

    @Test
    void figuresAreReadAsTheyWereWritten() throws IOException {
        Figures figures = new Figures();
        figures.put("hot/headroom/256/1", 20.5, 0.125);
        figures.put("memory/torch-expandable/paged", 1.108, 0);
        Path file = folder.resolve("figures.json");
        figures.write(file, "quick");
        assertThat(Figures.read(file).all()).isEqualTo(figures.all());
    }

    /** Of several sizes the worst counts, and what was not measured is not met. */
    @Test
    void goalsAreHeldAgainstTheWorstSize() {
        Figures figures = new Figures();
        figures.put("hot/headroom/256/1", 20, 0);
        figures.put("hot/headroom/16777216/1", 25, 0);
        figures.put("hot/netty-pooled/256/1", 50, 0);
        figures.put("hot/netty-pooled/16777216/1", 50, 0);
        assertThat(goal(figures, "pair, buffers, 1 thread").met()).contains(false);
        assertThat(goal(figures, "Netty pooled").value()).hasValue(2.0);
        assertThat(goal(figures, "headroom, 16 MiB pair").met()).contains(true);
        assertThat(goal(figures, "Arrow").met()).isEmpty();
    }

    private static Goals.Goal goal(Figures figures, String part) {
        return Goals.of(figures).stream()
                .filter(goal -> goal.what().contains(part))
                .findFirst()
                .orElseThrow();
    }
}
