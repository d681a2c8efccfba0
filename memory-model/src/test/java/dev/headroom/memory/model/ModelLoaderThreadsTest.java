package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a load promises holds with several threads: all or nothing, the first failure is the one thrown, no thread stays. */
class ModelLoaderThreadsTest {

    private static final long MIB = 1L << 20;
    private static final int TENSORS = 24;

    @TempDir
    Path folder;

    private final FaultPlan faults = new FaultPlan();
    private SimulatedBackend card = SimulatedBackend.host(MIB);
    private @Nullable GgufFile file;

    @BeforeEach
    void makeFile() throws IOException {
        use(SimulatedDevice.builder("card"));
        Random random = new Random(11);
        GgufWriter.Builder builder = GgufWriter.builder();
        for (int i = 0; i < TENSORS; i++) {
            // A few in several pieces, the rest from a single value to a mebibyte.
            long values = i % 8 == 0 ? 4 * MIB + random.nextInt(100_000) : 1L << random.nextInt(19);
            builder.tensor("blk." + i + ".weight", DataType.F32, values);
        }
        Path path = folder.resolve("model.gguf");
        builder.build().write(path, new SyntheticWeights(3), WriteProgress.none());
        file = GgufFile.read(path);
    }

    @AfterEach
    void nothingIsLeft() {
        card.requireNoViolations();
        assertThat(card.device(0).ledger().isEmpty())
                .as(card.device(0).ledger().describe())
                .isTrue();
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .noneMatch(name -> name.startsWith("headroom-load-"));
    }

    private void use(SimulatedDevice.Builder device) {
        card = SimulatedBackend.builder("sim")
                .device(device.totalBytes(1024 * MIB))
                .faults(faults)
                .build();
    }

    private GgufFile file() {
        return Objects.requireNonNull(file);
    }

    private GpuMemory open() {
        return GpuMemory.builder()
                .backend(card)
                .config(MemoryConfig.builder()
                        .minFreeBytes(0)
                        .cpuFallback(false)
                        .build())
                .open();
    }

    private static GpuMemoryPool pool(GpuMemory memory) {
        return memory.pool(memory.devices().getFirst());
    }

    /** A copy fails somewhere, wherever that is: nothing of the load stays, and the next one on the same pool is whole. */
    @ParameterizedTest
    @CsvSource({"1, 2, submit", "2, 4, submit", "3, 2, map", "4, 4, map", "5, 8, submit", "6, 8, map"})
    void aCopyThatFailsEndsAllThreads(long seed, int threads, String call) throws IOException {
        Random random = new Random(seed);
        if (random.nextBoolean() && call.equals("map")) {
            use(SimulatedDevice.builder("card").hostVisibleMemory());
        }
        for (int round = 0; round < 5; round++) {
            int nth = 1 + random.nextInt(TENSORS);
            faults.add(FaultRule.on(call).nth(nth).failing(DriverException.Kind.UNEXPECTED, 7));
            try (GpuMemory memory = open()) {
                GpuMemoryPool pool = pool(memory);
                ModelLoader loader =
                        ModelLoader.builder(pool).threads(threads).verify(true).build();
                assertThatExceptionOfType(GpuMemoryException.class)
                        .as("seed %d, round %d, %s number %d", seed, round, call, nth)
                        .isThrownBy(() -> loader.load(file()));
                assertThat(pool.stats().activeBuffers()).isZero();
                assertThat(pool.stats().inUseBytes()).isZero();
                faults.clear();
                try (LoadedModel model = loader.load(file())) {
                    assertThat(model.stats().verified()).isTrue();
                    assertThat(model.stats().threads()).isEqualTo(threads);
                }
            }
        }
    }

    /** The caller calls the load off after its first piece; others may have done the rest by then, and then it is whole. */
    @ParameterizedTest
    @ValueSource(ints = {2, 4, 8})
    void aLoadCalledOffOnTheWayLeavesNothing(int threads) throws IOException {
        AtomicBoolean enough = new AtomicBoolean();
        try (GpuMemory memory = open()) {
            GpuMemoryPool pool = pool(memory);
            ModelLoader loader = ModelLoader.builder(pool)
                    .threads(threads)
                    .progress((_, _, _, _) -> enough.set(true))
                    .cancelWhen(enough::get)
                    .build();
            try (LoadedModel model = loader.load(file())) {
                assertThat(model.stats().bytes()).isEqualTo(file().tensorBytes());
            } catch (LoadCancelledException cancelled) {
                assertThat(cancelled.byInterrupt()).isFalse();
            }
            assertThat(pool.stats().activeBuffers()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void aFileThatChangesUnderSeveralThreadsIsNoticed(int threads) {
        Path path = file().shards().getFirst().path();
        try (GpuMemory memory = open()) {
            GpuMemoryPool pool = pool(memory);
            ModelLoader loader = ModelLoader.builder(pool)
                    .threads(threads)
                    .progress((_, _, _, _) -> touch(path))
                    .build();
            assertThatExceptionOfType(ModelFileException.class)
                    .isThrownBy(() -> loader.load(file()))
                    .withMessageContaining("the file that was read");
            assertThat(pool.stats().activeBuffers()).isZero();
        }
    }

    private static void touch(Path path) {
        try {
            Files.setLastModifiedTime(path, FileTime.fromMillis(1));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
