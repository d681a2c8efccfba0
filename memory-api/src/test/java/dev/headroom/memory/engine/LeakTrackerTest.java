package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.TrackingLevel;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class LeakTrackerTest {

    /** Frames outside the engine; here these are of the JDK, and their lines change with it. */
    private static final Pattern FRAMES = Pattern.compile("\n      at [^\n]*");

    private final AtomicLong clock = new AtomicLong();
    /** Buffers that shall not be found unreachable. */
    private final List<Extent> held = new ArrayList<>();

    @Test
    void the_report_names_what_the_level_knows() throws InterruptedException {
        LeakTracker leaks = tracker(TrackingLevel.FULL);
        remember(leaks, 7, 4096, Optional.of("kv cache"));
        clock.addAndGet(3_000_000_000L);
        remember(leaks, 9, 3 << 20, Optional.empty());
        assertThat(leaks.closed(remember(leaks, 8, 1, Optional.empty()))).isTrue();
        clock.addAndGet(2_000_000_000L);
        String report = leaks.report("sim:0 pool", 2, (3 << 20) + 4096, true);
        assertThat(report).containsPattern(FRAMES).doesNotContain("dev.headroom.memory.engine");
        assertThat(FRAMES.matcher(report).replaceAll("")).isEqualTo("""
                        sim:0 pool closed with 2 buffers still open, 3.00 MiB in all; the memory was given back
                          Buffer#7, 4 KiB, 'kv cache', open for 5 s
                          Buffer#9, 3 MiB, open for 2 s""");
    }

    @Test
    void a_level_that_knows_less_says_which_knows_more() {
        LeakTracker leaks = tracker(TrackingLevel.COUNT);
        assertThat(leaks.wants()).isFalse();
        assertThat(leaks.tracker()).isEmpty();
        assertThat(leaks.report("sim:0 pool", 1, 256, false)).isEqualTo("""
                        sim:0 pool closed with 1 buffer still open, 256 B in all; the memory is still in use
                          TrackingLevel.COUNT names 0 of them; TrackingLevel.FULL names each with tag, age and the place of its allocation""");
    }

    @Test
    void a_long_report_is_cut() throws InterruptedException {
        LeakTracker leaks = tracker(TrackingLevel.FULL);
        for (int i = 1; i <= 25; i++) {
            remember(leaks, i, 1, Optional.empty());
        }
        assertThat(leaks.report("sim:0 pool", 25, 25, true))
                .contains("Buffer#1,", "Buffer#20,")
                .doesNotContain("Buffer#21,")
                .endsWith("\n  ... and 5 more");
    }

    @Test
    void nothing_open_is_nothing_to_report() {
        LeakTracker leaks = tracker(TrackingLevel.FULL);
        assertThat(leaks.report("sim:0 pool", 0, 0, true)).isNull();
        assertThat(leaks.hint(0)).isEmpty();
    }

    @Test
    void one_in_64_is_remembered_in_samples_and_none_below() {
        assertThat(wanted(TrackingLevel.OFF)).isZero();
        assertThat(wanted(TrackingLevel.COUNT)).isZero();
        assertThat(wanted(TrackingLevel.SAMPLED)).isEqualTo(10);
        assertThat(wanted(TrackingLevel.FULL)).isEqualTo(640);
    }

    private int wanted(TrackingLevel level) {
        LeakTracker leaks = tracker(level);
        int wanted = 0;
        for (int i = 0; i < 640; i++) {
            wanted += leaks.wants() ? 1 : 0;
        }
        return wanted;
    }

    /** On a thread of its own, so that only frames of the engine and of the JDK are on its stack. */
    private BufferTrail remember(LeakTracker leaks, long id, long bytes, Optional<String> tag)
            throws InterruptedException {
        AtomicReference<BufferTrail> trail = new AtomicReference<>();
        Extent buffer = new Extent(null, 1, 0) {};
        held.add(buffer);
        Thread.ofPlatform()
                .start(() -> trail.set(leaks.opened(buffer, new BufferId(id), bytes, BufferLocation.GPU, tag)))
                .join();
        return trail.get();
    }

    private LeakTracker tracker(TrackingLevel level) {
        GpuDevice device = GpuDevice.of("sim", 0, "card", DeviceClass.DISCRETE, PhysicalId.unknown());
        return new LeakTracker(device, level, false, clock::get, trail -> {});
    }
}
