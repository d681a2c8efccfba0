package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.cuda.CudaDouble.Lasting;
import dev.headroom.memory.cuda.SweepRun.Fault;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/**
 * Every driver call of every workload fails through the real JCuda, once and for ever. What has to hold then is in {@link
 * SweepRun}. The system property {@code headroom.sweep} picks workloads by a part of their name. With each commit the codes that stand for the engine's two great decisions are swept, and the rest at night.
 */
class CudaFaultSweepTest {

    private static final int OUT_OF_MEMORY = 2;
    private static final int ILLEGAL_ADDRESS = 700;

    /** Out of memory; not initialised, invalid context; and the context gone in four ways. */
    private static final List<Integer> CODES = List.of(OUT_OF_MEMORY, 3, 201, ILLEGAL_ADDRESS, 709, 719, 999);

    /** A single run takes milliseconds: one that takes so long hangs. */
    private static final long HANG_SECONDS = 30;

    /** The pump's thread looks as often as it gets to, so that the number of calls is not the same each time. */
    private static final long PUMP_CALLS = 6;

    private static final int SHOWN = 5;

    /** With each commit, of every workload's calls. Prime to the three calls that most steps are made of. */
    private static final int EVERY_SO_MANY = 13;

    // Strong, because loggers that nobody holds forget their level.
    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private static long runs;
    private static long calls;
    private static final List<String> LINES = new ArrayList<>();
    private static volatile String current = "";
    private static volatile long currentSince;

    /** A run that hangs goes on when its test has failed, on the one driver there is: nothing after it means anything. */
    private static volatile boolean hung;

    @BeforeAll
    static void prepare() {
        CudaDouble.empty();
        LOG.setLevel(Level.OFF); // thousands of failures, each announced
    }

    @AfterAll
    static void report() {
        LOG.setLevel(null);
        LINES.forEach(System.out::println);
        System.out.printf("CUDA fault sweep: %d calls swept, %d runs%n", calls, runs);
    }

    @TestFactory
    Stream<DynamicTest> some_calls_fail() {
        return sweeps(
                List.of(
                        new Fault(0, OUT_OF_MEMORY, Lasting.ONCE),
                        new Fault(0, ILLEGAL_ADDRESS, Lasting.IN_ITS_CONTEXT)),
                EVERY_SO_MANY);
    }

    @Tag("long")
    @TestFactory
    Stream<DynamicTest> every_call_fails_with_every_code() {
        List<Fault> faults = new ArrayList<>();
        for (int code : CODES) {
            Fault fault = new Fault(0, code, Lasting.ONCE);
            faults.add(fault);
            faults.add(new Fault(0, code, Lasting.FOR_EVER));
            if (fault.loses()) {
                faults.add(new Fault(0, code, Lasting.IN_ITS_CONTEXT));
            }
        }
        return sweeps(faults, 1);
    }

    private static Stream<DynamicTest> sweeps(List<Fault> faults, int step) {
        assertThat(SweepWorkloads.all()).hasSizeGreaterThanOrEqualTo(25);
        return SweepWorkloads.all().stream()
                .filter(workload -> workload.name().contains(System.getProperty("headroom.sweep", "")))
                .map(workload ->
                        DynamicTest.dynamicTest(workload.name(), () -> guarded(() -> sweep(workload, faults, step))));
    }

    private static void sweep(SweepWorkload workload, List<Fault> faults, int step) {
        long number = run(workload, Fault.NONE);
        long last = number + (workload.pumps() ? PUMP_CALLS : 0);
        long before = runs;
        long start = System.nanoTime();
        List<String> failures = new ArrayList<>();
        // Each workload begins elsewhere, so that all of them together meet every kind of call.
        for (long call = 1 + Math.floorMod(workload.name().hashCode(), step); call <= last; call += step) {
            for (Fault fault : faults) {
                try {
                    run(workload, new Fault(call, fault.code(), fault.lasting()));
                } catch (AssertionError e) {
                    failures.add("call %d, code %d, %s: %s%s"
                            .formatted(call, fault.code(), fault.lasting(), e.getMessage(), trace(e)));
                }
            }
        }
        calls += number;
        LINES.add("  %s: %d calls, %d runs, %d ms"
                .formatted(workload, number, runs - before, (System.nanoTime() - start) / 1_000_000));
        assertThat(failures)
                .withFailMessage(() -> "%s: %d of %d runs failed:%n%s"
                        .formatted(
                                workload,
                                failures.size(),
                                runs - before,
                                String.join("\n", failures.subList(0, Math.min(SHOWN, failures.size())))))
                .isEmpty();
    }

    private static long run(SweepWorkload workload, Fault fault) {
        current = workload + ", " + fault;
        currentSince = System.nanoTime();
        runs++;
        return new SweepRun(workload, fault).run();
    }

    private static String trace(Throwable failure) {
        Throwable root = failure;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        StringBuilder text = new StringBuilder();
        for (StackTraceElement frame : root.getStackTrace()) {
            if (frame.getClassName().startsWith("dev.headroom.memory.")) {
                text.append("\n    at ").append(frame);
            }
        }
        return text.toString();
    }

    /** Runs on a thread of its own, so that a hang becomes a failure that shows where every thread stood. */
    private static void guarded(Runnable sweep) throws InterruptedException {
        assertThat(hung).as("an earlier run hangs").isFalse();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread worker = Thread.ofPlatform().name("sweep").daemon().unstarted(() -> {
            try {
                sweep.run();
            } catch (Throwable e) {
                failure.set(e);
            }
        });
        currentSince = System.nanoTime();
        worker.start();
        while (!worker.join(Duration.ofMillis(500))) {
            if (System.nanoTime() - currentSince > HANG_SECONDS * 1_000_000_000) {
                hung = true;
                throw new AssertionError("hangs: " + current + threads());
            }
        }
        switch (failure.get()) {
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case null -> {}
            default -> throw new AssertionError(failure.get());
        }
    }

    private static String threads() {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<Thread, StackTraceElement[]> thread :
                Thread.getAllStackTraces().entrySet()) {
            text.append("\n\n").append(thread.getKey());
            for (StackTraceElement frame : thread.getValue()) {
                text.append("\n    at ").append(frame);
            }
        }
        return text.toString();
    }
}
