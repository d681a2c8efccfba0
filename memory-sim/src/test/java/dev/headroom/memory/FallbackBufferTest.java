package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The buffer that lies where there was room: borrowing, taking, moving, closing. */
class FallbackBufferTest {

    private static final long SIZE = 4096;

    private final SimulatedBackend cuda = backend("cuda", card("RTX", 64 * MIB), card("second", 64 * MIB));
    private final SimulatedBackend host = SimulatedBackend.host(256 * MIB);
    private final GpuMemory memory =
            open(whole().toBuilder().waitTimeout(Duration.ZERO).build(), cuda, host);
    private final GpuMemoryPool device = memory.pool(memory.devices().get(0));
    private final GpuMemoryPool second = memory.pool(memory.devices().get(1));
    private final GpuMemoryPool dram = memory.pool(memory.devices().getLast());

    @AfterEach
    void nothingIsLeft() {
        assertThat(device.stats().activeBuffers()).isZero();
        assertThat(dram.stats().activeBuffers()).isZero();
        memory.close();
        cuda.requireNoViolations();
        host.requireNoViolations();
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
        assertThat(host.device(0).ledger().isEmpty()).isTrue();
    }

    @Test
    void aBufferOnItsDeviceIsBorrowed() {
        try (FallbackBuffer buffer = device.allocateWithFallback(SIZE)) {
            assertThat(buffer.isEmpty()).isFalse();
            assertThat(buffer.byteSize()).isEqualTo(SIZE);
            assertThat(buffer.asCpu()).isEmpty();
            assertThat(buffer.takeCpu()).isEmpty();
            DeviceBuffer borrowed = buffer.asGpu().orElseThrow();
            assertThat(borrowed.pool()).isSameAs(device);
            assertThat(borrowed.id()).isEqualTo(buffer.id());
            assertThat(buffer).hasToString(borrowed.toString());
        }
    }

    @Test
    void aBufferOnTheHostIsBorrowed() {
        try (FallbackBuffer buffer = dram.allocateWithFallback(SIZE)) {
            assertThat(buffer.asGpu()).isEmpty();
            assertThat(buffer.takeGpu()).isEmpty();
            assertThat(buffer.isEmpty()).as("nothing was taken").isFalse();
            assertThat(buffer.asCpu().orElseThrow().pool()).isSameAs(dram);
        }
    }

    @Test
    void takingMovesTheOwnership() {
        FallbackBuffer buffer = device.allocateWithFallback(SIZE);
        buffer.fill(0, SIZE, (byte) 7);
        DeviceBuffer taken = buffer.takeGpu().orElseThrow();
        assertThat(buffer.isEmpty()).isTrue();
        assertThat(buffer.byteSize()).isEqualTo(SIZE);
        assertThat(buffer).hasToString("FallbackBuffer[TAKEN, 4096 bytes]");
        assertThatExceptionOfType(BufferClosedException.class)
                .isThrownBy(buffer::asGpu)
                .withMessage("the buffer was taken out of this FallbackBuffer; use what take returned");
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(buffer::takeGpu);
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(buffer::location);
        buffer.close();
        assertThat(buffer.isEmpty()).isTrue();
        assertThat(byteAt(taken, SIZE - 1))
                .as("closing the empty one leaves it alone")
                .isEqualTo((byte) 7);
        taken.close();
    }

    @Test
    void takingFromTheHostMovesTheOwnership() {
        FallbackBuffer buffer = dram.allocateWithFallback(SIZE);
        buffer.fill(0, SIZE, (byte) 7);
        DeviceBuffer taken = buffer.takeCpu().orElseThrow();
        assertThat(buffer.isEmpty()).isTrue();
        buffer.close();
        assertThat(byteAt(taken, SIZE - 1))
                .as("closing the empty one leaves it alone")
                .isEqualTo((byte) 7);
        assertThat(dram.stats().activeBuffers()).isEqualTo(1);
        taken.close();
    }

