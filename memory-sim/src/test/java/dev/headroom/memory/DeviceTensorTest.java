package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Tensors on a simulated card with a host beside it. */
class DeviceTensorTest {

    private final SimulatedBackend cuda = backend("cuda", card("card", 64 * MIB));
    private final SimulatedBackend host = SimulatedBackend.host(256 * MIB);
    private final GpuMemory memory =
            open(whole().toBuilder().waitTimeout(Duration.ZERO).tracking(true).build(), cuda, host);
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());

    @AfterEach
    void nothingIsLeft() {
        assertThat(pool.stats().activeBuffers()).isZero();
        memory.close();
        cuda.requireNoViolations();
        host.requireNoViolations();
    }

    @Test
    void aMatrixTravelsThereAndBack() {
        TensorSpec spec = TensorSpec.of(DataType.F32, 128, 256);
        float[] values = floats(128 * 256);
        try (DeviceTensor tensor = DeviceTensor.allocate(pool, spec)) {
            assertThat(tensor.spec()).isEqualTo(spec);
            assertThat(tensor.buffer().byteSize()).isEqualTo(131_072);
            assertThat(tensor.buffer().location()).isEqualTo(BufferLocation.GPU);
            tensor.upload(values);
            float[] back = new float[values.length];
            tensor.download(back);
            assertThat(back).containsExactly(values);
        }
    }

    @Test
    void theMatricesOfAProduct() {
        try (DeviceTensor a = DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 1, 512));
                DeviceTensor b = DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 512, 256))) {
            assertThat(a.buffer().byteSize()).isEqualTo(2_048);
            assertThat(b.buffer().byteSize()).isEqualTo(524_288);
            assertThat(pool.stats().inUseBytes()).isEqualTo(2_048 + 524_288);
        }
    }

    @Test
    void exactlyOneMebibyteComesFromThePool() {
        TensorSpec spec = TensorSpec.of(DataType.F32, 512, 512);
        DeviceTensor.allocate(pool, spec).close();
        long missesBefore = pool.stats().poolMisses();
        try (DeviceTensor again = DeviceTensor.allocate(pool, spec)) {
            assertThat(again.buffer().byteSize()).isEqualTo(MIB);
            assertThat(pool.stats().poolMisses()).isEqualTo(missesBefore);
            assertThat(pool.stats().poolHits()).isEqualTo(1);
        }
    }

    @Test
    void everyArrayTypeTravelsForItsDataType() {
        try (DeviceBuffer buffer = pool.allocate(64)) {
            short[] shorts = new short[8];
            DeviceTensor.of(buffer, TensorSpec.of(DataType.BF16, 8)).upload(new short[] {1, 2, 3, 4, 5, 6, 7, 8});
            DeviceTensor.of(buffer, TensorSpec.of(DataType.I16, 8)).download(shorts);
            assertThat(shorts).containsExactly(1, 2, 3, 4, 5, 6, 7, 8);

            int[] ints = new int[2];
            DeviceTensor.of(buffer, TensorSpec.of(DataType.I32, 2)).upload(new int[] {-1, 7});
            DeviceTensor.of(buffer, TensorSpec.of(DataType.U32, 2)).download(ints);
            assertThat(ints).containsExactly(-1, 7);

            long[] longs = new long[1];
            DeviceTensor.of(buffer, TensorSpec.of(DataType.U64, 1)).upload(new long[] {1L << 40});
            DeviceTensor.of(buffer, TensorSpec.of(DataType.I64)).download(longs);
            assertThat(longs).containsExactly(1L << 40);

            double[] doubles = new double[2];
            DeviceTensor f64 = DeviceTensor.of(buffer, TensorSpec.of(DataType.F64, 2));
            f64.upload(new double[] {Math.PI, Double.NaN});
            f64.download(doubles);
            assertThat(doubles).containsExactly(Math.PI, Double.NaN);

            float[] pair = new float[2];
            DeviceTensor complex = DeviceTensor.of(buffer, TensorSpec.of(DataType.C64, 1));
            complex.upload(new float[] {1, -1});
            complex.download(pair);
            assertThat(pair).containsExactly(1, -1);

            byte[] block = new byte[34];
            DeviceTensor quantised = DeviceTensor.of(buffer, TensorSpec.of(DataType.Q8_0, 32));
            byte[] bytes = new byte[34];
            bytes[33] = 9;
            quantised.upload(bytes);
            quantised.download(block);
            assertThat(block).containsExactly(bytes);
        }
    }

    @Test
    void nativeMemoryAndByteArraysServeEveryType() {
        try (Arena arena = Arena.ofConfined();
                DeviceTensor tensor = DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 2))) {
            tensor.upload(arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1.5f, 2.5f));
            byte[] bytes = new byte[8];
            tensor.download(bytes);
            assertThat(MemorySegment.ofArray(bytes).get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4))
                    .isEqualTo(2.5f);
            tensor.upload(bytes);
            MemorySegment back = arena.allocate(ValueLayout.JAVA_FLOAT, 2);
            tensor.download(back);
            assertThat(back.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(1.5f, 2.5f);
        }
    }

    @Test
    void asynchronousCopiesEndWithTheirFutures() {
        float[] values = floats(1024);
        float[] back = new float[1024];
        try (Arena arena = Arena.ofShared();
                DeviceTensor tensor = DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 1024))) {
            tensor.uploadAsync(MemorySegment.ofArray(values)).join();
            tensor.downloadAsync(MemorySegment.ofArray(back)).join();
            assertThat(back).containsExactly(values);

            MemorySegment kept = arena.allocateFrom(ValueLayout.JAVA_FLOAT, floats(1024));
            kept.setAtIndex(ValueLayout.JAVA_FLOAT, 0, -3);
            tensor.uploadAsync(kept, KeepAlive.CALLER).join();
            tensor.download(back);
            assertThat(back[0]).isEqualTo(-3);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tensor.uploadAsync(MemorySegment.ofArray(values), KeepAlive.CALLER))
                    .withMessage("a heap segment may move: KeepAlive.CALLER needs native memory");
        }
    }

    @Test
    void sizesThatDoNotFitAreRefusedBeforeAnyCopy() {
        TensorSpec spec = TensorSpec.of(DataType.F32, 2, 3).named("w");
        try (DeviceTensor tensor = DeviceTensor.allocate(pool, spec)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tensor.upload(new float[5]))
                    .withMessage("'w' F32 [2, 3] has 24 bytes, but 20 were given");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tensor.download(new float[7]))
                    .withMessage("'w' F32 [2, 3] has 24 bytes, but 28 were given");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tensor.uploadAsync(MemorySegment.ofArray(new float[7])));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tensor.downloadAsync(MemorySegment.ofArray(new float[5])));
        }
    }

    @Test
    void arraysOfAnotherTypeAreRefused() {
        try (DeviceBuffer buffer = pool.allocate(64)) {
            DeviceTensor f32 = DeviceTensor.of(buffer, TensorSpec.of(DataType.F32, 2));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> f32.upload(new int[2]))
                    .withMessage("F32 [2] takes float[] or byte[], not int[]");
            assertThatIllegalArgumentException().isThrownBy(() -> f32.download(new double[1]));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> DeviceTensor.of(buffer, TensorSpec.of(DataType.Q4_0, 64))
                            .upload(new int[9]))
                    .withMessage("Q4_0 [64] takes byte[], not int[]");
        }
    }

    @Test
    void aSliceIsAPartAlongTheFirstExtent() {
        float[] values = floats(4 * 3);
        float[] rows = new float[6];
        try (DeviceTensor tensor = DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 4, 3))) {
            tensor.upload(values);
            DeviceTensor middle = tensor.slice(1, 2);
            assertThat(middle.spec()).isEqualTo(TensorSpec.of(DataType.F32, 2, 3));
            middle.download(rows);
            assertThat(rows).containsExactly(3, 4, 5, 6, 7, 8);
            middle.slice(1, 1).upload(new float[] {-1, -2, -3});
            middle.close();
            float[] all = new float[12];
            tensor.download(all);
            assertThat(all).containsExactly(0, 1, 2, 3, 4, 5, -1, -2, -3, 9, 10, 11);
        }
    }

    @Test
    void slicesOutsideOrThroughABlockAreRefused() {
        try (DeviceBuffer buffer = pool.allocate(256)) {
            DeviceTensor tensor = DeviceTensor.of(buffer, TensorSpec.of(DataType.F32, 4, 3));
            assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> tensor.slice(3, 2));
            assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> tensor.slice(-1, 2));
            assertThatExceptionOfType(IndexOutOfBoundsException.class)
                    .isThrownBy(() -> tensor.slice(1, Long.MAX_VALUE));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tensor.slice(1, 0))
                    .withMessage("F32 [4, 3] has no part of 0: nothing can be sliced off");
            DeviceTensor blocks = DeviceTensor.of(buffer, TensorSpec.of(DataType.Q8_0, 96));
            assertThat(blocks.slice(32, 64).buffer().byteSize()).isEqualTo(68);
            assertThatIllegalArgumentException().isThrownBy(() -> blocks.slice(16, 32));
            assertThatIllegalArgumentException().isThrownBy(() -> blocks.slice(32, 16));
            assertThatIllegalArgumentException()
                    .isThrownBy(() ->
                            DeviceTensor.of(buffer, TensorSpec.of(DataType.F32)).slice(0, 1));
        }
    }

    @Test
    void aTensorOverABufferBorrowsIt() {
        try (DeviceBuffer buffer = pool.allocate(1000)) {
            DeviceTensor tensor = DeviceTensor.of(buffer, TensorSpec.of(DataType.I8, 10));
            tensor.close();
            tensor.upload(new byte[10]);
            assertThat(tensor.buffer()).isSameAs(buffer);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> DeviceTensor.of(buffer, TensorSpec.of(DataType.I32, 251)))
                    .withMessage("I32 [251] takes 1004 bytes, but the buffer has 1000");
        }
    }

    @Test
    void closingAnOwnerEndsItAndItsSlices() {
        DeviceTensor tensor = DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 4, 3));
        DeviceTensor slice = tensor.slice(0, 1);
        tensor.close();
        tensor.close();
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> tensor.upload(new float[12]));
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> slice.download(new float[3]));
    }

    @Test
    void theNameBecomesTheTag() {
        try (DeviceTensor tensor =
                DeviceTensor.allocate(pool, TensorSpec.of(DataType.F32, 4).named("bias"))) {
            assertThat(pool.tracker().orElseThrow().all())
                    .singleElement()
                    .satisfies(metadata -> assertThat(metadata.tag()).contains("bias"));
            assertThat(tensor.toString()).startsWith("'bias' F32 [4] in ");
        }
    }

    @Test
    void aTensorWithoutValuesHasNoMemory() {
        TensorSpec none = TensorSpec.of(DataType.F32, 0, 7).named("none");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DeviceTensor.allocate(pool, none))
                .withMessage("'none' F32 [0, 7] has no values: there is nothing to allocate");
        assertThatIllegalArgumentException().isThrownBy(() -> DeviceTensor.allocateWithFallback(pool, none));
        try (DeviceBuffer buffer = pool.allocate(1)) {
            DeviceTensor.of(buffer, none).upload(new float[0]);
        }
    }

    @Test
    void aFullDeviceSendsTheTensorToTheHost() {
        DeviceBuffer all = pool.allocate(64 * MIB);
        TensorSpec spec = TensorSpec.of(DataType.F32, 128, 256);
        assertThatExceptionOfType(DeviceOutOfMemoryException.class).isThrownBy(() -> DeviceTensor.allocate(pool, spec));
        try (DeviceTensor tensor = DeviceTensor.allocateWithFallback(pool, spec)) {
            FallbackBuffer buffer = (FallbackBuffer) tensor.buffer();
            assertThat(buffer.isCpuFallback()).isTrue();
            DeviceTensor row = tensor.slice(1, 1);
            row.upload(floats(256));
            all.close();
            buffer.moveTo(pool);
            float[] back = new float[256];
            row.download(back);
            assertThat(back).as("slices follow the move").containsExactly(floats(256));
            assertThat(tensor.buffer().location()).isEqualTo(BufferLocation.GPU);
        }
        assertThat(pool.stats().cpuFallbacks()).isEqualTo(1);
    }

    private static float[] floats(int count) {
        float[] values = new float[count];
        IntStream.range(0, count).forEach(i -> values[i] = i);
        return values;
    }
}
