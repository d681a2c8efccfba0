package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.cuda.CudaSymbols.Feature;
import dev.headroom.memory.testkit.ChildProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A driver that lacks a function: CUDA is unavailable and says why, or works without it. No process ends. */
class MissingSymbolsTest {

    private static final int SAMPLED = 20;
    private static final long SEED = 2026;

    @TempDir
    Path folder;

    private ChildProcess child(Path driver) throws Exception {
        return ChildProcess.run(SymbolChild.class, folder, Map.of(), ChildProcess.ALLOWED, driver.toString());
    }

    /** Every function that may be called. */
    private static Set<String> known() {
        Set<String> known = new TreeSet<>(CudaSymbols.REQUIRED);
        known.addAll(CudaSymbols.MANAGEMENT);
        for (Feature feature : Feature.values()) {
            known.addAll(feature.symbols());
        }
        return known;
    }

    /** The lists are what the look-up goes by. What is on none may not be called; what nobody calls need not be there. */
    @Test
    void what_is_looked_up_is_what_is_called() throws Exception {
        ChildProcess ended = child(DoubleLibrary.folder());
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2).startsWith("worked");
        Set<String> called = new TreeSet<>(List.of(ended.out().getLast().split(" ")));
        assertThat(called).containsExactlyInAnyOrderElementsOf(known());
    }

    static Stream<String> every_one() throws IOException {
        List<String> others =
                new ArrayList<>(Files.readAllLines(DoubleLibrary.SOURCES.resolve("jcuda-12.6.0-symbols.txt")));
        others.removeAll(known());
        Collections.shuffle(others, new Random(SEED));
        return Stream.concat(known().stream(), others.stream().limit(SAMPLED));
    }

    @Tag("long")
    @ParameterizedTest
    @MethodSource("every_one")
    void one_by_one(String symbol) throws Exception {
        ChildProcess ended = child(DoubleLibrary.without(List.of(symbol)));
        assertThat(ended.err()).isEmpty();
        assertThat(ended.code()).isZero();
        if (CudaSymbols.REQUIRED.contains(symbol)) {
            assertThat(ended.out()).hasSize(1);
            assertThat(ended.out().getFirst()).startsWith("unavailable: ").contains("it lacks " + symbol + " | ");
        } else {
            assertThat(ended.out().getFirst()).isEqualTo("worked");
        }
    }

    /** A driver of the time before virtual memory and the rest. */
    @Test
    void all_that_one_can_do_without() throws Exception {
        List<String> optional = new ArrayList<>(CudaSymbols.MANAGEMENT);
        for (Feature feature : Feature.values()) {
            optional.addAll(feature.symbols());
        }
        ChildProcess ended = child(DoubleLibrary.without(optional));
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).startsWith("worked");
        assertThat(ended.out().getLast().split(" ")).doesNotContainAnyElementsOf(optional);
    }
}
