package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

class BufferIdTest {
    @Test
    void increases() {
        BufferId first = BufferId.next();
        BufferId second = BufferId.next();
        assertThat(first.value()).isPositive();
        assertThat(second.value()).isGreaterThan(first.value());
        assertThat(second).isGreaterThan(first);
    }

    @Test
    void text() {
        assertThat(new BufferId(42)).hasToString("Buffer#42");
    }

    /** The numbers of this JVM may already be in use by other tests, so a second copy of the class is asked. */
    @Test
    void startsAtOne() throws Exception {
        URL classes = BufferId.class.getProtectionDomain().getCodeSource().getLocation();
        try (URLClassLoader fresh = new URLClassLoader(new URL[] {classes}, ClassLoader.getPlatformClassLoader())) {
            Class<?> copy = fresh.loadClass(BufferId.class.getName());
            assertThat(copy).isNotEqualTo(BufferId.class);
            Method next = copy.getMethod("next");
            assertThat(next.invoke(null)).hasToString("Buffer#1");
            assertThat(next.invoke(null)).hasToString("Buffer#2");
        }
    }

    @Test
    void refusesNumbersBelowOne() {
        assertThatThrownBy(() -> new BufferId(0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("value is 0: allowed are 1 or more");
    }

    @Test
    void isUniqueAcrossThreads() throws Exception {
        int threads = 8;
        int each = 5_000;
        Set<BufferId> ids = new HashSet<>();
        try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            List<Future<List<BufferId>>> drawn = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                drawn.add(executor.submit(() -> {
                    List<BufferId> mine = new ArrayList<>();
                    for (int i = 0; i < each; i++) {
                        mine.add(BufferId.next());
                    }
                    return mine;
                }));
            }
            for (Future<List<BufferId>> mine : drawn) {
                assertThat(mine.get()).isSorted();
                ids.addAll(mine.get());
            }
        }
        assertThat(ids).hasSize(threads * each);
    }
}
