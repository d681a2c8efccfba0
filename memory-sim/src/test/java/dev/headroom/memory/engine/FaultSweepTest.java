package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.engine.FaultSweepRun.Fault;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.spi.DriverException;
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
import org.junit.jupiter.api.TestFactory;

/**
 * Every driver call of every workload fails, once and for ever, in every way a driver may report and in two it may not. What
 * has to hold then is in {@link FaultSweepRun}.
 */
class FaultSweepTest {

    /** What a failed call may come out as. */
    static final Class<GpuMemoryException> ANNOUNCED = GpuMemoryException.class;

    /** Marks what a broken driver throws, so that it is told from surprises of our own. */
    interface Thrown {
        /** A broken driver. */
        final class Bug extends IllegalStateException implements Thrown {
            private static final long serialVersionUID = 1;

            Bug() {
                super("injected");
            }
        }

        /** A virtual machine at its limits, inside a driver. */
        final class Limit extends StackOverflowError implements Thrown {
            private static final long serialVersionUID = 1;

            Limit() {
                super("injected");
            }
        }
    }

    /** A single run takes milliseconds: one that takes so long hangs. */
    private static final long HANG_SECONDS = 30;

    /** The pump's thread looks as often as it gets to, so that the number of calls is not the same each time. */
    private static final long PUMP_CALLS = 6;

    private static final int SHOWN = 5;

    // Strong, because loggers that nobody holds forget their level.
    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private static long runs;
    private static long calls;
    private static long abandoned;
    private static final List<String> LINES = new ArrayList<>();

    @BeforeAll
    static void hush() {
        LOG.setLevel(Level.OFF); // thousands of failures, each announced
    }

    @AfterAll
    static void report() {
        LOG.setLevel(null);
        LINES.forEach(System.out::println);
        System.out.printf(
                "fault sweep: %d workloads, %d calls, %d runs, %d of them left memory to the system%n",
                FaultSweepWorkloads.all().size(), calls, runs, abandoned);
    }

    @TestFactory
    Stream<DynamicTest> every_call_fails_in_every_way() {
        return FaultSweepWorkloads.all().stream()
                .map(workload -> DynamicTest.dynamicTest(workload.name(), () -> guarded(() -> sweep(workload))));
    }

    private static void sweep(FaultSweepWorkload workload) {
        long number = run(workload, new FaultPlan(), Fault.NONE, "no fault");
        long last = number + (workload.pumps() ? PUMP_CALLS : 0);
        long before = runs;
        long start = System.nanoTime();
        List<String> failures = new ArrayList<>();
        for (long n = 1; n <= last; n++) {
            for (DriverException.Kind kind : DriverException.Kind.values()) {
                boolean loses = kind == DriverException.Kind.DEVICE_LOST;
                FaultRule rule = FaultRule.on("*").failing(kind, 999);
                note(failures, workload, rule.nth(n), loses ? Fault.LOST : Fault.ONCE, kind + " at call " + n);
                note(failures, workload, rule.skip(n - 1).sticky(), Fault.FOR_EVER, kind + " from call " + n + " on");
            }
            FaultRule rule = FaultRule.on("*").nth(n);
            note(failures, workload, rule.throwing(Thrown.Bug::new), Fault.THROWN, "exception at call " + n);
            note(failures, workload, rule.throwing(Thrown.Limit::new), Fault.THROWN, "error at call " + n);
        }
        calls += number;
        LINES.add("  %s: %d calls, %d runs, %d ms"
                .formatted(workload, number, runs - before, (System.nanoTime() - start) / 1_000_000));
        assertThat(failures)
                .withFailMessage(() -> "%s: %d of %d runs failed:%n%s"
                        .formatted(
                                workload,
                                failures.size(),
                                runs,
                                String.join("\n", failures.subList(0, Math.min(SHOWN, failures.size())))))
                .isEmpty();
    }

    private static void note(
            List<String> failures, FaultSweepWorkload workload, FaultRule rule, Fault fault, String words) {
        try {
            run(workload, new FaultPlan(rule), fault, words);
        } catch (AssertionError e) {
            failures.add(words + ": " + e.getMessage() + trace(e));
        }
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

    private static volatile String current = "";
    private static volatile long currentSince;

    private static long run(FaultSweepWorkload workload, FaultPlan plan, Fault fault, String words) {
        current = workload + ", " + words;
        currentSince = System.nanoTime();
        runs++;
        FaultSweepRun run = new FaultSweepRun(workload, plan, fault);
        long made = run.run();
        abandoned += run.abandoned() ? 1 : 0;
        return made;
    }

    /** Runs on a thread of its own, so that a hang becomes a failure that shows where every thread stood. */
    private static void guarded(Runnable sweep) throws InterruptedException {
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
