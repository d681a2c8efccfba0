package dev.headroom.examples.matmul;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What every backend's kernels have to do. */
abstract class MatmulContract {

    /** All of it on the device, however small. */
    private static final long ALWAYS = 0;

    /** A scheduler of the backend that sends everything of two rows and more to the device. */
    abstract HybridScheduler scheduler(long threshold);

    @Test
    void the_product_of_the_seed() {
        try (HybridScheduler scheduler = scheduler(ALWAYS)) {
            float[] a = {1, 2, 3, 4};
            float[] b = {5, 6, 7, 8};
            float[] c = {19, 22, 43, 50};
            assertThat(scheduler.matmul(a, b, 2, 2, 2)).isEqualTo(c);
            assertThat(scheduler.matmulAsync(a, b, 2, 2, 2).await()).isEqualTo(c);
            PooledMatrix pooled = scheduler.matmulPooled(a, b, 2, 2, 2);
            assertThat(pooled.toArray()).isEqualTo(c);
            scheduler.releaseBuffer(pooled);
            assertThat(scheduler.matmulBatch(List.of(MatmulTask.of(a, b, 2, 2, 2))))
                    .singleElement()
                    .isEqualTo(c);
            requireAllOnDevice(scheduler, 4);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "2, 1, 1",
        "2, 1, 17",
        "17, 17, 17",
        "127, 17, 1",
        "127, 1, 127",
        "16, 16, 16",
        "33, 65, 130",
        "127, 127, 127",
        "256, 256, 256"
    })
    void random_products_match_the_reference(int m, int k, int n) {
        requireCorrect(m, k, n);
    }

    @Tag("long")
    @ParameterizedTest
    @CsvSource({"1023, 1023, 1023", "1024, 1024, 1024", "1023, 127, 1024"})
    void large_products_match_the_reference(int m, int k, int n) {
        requireCorrect(m, k, n);
    }

    private void requireCorrect(int m, int k, int n) {
        MatmulTask task = Products.random(m, k, n);
        try (HybridScheduler scheduler = scheduler(ALWAYS)) {
            Products.requireCorrect(task, scheduler.matmul(task.a(), task.b(), m, k, n));
            requireAllOnDevice(scheduler, 1);
        }
    }

    /** Not one value of the buffer's last owner shines through. */
    @ParameterizedTest
    @CsvSource({"2, 3, 1", "17, 17, 17", "127, 17, 33"})
    void a_poisoned_output_is_overwritten_in_full(int m, int k, int n) {
        MatmulTask task = Products.random(m, k, n);
        try (HybridScheduler scheduler = scheduler(ALWAYS)) {
            PooledMatrix first = scheduler.matmulPooled(task.a(), task.b(), m, k, n);
            DeviceBuffer buffer = first.buffer().orElseThrow();
            buffer.fill(0, buffer.byteSize(), (byte) 0xFF); // not a number
            scheduler.releaseBuffer(first);
            PooledMatrix second = scheduler.matmulPooled(task.a(), task.b(), m, k, n);
            assertThat(second.buffer()).containsSame(buffer);
            Products.requireCorrect(task, second.toArray());
            scheduler.releaseBuffer(second);
        }
    }

    @Test
    void a_batch_keeps_its_order() {
        List<MatmulTask> tasks = new ArrayList<>();
        for (int i = 0; i < 13; i++) {
            tasks.add(Products.random(2 + i, 20, 30 - i));
        }
        try (HybridScheduler scheduler = scheduler(ALWAYS)) {
            List<float[]> answers = scheduler.matmulBatch(tasks);
            assertThat(answers).hasSameSizeAs(tasks);
            for (int i = 0; i < tasks.size(); i++) {
                Products.requireCorrect(tasks.get(i), answers.get(i));
            }
            requireAllOnDevice(scheduler, tasks.size());
        }
    }

    @Test
    void several_threads_compute_at_a_time() {
        List<MatmulTask> tasks =
                List.of(Products.random(31, 17, 40), Products.random(40, 31, 17), Products.random(17, 40, 31));
        try (HybridScheduler scheduler = scheduler(ALWAYS)) {
            tasks.parallelStream().forEach(task -> {
                MatmulShape shape = task.shape();
                for (int i = 0; i < 20; i++) {
                    Products.requireCorrect(
                            task, scheduler.matmul(task.a(), task.b(), shape.m(), shape.k(), shape.n()));
                }
            });
            requireAllOnDevice(scheduler, 60);
        }
    }

    private static void requireAllOnDevice(HybridScheduler scheduler, long products) {
        SchedulerReport report = scheduler.report();
        assertThat(report.onDevice()).as(report.toString()).isEqualTo(products);
        assertThat(report.fallbacks()).as(report.toString()).isZero();
        assertThat(report.deviceUsable()).isTrue();
    }
}
