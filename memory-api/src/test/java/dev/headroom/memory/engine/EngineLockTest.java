package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class EngineLockTest {

    private final EngineLock lock = new EngineLock();
    private long guarded;
    private long mirror;

    @Test
    void one_thread_at_a_time() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            threads.add(Thread.ofPlatform().unstarted(() -> count(50_000)));
        }
        for (int i = 0; i < 200; i++) {
            threads.add(Thread.ofVirtual().unstarted(() -> count(500)));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(guarded).isEqualTo(4 * 50_000 + 200 * 500);
        assertThat(mirror).isEqualTo(-guarded);
    }

    @Test
    void who_waits_gets_in_when_the_holder_leaves() throws InterruptedException {
        lock.lock();
        Thread waiting = Thread.ofPlatform().start(() -> count(1));
        while (waiting.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait(); // it sleeps in the end, however long the holder takes
        }
        assertThat(guarded).isZero();
        lock.unlock();
        waiting.join();
        assertThat(guarded).isEqualTo(1);
    }

    @Test
    void an_interrupt_neither_ends_the_wait_nor_gets_lost() throws InterruptedException {
        boolean[] still = {false};
        lock.lock();
        Thread waiting = Thread.ofPlatform().start(() -> {
            Thread.currentThread().interrupt();
            count(1);
            still[0] = Thread.interrupted();
        });
        Thread.sleep(5);
        assertThat(waiting.isAlive()).isTrue();
        lock.unlock();
        waiting.join();
        assertThat(guarded).isEqualTo(1);
        assertThat(still[0]).isTrue();
    }

    private void count(int times) {
        for (int i = 0; i < times; i++) {
            lock.lock();
            guarded++;
            mirror = -guarded;
            lock.unlock();
        }
    }
}
