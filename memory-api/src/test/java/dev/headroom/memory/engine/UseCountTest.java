package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UseCountTest {

    /**
     * What each call answers, in every order that matters. a: acquire, r: release, c: close, x: acquire exclusively, y: release
     * exclusively; upper case where the answer is yes. For r, c and y yes means that this call has to take the thing apart.
     */
    @ParameterizedTest
    @CsvSource(textBlock = """
            C
            C c
            C a
            C x
            A r C
            A c R
            A A c r R
            A A r c R
            A c c R
            A c a R
            A x r X y C
            X a y A r C
            X c Y
            X c a Y c
            X c c Y
            X x y X y C
            """)
    void orders(String calls) {
        UseCount count = new UseCount();
        int apart = 0;
        for (String call : calls.split(" ")) {
            boolean answer = switch (call.toLowerCase()) {
                case "a" -> count.acquire();
                case "r" -> count.release();
                case "c" -> count.closeOnce();
                case "x" -> count.acquireExclusively();
                case "y" -> count.releaseExclusively();
                default -> throw new IllegalArgumentException(call);
            };
            boolean expected = Character.isUpperCase(call.charAt(0));
            assertThat(answer).as("%s in %s", call, calls).isEqualTo(expected);
            apart += answer && "rcy".contains(call.toLowerCase()) ? 1 : 0;
        }
        assertThat(count.isClosed()).isTrue();
        assertThat(count.isFinished()).isTrue();
        assertThat(apart).as("taken apart once").isEqualTo(1);
    }

    @Test
    void is_not_finished_while_a_use_is_left() {
        UseCount count = new UseCount();
        assertThat(count.isClosed()).isFalse();
        assertThat(count.isFinished()).isFalse();
        count.acquire();
        count.closeOnce();
        assertThat(count.isClosed()).isTrue();
        assertThat(count.isFinished()).isFalse();
        count.release();
        assertThat(count.isFinished()).isTrue();
    }

    @Test
    void one_of_many_threads_takes_it_apart() throws InterruptedException {
        for (int round = 0; round < 200; round++) {
            UseCount count = new UseCount();
            AtomicInteger apart = new AtomicInteger();
            AtomicInteger after = new AtomicInteger();
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                SplittableRandom random = new SplittableRandom(round * 10L + i);
                threads.add(Thread.ofPlatform().start(() -> {
                    for (int step = 0; step < 50; step++) {
                        if (random.nextInt(40) == 0 && count.closeOnce()) {
                            apart.incrementAndGet();
                        }
                        boolean exclusive = random.nextInt(8) == 0;
                        if (exclusive ? count.acquireExclusively() : count.acquire()) {
                            after.addAndGet(apart.get()); // nobody is inside once it is taken apart
                            if (exclusive ? count.releaseExclusively() : count.release()) {
                                apart.incrementAndGet();
                            }
                        }
                    }
                    if (count.closeOnce()) {
                        apart.incrementAndGet();
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(apart).hasValue(1);
            assertThat(after).hasValue(0);
        }
    }
}
