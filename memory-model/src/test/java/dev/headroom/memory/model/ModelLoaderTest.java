package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.DataType;
import dev.headroom.memory.DeviceOutOfMemoryException;
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
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelLoaderTest {

    private static final long MIB = 1L << 20;

    /** Above one chunk, so that there is something to be stopped in the middle of. */
    private static final long LARGE = 40 * MIB;

    @TempDir
    Path folder;

    private final FaultPlan faults = new FaultPlan();
    private SimulatedBackend card;
    private SimulatedBackend host;
    private Path path;
    private GgufFile file;

    @BeforeEach
    void makeFile() throws IOException {
        path = folder.resolve("model.gguf");
        GgufWriter.builder()
                .tensor("small", DataType.F32, 7)
                .tensor("large", DataType.F32, 1024, LARGE / 4096)
                .tensor("middle", DataType.Q8_0, 64, 1000)
                .tensor("last", DataType.F16, 3)
                .build()
                .write(path, new SyntheticWeights(7), WriteProgress.none());
        file = GgufFile.read(path);
        use(SimulatedDevice.builder("card").totalBytes(1024 * MIB));
    }

    @AfterEach
    void nothingWasForbidden() {
        card.requireNoViolations();
        host.requireNoViolations();
        assertThat(card.device(0).ledger().isEmpty())
                .as(card.device(0).ledger().describe())
                .isTrue();
        assertThat(host.device(0).ledger().isEmpty())
                .as(host.device(0).ledger().describe())
                .isTrue();
    }

    private void use(SimulatedDevice.Builder device) {
        card = SimulatedBackend.builder("sim").device(device).faults(faults).build();
        host = SimulatedBackend.host(2048 * MIB);
    }

    private GpuMemory open(MemoryConfig config) {
        return GpuMemory.builder().backend(card).backend(host).config(config).open();
    }

    private GpuMemory open() {
        return open(MemoryConfig.builder().minFreeBytes(0).build());
    }

    private GpuMemory openLimited(long bytes) {
        return open(MemoryConfig.builder().limitBytes(bytes).build());
    }

    private static GpuMemoryPool pool(GpuMemory memory) {
        return memory.pool(memory.devices().getFirst());
    }

    @ParameterizedTest
    @CsvSource({"1, false", "1, true", "3, false", "3, true"})
    void everyByteArrives(int threads, boolean hostVisible) throws IOException {
        if (hostVisible) {
            use(SimulatedDevice.builder("card").totalBytes(1024 * MIB).hostVisibleMemory());
        }
        byte[] all = Files.readAllBytes(path);
        try (GpuMemory memory = open();
                LoadedModel model = ModelLoader.builder(pool(memory))
                        .threads(threads)
                        .verify(true)
                        .build()
                        .load(file)) {
            assertThat(model.buffers().keySet()).containsExactly("small", "large", "middle", "last");
            for (GgufTensor tensor : file.tensors()) {
                byte[] found = new byte[(int) tensor.byteSize()];
                model.buffer(tensor.name()).read(0, MemorySegment.ofArray(found));
                int start = (int) tensor.fileOffset();
                assertThat(Arrays.equals(all, start, start + found.length, found, 0, found.length))
                        .as(tensor.name())
                        .isTrue();
            }
            LoadStats stats = model.stats();
            assertThat(stats.tensors()).isEqualTo(4);
            assertThat(stats.bytes()).isEqualTo(file.tensorBytes());
            assertThat(stats.elapsed()).isPositive();
            assertThat(stats.bytesPerSecond()).isPositive();
            assertThat(stats.fallbackBuffers()).isZero();
            assertThat(stats.verified()).isTrue();
            assertThat(pool(memory).stats().activeBuffers()).isEqualTo(4);
        }
    }

    @Test
    void closingGivesTheBuffersBack() throws IOException {
        try (GpuMemory memory = open()) {
            try (LoadedModel model = ModelLoader.of(pool(memory)).load(file)) {
                assertThat(model.pool().stats().activeBuffers()).isEqualTo(4);
            }
            assertThat(pool(memory).stats().activeBuffers()).isZero();
            assertThat(pool(memory).stats().inUseBytes()).isZero();
        }
    }

    @Test
    void whatDoesNotFitFallsBack() throws IOException {
        try (GpuMemory memory = openLimited(4 * MIB);
                LoadedModel model =
                        ModelLoader.builder(pool(memory)).verify(true).build().load(file)) {
            assertThat(model.buffer("large").isCpuFallback()).isTrue();
            assertThat(model.buffer("small").isCpuFallback()).isFalse();
            assertThat(model.buffer("last").isCpuFallback()).isFalse();
            assertThat(model.stats().fallbackBuffers()).isEqualTo(1);
            assertThat(model.stats().fallbackBytes()).isEqualTo(LARGE);
        }
    }

    @Test
    void aTensorAboveTheDevicesLargestAllocationFallsBackOrIsRefused() throws IOException {
        use(SimulatedDevice.builder("card").totalBytes(1024 * MIB).maxBlockBytes(16 * MIB));
        try (GpuMemory memory = open()) {
            try (LoadedModel model = ModelLoader.of(pool(memory)).load(file)) {
                assertThat(model.buffer("large").isCpuFallback()).isTrue();
                assertThat(model.stats().fallbackBuffers()).isEqualTo(1);
            }
            ModelLoader strict =
                    ModelLoader.builder(pool(memory)).fallback(false).build();
            assertThatExceptionOfType(AllocationTooLargeException.class).isThrownBy(() -> strict.load(file));
        }
    }

    @Test
    void withoutFallbackNothingIsCopiedUnlessAllFits() {
        try (GpuMemory memory = openLimited(40 * MIB + MIB / 2)) {
            ModelLoader strict = ModelLoader.builder(pool(memory))
                    .fallback(false)
                    .progress((_, _, _, _) -> {
                        throw new AssertionError("a byte was copied");
                    })
                    .build();
            assertThatThrownBy(() -> strict.load(file)).isInstanceOf(DeviceOutOfMemoryException.class);
            assertThat(card.device(0).ledger().calls("submit")).isZero();
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4})
    void progressRisesToTheEndOfEachStage(int threads) throws IOException {
        List<Long> copied = new ArrayList<>();
        List<Long> verified = new ArrayList<>();
        Thread caller = Thread.currentThread();
        LoadProgress progress = (stage, done, total, tensor) -> {
            assertThat(Thread.currentThread()).isSameAs(caller);
            assertThat(total).isEqualTo(file.tensorBytes());
            assertThat(file.tensor(tensor)).isPresent();
            (stage == LoadProgress.Stage.COPY ? copied : verified).add(done);
        };
        try (GpuMemory memory = open();
                LoadedModel model = ModelLoader.builder(pool(memory))
                        .threads(threads)
                        .verify(true)
                        .progress(progress)
                        .build()
                        .load(file)) {
            assertThat(copied).isSorted().last().isEqualTo(model.stats().bytes());
            assertThat(verified).isSorted().last().isEqualTo(file.tensorBytes());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void aThrowingListenerEndsTheLoad(int threads) {
        IllegalStateException thrown = new IllegalStateException("enough");
        try (GpuMemory memory = open()) {
            ModelLoader loader = ModelLoader.builder(pool(memory))
                    .threads(threads)
                    .progress((_, _, _, _) -> {
                        throw thrown;
                    })
                    .build();
            assertThatThrownBy(() -> loader.load(file)).isSameAs(thrown);
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    @Test
    void aLoadCanBeCalledOff() {
        int[] asked = new int[1];
        try (GpuMemory memory = open()) {
            ModelLoader loader = ModelLoader.builder(pool(memory))
                    .cancelWhen(() -> ++asked[0] > 6)
                    .build();
            assertThatExceptionOfType(LoadCancelledException.class)
                    .isThrownBy(() -> loader.load(file))
                    .matches(cancelled -> !cancelled.byInterrupt());
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    @ParameterizedTest
    @EnumSource(LoadProgress.Stage.class)
    void anInterruptEndsTheLoadAndStays(LoadProgress.Stage when) {
        try (GpuMemory memory = open()) {
            ModelLoader loader = ModelLoader.builder(pool(memory))
                    .verify(true)
                    .progress((stage, done, total, _) -> {
                        if (stage == when && done < total) {
                            Thread.currentThread().interrupt();
                        }
                    })
                    .build();
            assertThatExceptionOfType(LoadCancelledException.class)
                    .isThrownBy(() -> loader.load(file))
                    .matches(LoadCancelledException::byInterrupt);
            assertThat(Thread.interrupted()).isTrue();
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    @Test
    void anInterruptedThreadLoadsNothing() {
        try (GpuMemory memory = open()) {
            GpuMemoryPool pool = pool(memory);
            Thread.currentThread().interrupt();
            assertThatExceptionOfType(LoadCancelledException.class)
                    .isThrownBy(() -> ModelLoader.of(pool).load(file));
            assertThat(Thread.interrupted()).isTrue();
            assertThat(pool.stats().activeBuffers()).isZero();
        }
    }

    @Test
    void aFileThatWasChangedIsNotBegun() throws IOException {
        Files.setLastModifiedTime(path, FileTime.fromMillis(1));
        try (GpuMemory memory = open()) {
            GpuMemoryPool pool = pool(memory);
            assertThatExceptionOfType(ModelFileException.class)
                    .isThrownBy(() -> ModelLoader.of(pool).load(file));
            assertThat(card.device(0).ledger().calls("submit")).isZero();
        }
    }

    @Test
    void aFileThatChangesMeanwhileIsNoticed() {
        try (GpuMemory memory = open()) {
            ModelLoader loader = ModelLoader.builder(pool(memory))
                    .progress((_, _, _, _) -> change(path, 0))
                    .build();
            assertThatExceptionOfType(ModelFileException.class)
                    .isThrownBy(() -> loader.load(file))
                    .withMessageContaining("the file that was read");
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    @Test
    void aFileCutShortBetweenTwoPiecesIsNoticed() {
        try (GpuMemory memory = open()) {
            ModelLoader loader = ModelLoader.builder(pool(memory))
                    .progress((_, _, _, _) -> truncate(path, 4096))
                    .build();
            assertThatExceptionOfType(ModelFileException.class)
                    .isThrownBy(() -> loader.load(file))
                    .withMessageContaining("4096 bytes");
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    /** The driver is slow, so the file is cut after its size was checked and before it is read. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void aFileCutShortUnderTheCopyIsNoticed(int threads) throws Exception {
        use(SimulatedDevice.builder("card").totalBytes(1024 * MIB).hostVisibleMemory());
        faults.add(FaultRule.on("map").delayed(Duration.ofMillis(300)));
        try (GpuMemory memory = open()) {
            ModelLoader loader =
                    ModelLoader.builder(pool(memory)).threads(threads).build();
            Thread cutter = Thread.ofPlatform().start(() -> {
                LockSupport.parkNanos(Duration.ofMillis(150).toNanos());
                truncate(path, 4096);
            });
            assertThatExceptionOfType(ModelFileException.class)
                    .isThrownBy(() -> loader.load(file))
                    .withMessageContaining("4096 bytes");
            cutter.join();
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    @Test
    void aDifferenceIsFoundWithItsPlace() throws IOException {
        FileTime modified = Files.getLastModifiedTime(path);
        long place = 17 * MIB + 5;
        GgufTensor large = file.tensor("large").orElseThrow();
        try (GpuMemory memory = open()) {
            ModelLoader loader = ModelLoader.builder(pool(memory))
                    .verify(true)
                    .progress((stage, done, total, _) -> {
                        if (stage == LoadProgress.Stage.COPY && done == total) {
                            change(path, large.fileOffset() + place);
                            touch(path, modified);
                        }
                    })
                    .build();
            assertThatExceptionOfType(TensorMismatchException.class)
                    .isThrownBy(() -> loader.load(file))
                    .matches(mismatch -> mismatch.tensor().equals("large") && mismatch.byteOffset() == place)
                    .withMessageContaining("\"large\"")
                    .withMessageContaining("byte " + place);
            assertThat(pool(memory).stats().activeBuffers()).isZero();
        }
    }

    /**
     * Every driver call fails, in every way, once and for good: the load fails cleanly or succeeds truly. What a driver that never
     * answers again makes of its own objects is the engine's business, not the loader's.
     */
    @ParameterizedTest
    @EnumSource(DriverException.Kind.class)
    void whicheverCallFailsNoBufferIsLeftOpen(DriverException.Kind kind) throws IOException {
        Path small = folder.resolve("small.gguf");
        GgufWriter.builder()
                .tensor("a", DataType.F32, 1000)
                .tensor("b", DataType.F32, 64, 64)
                .build()
                .write(small, new SyntheticWeights(7), WriteProgress.none());
        GgufFile smallFile = GgufFile.read(small);
        long calls = attempt(smallFile, new FaultPlan());
        assertThat(calls).isGreaterThan(10);
        for (long n = 1; n <= calls; n++) {
            attempt(smallFile, new FaultPlan(FaultRule.on("*").nth(n).failing(kind, 999)));
            attempt(
                    smallFile,
                    new FaultPlan(FaultRule.on("*").skip(n - 1).sticky().failing(kind, 999)));
        }
    }

    private static long attempt(GgufFile model, FaultPlan plan) throws IOException {
        SimulatedBackend failing = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").totalBytes(64 * MIB))
                .faults(plan)
                .build();
        MemoryConfig config = MemoryConfig.builder()
                .minFreeBytes(0)
                .waitTimeout(Duration.ofMillis(100))
                .closeTimeout(Duration.ofMillis(100))
                .build();
        try (GpuMemory memory = GpuMemory.builder()
                .backend(failing)
                .backend(SimulatedBackend.host(1024 * MIB))
                .config(config)
                .open()) {
            GpuMemoryPool pool;
            try {
                pool = pool(memory);
            } catch (GpuMemoryException e) {
                return plan.calls(); // it was the device that could not be opened
            }
            try (LoadedModel loaded =
                    ModelLoader.builder(pool).verify(true).build().load(model)) {
                assertThat(loaded.stats().verified()).isTrue();
            } catch (GpuMemoryException e) {
                assertThat(e).hasMessageNotContaining("internal");
            }
            assertThat(pool.stats().activeBuffers()).isZero();
        }
        return plan.calls();
    }

    @Test
    void aFileWithoutTensorsIsAModelWithoutBuffers() throws IOException {
        Path empty = folder.resolve("empty.gguf");
        GgufWriter.builder().build().write(empty, new SyntheticWeights(7), WriteProgress.none());
        try (GpuMemory memory = open();
                LoadedModel model =
                        ModelLoader.builder(pool(memory)).verify(true).build().load(GgufFile.read(empty))) {
            assertThat(model.buffers()).isEmpty();
            assertThat(model.stats().bytes()).isZero();
        }
    }

    @Test
    void wrongArgumentsAreRefused() throws IOException {
        try (GpuMemory memory = open()) {
            ModelLoader.Builder builder = ModelLoader.builder(pool(memory));
            assertThatIllegalArgumentException().isThrownBy(() -> builder.threads(0));
            assertThatIllegalArgumentException().isThrownBy(() -> builder.threads(65));
            try (LoadedModel model = builder.build().load(file)) {
                assertThatIllegalArgumentException().isThrownBy(() -> model.buffer("none"));
            }
        }
    }

    private static void change(Path file, long position) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, position);
            channel.write(ByteBuffer.wrap(new byte[] {(byte) ~one.get(0)}), position);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static void touch(Path file, FileTime time) {
        try {
            Files.setLastModifiedTime(file, time);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static void truncate(Path file, long size) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(size);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