    @Test
    void closingTwiceDoesNothingAndUseAfterCloseIsTyped() {
        FallbackBuffer buffer = device.allocateWithFallback(SIZE);
        DeviceBuffer borrowed = buffer.asGpu().orElseThrow();
        MemoryBuffer slice = buffer.slice(0, 10);
        buffer.close();
        buffer.close();
        assertThat(buffer.isEmpty()).as("closed is not taken").isFalse();
        assertThat(buffer).hasToString("FallbackBuffer[CLOSED, 4096 bytes]");
        assertThatExceptionOfType(BufferClosedException.class)
                .isThrownBy(() -> buffer.fill(0, 1, (byte) 0))
                .withMessage("FallbackBuffer is closed");
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(buffer::id);
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> buffer.moveTo(dram));
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> buffer.slice(0, 1));
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> slice.fill(0, 1, (byte) 0));
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> borrowed.fill(0, 1, (byte) 0));
    }

    @Test
    void contentsAndSlicesFollowAMove() {
        try (FallbackBuffer buffer = device.allocateWithFallback(SIZE)) {
            MemoryBuffer slice = buffer.slice(1000, 100);
            MemoryBuffer inner = slice.slice(10, 5);
            slice.fill(0, 100, (byte) 5);
            DeviceBuffer borrowed = buffer.asGpu().orElseThrow();
            BufferId before = buffer.id();

            buffer.moveTo(dram);

            assertThat(buffer.isGpu()).isFalse();
            assertThat(buffer.deviceAccessible())
                    .as("by the device it was asked for")
                    .isFalse();
            assertThat(buffer.isCpuFallback())
                    .as("it was moved, it did not fall back")
                    .isFalse();
            assertThat(buffer.id()).isNotEqualTo(before);
            assertThat(device.stats().activeBuffers()).isZero();
            assertThatExceptionOfType(BufferClosedException.class)
                    .as("the loan ended")
                    .isThrownBy(() -> byteAt(borrowed, 0));
            assertThat(slice.location()).isEqualTo(BufferLocation.CPU);
            assertThat(byteAt(slice, 99)).isEqualTo((byte) 5);
            inner.fill(0, 5, (byte) 6);
            assertThat(byteAt(buffer, 1009)).isEqualTo((byte) 5);
            assertThat(byteAt(buffer, 1010)).isEqualTo((byte) 6);
            assertThat(byteAt(buffer, 1014)).isEqualTo((byte) 6);
            assertThat(byteAt(buffer, 1015)).isEqualTo((byte) 5);

            buffer.moveTo(second);
            assertThat(buffer.isGpu()).isTrue();
            assertThat(buffer.deviceAccessible()).as("that is another device").isFalse();
            buffer.moveTo(device);
            assertThat(buffer.deviceAccessible()).isTrue();
            assertThat(byteAt(slice, 12)).isEqualTo((byte) 6);
        }
    }

    @Test
    void aFallbackIsPromotedWhenThereIsRoom() {
        DeviceBuffer all = device.allocate(64 * MIB);
        try (FallbackBuffer buffer = device.allocateWithFallback(SIZE)) {
            buffer.fill(0, SIZE, (byte) 9);
            assertThat(buffer.isCpuFallback()).isTrue();
            assertThatExceptionOfType(DeviceOutOfMemoryException.class).isThrownBy(() -> buffer.moveTo(device));
            assertThat(byteAt(buffer, 0)).as("unchanged").isEqualTo((byte) 9);
            assertThat(buffer.isCpuFallback()).isTrue();
            all.close();
            buffer.moveTo(device);
            assertThat(buffer.isCpuFallback()).isFalse();
            assertThat(buffer.isGpu()).isTrue();
            assertThat(buffer.deviceAccessible()).isTrue();
            assertThat(byteAt(buffer, SIZE - 1)).isEqualTo((byte) 9);
            assertThat(device.stats().cpuFallbacks()).as("it has happened").isEqualTo(1);
        }
    }

    @Test
    void callsThatMeetAMoveAreRefusedAndHaveDoneNothing() {
        AtomicInteger met = new AtomicInteger();
        try (FallbackBuffer buffer = device.allocateWithFallback(SIZE)) {
            buffer.fill(0, SIZE, (byte) 3);
            buffer.moveTo(meeting(dram, () -> {
                met.incrementAndGet();
                String text = "the buffer is being moved by another thread; try again when that is done";
                assertThatIllegalStateException()
                        .isThrownBy(() -> buffer.fill(0, 1, (byte) 0))
                        .withMessage(text);
                assertThatIllegalStateException().isThrownBy(buffer::asGpu).withMessage(text);
                assertThatIllegalStateException().isThrownBy(buffer::takeGpu).withMessage(text);
                assertThatIllegalStateException()
                        .isThrownBy(() -> buffer.moveTo(second))
                        .withMessage(text);
                assertThat(buffer.isEmpty()).isFalse();
                assertThat(buffer).hasToString("FallbackBuffer[MOVING, 4096 bytes]");
            }));
            assertThat(met).hasValue(1);
            assertThat(byteAt(buffer, 0)).isEqualTo((byte) 3);
        }
    }

    @Test
    void aCloseDuringAMoveTakesEffectAfterIt() {
        FallbackBuffer buffer = device.allocateWithFallback(SIZE);
        buffer.moveTo(meeting(dram, buffer::close));
        assertThat(buffer).hasToString("FallbackBuffer[CLOSED, 4096 bytes]");
        assertThat(dram.stats().activeBuffers()).isZero();
        assertThat(device.stats().activeBuffers()).isZero();
    }

    @Test
    void aCloseDuringAMoveThatFailsTakesEffectToo() {
        FallbackBuffer buffer = device.allocateWithFallback(SIZE);
        assertThatIllegalStateException()
                .isThrownBy(() -> buffer.moveTo(meeting(dram, () -> {
                    buffer.close();
                    throw new IllegalStateException("no room after all");
                })))
                .withMessage("no room after all");
        assertThat(buffer).hasToString("FallbackBuffer[CLOSED, 4096 bytes]");
        assertThat(device.stats().activeBuffers()).isZero();
    }

    @Test
    void aMoveThatFailsLeavesTheBufferAsItWas() {
        try (FallbackBuffer buffer = device.allocateWithFallback(SIZE)) {
            buffer.fill(0, SIZE, (byte) 4);
            BufferId before = buffer.id();
            assertThatIllegalStateException()
                    .isThrownBy(() -> buffer.moveTo(meeting(dram, () -> {
                        throw new IllegalStateException("no");
                    })));
            assertThat(buffer.id()).isEqualTo(before);
            assertThat(byteAt(buffer, 0)).isEqualTo((byte) 4);
        }
    }

    @Test
    void buffersOfDifferentSortsCopyToEachOther() {
        try (FallbackBuffer one = device.allocateWithFallback(SIZE);
                FallbackBuffer other = dram.allocateWithFallback(SIZE)) {
            one.fill(0, SIZE, (byte) 1);
            other.fill(0, SIZE, (byte) 2);
            one.slice(100, 100).copyTo(0, other.slice(200, 50), 10, 20);
            assertThat(byteAt(other, 209)).isEqualTo((byte) 2);
            assertThat(byteAt(other, 210)).isEqualTo((byte) 1);
            assertThat(byteAt(other, 229)).isEqualTo((byte) 1);
            assertThat(byteAt(other, 230)).isEqualTo((byte) 2);
            other.copyToAsync(0, one, 0, 10).join();
            assertThat(byteAt(one, 9)).isEqualTo((byte) 2);
        }
    }

    private static byte byteAt(MemoryBuffer buffer, long offset) {
        byte[] target = new byte[1];
        buffer.read(offset, MemorySegment.ofArray(target));
        return target[0];
    }

    /** A pool during whose next allocation something else happens. */
    private static GpuMemoryPool meeting(GpuMemoryPool pool, Runnable meanwhile) {
        return (GpuMemoryPool) Proxy.newProxyInstance(
                GpuMemoryPool.class.getClassLoader(),
                new Class<?>[] {GpuMemoryPool.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("allocate")) {
                        meanwhile.run();
                    }
                    try {
                        return method.invoke(pool, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}
