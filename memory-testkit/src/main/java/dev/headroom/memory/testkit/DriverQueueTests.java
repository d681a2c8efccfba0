package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.FutureTask;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The part of {@link DriverContract} about order: queues, threads, and queues of the user's. */
abstract class DriverQueueTests extends DriverTransferTests {

    // Queues.

    @Test
    void a_queue_keeps_its_order() throws DriverException {
        DriverBlock a = allocate(MemoryKind.DEVICE, 1);
        DriverBlock b = allocate(MemoryKind.DEVICE, 1);
        DriverQueue queue = queue();
        write(a, 0, BytePattern.of(1, 1), 256);
        write(b, 0, BytePattern.of(2, 1), 256);
        boolean served = true;
        for (int i = 0; i < 20 && served; i++) {
            served = submit(
                    queue, new Copy(new InBlock(i % 2 == 0 ? a : b, 0), new InBlock(i % 2 == 0 ? b : a, 0), 256));
        }
        finish(queue);
        if (served) {
            BytePattern.of(1, 1).requireIn(read(a, 0, 256));
            BytePattern.of(1, 1).requireIn(read(b, 0, 256));
        }
    }

    @Test
    void signals_rise_and_are_reached_in_order() throws DriverException {
        DriverQueue queue = queue();
        assertThat(driver().completed(queue)).isZero();
        DriverBlock block = allocate(MemoryKind.DEVICE, 64);
        long last = 0;
        long seen = 0;
        for (int i = 0; i < 50; i++) {
            submit(queue, new Fill(block, 0, block.byteSize(), (byte) i));
            long value = driver().signal(queue);
            assertThat(value).isGreaterThan(last);
            last = value;
            long now = driver().completed(queue);
            assertThat(now).isBetween(seen, last);
            seen = now;
        }
        assertThat(driver().await(queue, last, PATIENCE)).isTrue();
        assertThat(driver().completed(queue)).isEqualTo(last);
        assertThat(driver().await(queue, last, Duration.ZERO)).isTrue();
    }

    @Test
    void a_signal_without_work_is_reached() throws DriverException {
        DriverQueue queue = queue();
        long first = driver().signal(queue);
        long second = driver().signal(queue);
        assertThat(second).isGreaterThan(first);
        assertThat(driver().await(queue, first, PATIENCE)).isTrue();
        assertThat(driver().await(queue, second, PATIENCE)).isTrue();
    }

    @Test
    void waiting_ends_with_the_timeout_or_the_work() throws DriverException {
        DriverQueue queue = queue();
        DriverBlock block = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 8 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        for (int i = 0; i < 10; i++) {
            submit(queue, new Fill(block, 0, block.byteSize(), (byte) i));
        }
        long value = driver().signal(queue);
        // Whichever answer is right: it must come, and agree with what comes after.
        boolean reached = driver().await(queue, value, Duration.ZERO);
        if (reached) {
            assertThat(driver().completed(queue)).isEqualTo(value);
        }
        driver().await(queue, value, Duration.ofNanos(1));
        assertThat(driver().await(queue, value, PATIENCE)).isTrue();
    }

    @Test
    void an_interrupt_stays_set() throws DriverException {
        DriverQueue queue = queue();
        DriverBlock block = allocate(MemoryKind.DEVICE, 1);
        submit(queue, new Fill(block, 0, 16, (byte) 1));
        long value = driver().signal(queue);
        Thread.currentThread().interrupt();
        boolean kept;
        try {
            driver().await(queue, value, PATIENCE);
        } finally {
            kept = Thread.interrupted();
        }
        assertThat(kept).as("the interrupt is still set").isTrue();
        assertThat(driver().await(queue, value, PATIENCE)).isTrue();
    }

    @Test
    void a_queue_waits_for_another() throws DriverException {
        DriverBlock a = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 4 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        DriverBlock b = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 4 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        DriverBlock c = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 4 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        DriverQueue first = queue();
        DriverQueue second = queue();
        for (int i = 0; i < 10; i++) {
            BytePattern pattern = BytePattern.of(7, i);
            write(a, 0, pattern, 4 * MIB);
            if (!submit(first, new Copy(new InBlock(a, 0), new InBlock(b, 0), 4 * MIB))) {
                return;
            }
            driver().waitFor(second, first, driver().signal(first));
            submit(second, new Copy(new InBlock(b, 0), new InBlock(c, 0), 4 * MIB));
            finish(second);
            pattern.requireIn(read(c, 0, 4 * MIB));
        }
    }

    @Test
    void waiting_for_what_is_over_is_harmless() throws DriverException {
        DriverQueue first = queue();
        DriverQueue second = queue();
        long value = driver().signal(first);
        assertThat(driver().await(first, value, PATIENCE)).isTrue();
        driver().waitFor(second, first, value);
        finish(second);
    }

    @Test
    void the_device_becomes_idle() throws DriverException {
        assertThat(driver().awaitIdle(PATIENCE)).isTrue();
        DriverQueue queue = queue();
        DriverBlock block = allocate(MemoryKind.DEVICE, 64);
        submit(queue, new Fill(block, 0, block.byteSize(), (byte) 1));
        long value = driver().signal(queue);
        assertThat(driver().awaitIdle(PATIENCE)).isTrue();
        assertThat(driver().await(queue, value, Duration.ZERO)).isTrue();
    }

    @Test
    void threads_work_side_by_side() throws Exception {
        List<FutureTask<Void>> tasks = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            int id = t;
            tasks.add(new FutureTask<>(() -> churn(id)));
        }
        List<Thread> threads = tasks.stream()
                .map(task -> Thread.ofPlatform().name("contract").start(task))
                .toList();
        for (Thread thread : threads) {
            thread.join();
        }
        for (FutureTask<Void> task : tasks) {
            task.get();
        }
    }

    @Test
    void virtual_threads_may_call() throws Exception {
        FutureTask<Void> task = new FutureTask<>(() -> churn(1));
        Thread.ofVirtual().start(task).join();
        task.get();
    }

    private @Nullable Void churn(int id) throws DriverException {
        for (int i = 0; i < 25; i++) {
            DriverBlock block = driver().allocate(request(MemoryKind.DEVICE, 4096L << i % 4));
            BytePattern pattern = BytePattern.of(id, i);
            write(block, 0, pattern, block.byteSize());
            require(block, 0, pattern, block.byteSize());
            assertThat(driver().free(block).failure()).isEmpty();
        }
        return null;
    }

    // Users' queues.

    @Test
    void fences_stand_behind_users_work() throws DriverException {
        NativeQueue theirs = userQueue(driver()).orElseGet(() -> abort("no queue of a user's to test with"));
        DriverQueue ours = queue();
        DriverBlock block = allocate(MemoryKind.DEVICE, 1);
        submit(ours, new Fill(block, 0, 256, (byte) 3));
        driver().hold(theirs, ours, driver().signal(ours));
        try (DriverFence fence = driver().record(theirs)) {
            driver().waitFor(ours, fence);
            assertThat(fence.await(PATIENCE)).isTrue();
            assertThat(fence.done()).isTrue();
            assertThat(fence.await(Duration.ZERO)).isTrue();
        }
        finish(ours);
        DriverFence early = driver().record(theirs);
        assertThatCode(early::close).doesNotThrowAnyException();
    }
}
