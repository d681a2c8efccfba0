package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.sim.Ledger;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The part of {@link PoolContract} about life and misuse: what is closed or asked wrongly is refused by type. */
abstract class PoolLifeTests extends PoolOrderTests {

    @Test
    void closing_twice_is_harmless() {
        DeviceBuffer buffer = pool.allocate(1000);
        buffer.close();
        DeviceBuffer other = pool.allocate(1000);
        write(other, BytePattern.of(1, 1));
        MemoryStats before = pool.stats();
        buffer.close();
        assertThat(pool.stats()).isEqualTo(before);
        require(other, BytePattern.of(1, 1));
        other.close();
        pool.close();
        pool.close();
        memory.close();
        memory.close();
    }

    @Test
    void every_method_of_a_closed_buffer_refuses_by_type() throws IllegalAccessException {
        // What only tells what the buffer was may go on telling.
        Set<String> mayAnswer = Set.of("close", "byteSize", "id", "pool", "kind", "location", "deviceAccessible");
        DeviceBuffer target = pool.allocate(1000);
        DeviceBuffer closed = pool.allocate(1000);
        FallbackBuffer closedFallback = pool.allocateWithFallback(1000);
        closed.close();
        closedFallback.close();
        Set<String> fallbackMayAnswer = Set.of("close", "byteSize", "isEmpty", "isCpuFallback", "toString");
        List<String> wrong = new ArrayList<>();
        for (Method method : DeviceBuffer.class.getMethods()) {
            check(method, closed, target, mayAnswer, wrong);
        }
        for (Method method : FallbackBuffer.class.getMethods()) {
            if (method.getDeclaringClass() != Object.class && !Modifier.isStatic(method.getModifiers())) {
                check(method, closedFallback, target, fallbackMayAnswer, wrong);
            }
        }
        assertThat(wrong).isEmpty();
        target.close();
    }

    private void check(
            Method method, MemoryBuffer closed, DeviceBuffer target, Set<String> mayAnswer, List<String> wrong)
            throws IllegalAccessException {
        List<@Nullable Object> arguments = new ArrayList<>();
        for (Class<?> type : method.getParameterTypes()) {
            arguments.add(argument(type, target));
        }
        try {
            method.invoke(closed, arguments.toArray());
            // A slice of a closed buffer is refused when it is used, if not before.
            if (!mayAnswer.contains(method.getName()) && !method.getName().equals("slice")) {
                wrong.add(method + " answered");
            }
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof BufferClosedException)) {
                wrong.add(method + " threw " + e.getCause());
            }
        }
    }

    private Object argument(Class<?> type, DeviceBuffer target) {
        if (type == long.class) {
            return 1L;
        } else if (type == byte.class) {
            return (byte) 1;
        } else if (type == MemorySegment.class) {
            return arena.allocate(10);
        } else if (type == KeepAlive.class) {
            return KeepAlive.STAGED;
        } else if (type == NativeQueue.class) {
            return (NativeQueue) pool::backendName;
        } else if (type == GpuMemoryPool.class) {
            return pool;
        } else if (type.isInstance(target)) {
            return target;
        } else if (type == CompletionStage.class) {
            return CompletableFuture.completedStage("done");
        }
        throw new IllegalStateException("the suite does not know what to pass for " + type);
    }

    @Test
    void ranges_outside_are_refused_before_any_driver_call() {
        DeviceBuffer buffer = pool.allocate(1000);
        DeviceBuffer other = pool.allocate(100);
        MemorySegment ten = MemorySegment.ofArray(new byte[10]);
        long calls = driverCalls();
        for (long offset : new long[] {-1, 991, 1000, 1001, Long.MAX_VALUE, Long.MIN_VALUE, Long.MAX_VALUE - 5}) {
            assertOutOfRange(() -> buffer.write(offset, ten));
            assertOutOfRange(() -> buffer.read(offset, ten));
            assertOutOfRange(() -> buffer.fill(offset, 10, (byte) 1));
            assertOutOfRange(() -> buffer.writeAsync(offset, ten));
            assertOutOfRange(() -> buffer.readAsync(offset, ten));
            assertOutOfRange(() -> buffer.copyTo(offset, other, 0, 10));
            assertOutOfRange(() -> buffer.copyToAsync(offset, other, 0, 10));
            assertOutOfRange(() -> buffer.slice(offset, 10));
            assertOutOfRange(() -> buffer.resolve(offset, 10));
        }
        assertOutOfRange(() -> buffer.copyTo(0, other, 91, 10));
        assertOutOfRange(() -> buffer.copyTo(0, other, 0, 101));
        assertOutOfRange(() -> buffer.fill(0, -1, (byte) 1));
        assertThat(driverCalls()).isEqualTo(calls);
        buffer.close();
        other.close();
    }

    @Test
    void bad_arguments_are_refused_before_any_driver_call() {
        DeviceBuffer buffer = pool.allocate(1000);
        long calls = driverCalls();
        MemoryStats before = pool.stats();
        for (long byteSize : new long[] {0, -1, Long.MIN_VALUE}) {
            assertBadArgument(() -> pool.allocate(byteSize));
            assertBadArgument(() -> pool.allocateWithFallback(byteSize));
        }
        for (long alignment : new long[] {0, -1, 3, 4L << 20, 1L << 40, Long.MIN_VALUE}) {
            assertBadArgument(() -> AllocationRequest.of(1).aligned(alignment));
        }
        assertBadArgument(() -> buffer.slice(0, 0));
        assertBadArgument(() -> buffer.copyTo(0, buffer, 5, 10));
        assertBadArgument(
                () -> buffer.read(0, MemorySegment.ofArray(new byte[10]).asReadOnly()));
        assertThat(driverCalls()).isEqualTo(calls);
        assertThat(pool.stats()).isEqualTo(before);
        buffer.close();
    }

    @Test
    void what_can_never_fit_is_refused_at_once() {
        long calls = growthCalls();
        for (long byteSize : new long[] {LIMIT_BYTES + 1, 1L << 50, Long.MAX_VALUE}) {
            assertThatThrownBy(() -> pool.allocate(byteSize)).isInstanceOf(AllocationTooLargeException.class);
        }
        assertThat(growthCalls()).isEqualTo(calls);
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void closing_over_open_buffers_reports_and_does_not_throw() {
        DeviceBuffer leaked = pool.allocate(AllocationRequest.of(12_345).tagged("left open by the contract"));
        assertThatCode(memory::close).doesNotThrowAnyException();
        assertClosed(() -> leaked.fill(0, 1, (byte) 1));
        assertClosed(() -> pool.allocate(1));
        leaked.close();
    }

    @Test
    void a_closed_pool_refuses_by_type() {
        pool.close();
        assertClosed(() -> pool.allocate(1));
        assertClosed(() -> pool.allocateWithFallback(1));
    }

    private long driverCalls() {
        return ledgers().stream().mapToLong(Ledger::totalCalls).sum();
    }

    private long growthCalls() {
        return ledgers().stream()
                .mapToLong(ledger -> ledger.calls("allocate") + ledger.calls("reserve") + ledger.calls("commit"))
                .sum();
    }
}
