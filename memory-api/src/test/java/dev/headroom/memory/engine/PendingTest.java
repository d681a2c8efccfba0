package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class PendingTest {

    @Test
    void is_done_when_all_points_are() {
        CompletableFuture<Void> first = new CompletableFuture<>();
        CompletableFuture<Void> second = new CompletableFuture<>();
        Point.Pending pending =
                Point.Pending.with(new Point.OnStage(second), Point.Pending.with(new Point.OnStage(first), null));
        assertThat(points(pending)).hasSize(2);
        assertThat(pending.done()).isFalse();
        second.complete(null);
        assertThat(pending.done()).isFalse();
        first.completeExceptionally(new IllegalStateException("a use that failed has ended too"));
        assertThat(pending.done()).isTrue();
    }

    @Test
    void points_known_to_be_done_are_dropped_when_another_is_added() {
        CompletableFuture<Void> over = new CompletableFuture<>();
        Point open = new Point.OnStage(new CompletableFuture<>());
        Point.Pending pending = Point.Pending.with(open, Point.Pending.with(new Point.OnStage(over), null));
        over.complete(null);
        Point next = new Point.OnStage(new CompletableFuture<>());
        assertThat(points(Point.Pending.with(next, pending))).containsExactly(next, open);
    }

    @Test
    void the_order_stays_newest_first() {
        Point.Pending pending = null;
        List<Point> added = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            Point point = new Point.OnStage(new CompletableFuture<>());
            added.addFirst(point);
            pending = Point.Pending.with(point, pending);
        }
        assertThat(points(pending)).isEqualTo(added);
    }

    @Test
    void a_buffer_used_without_end_remembers_only_what_is_under_way() {
        Point.Pending pending = null;
        for (int i = 0; i < 100_000; i++) {
            CompletableFuture<Void> use = new CompletableFuture<>();
            pending = Point.Pending.with(new Point.OnStage(use), pending);
            use.complete(null);
        }
        assertThat(points(pending)).hasSize(1);
    }

    private static List<Point> points(Point.@Nullable Pending pending) {
        List<Point> points = new ArrayList<>();
        for (Point.Pending p = pending; p != null; p = p.rest()) {
            points.add(p.first());
        }
        return points;
    }
}
