package dev.headroom.memory.testkit;

import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.Violation;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Fails a test that leaves something behind: live driver objects, threads of Headroom's, open files, bytes in a ledger,
 * or a broken contract with a simulated driver. It looks after the test's own {@code @AfterEach} methods have run.
 *
 * {@snippet :
 * @RegisterExtension
 * final LeakGuard leaks = new LeakGuard();
 *
 * final SimulatedBackend backend = leaks.watch(SimulatedBackend.card(1L << 30));
 * }
 *
 * <p>Also works as {@code @ExtendWith(LeakGuard.class)}, for threads and files only. Both belong to the process: tests
 * that run beside each other in one JVM cannot be told apart.
 */
public final class LeakGuard implements BeforeEachCallback, AfterEachCallback {

    /** What the names of Headroom's threads begin with. */
    public static final String THREAD_PREFIX = "headroom-";

    private static final Duration DEFAULT_GRACE = Duration.ofSeconds(2);
    private static final Path OPEN_FILES = Path.of("/proc/self/fd");

    private record Watch(String name, Supplier<String> left) {}

    private final Duration grace;
    private final List<Watch> watches = new CopyOnWriteArrayList<>();
    private Set<Thread> threadsBefore = Set.of();
    private Map<String, Integer> filesBefore = Map.of();

    /** A guard that watches threads and open files until it is told of more. */
    public LeakGuard() {
        this(DEFAULT_GRACE);
    }

    /**
     * A guard that watches threads and open files until it is told of more.
     *
     * @param grace how long threads may take to end, 2 seconds otherwise
     */
    public LeakGuard(Duration grace) {
        this.grace = grace;
    }

    /**
     * Watches the books and the violations of a simulated backend.
     *
     * @param backend the backend
     * @return the same backend
     */
    public SimulatedBackend watch(SimulatedBackend backend) {
        for (SimulatedDevice device : backend.devices()) {
            watch(device.device().toString(), device.ledger());
        }
        watches.add(new Watch(
                "violations of " + backend.name(),
                () -> backend.violations().stream().map(Violation::toString).collect(Collectors.joining("; "))));
        return backend;
    }

    /**
     * Watches the books of a driver: nothing may be alive.
     *
     * @param name   whose books they are
     * @param ledger the books
     */
    public void watch(String name, Ledger ledger) {
        watches.add(new Watch(name, () -> ledger.isEmpty() ? "" : ledger.describe()));
    }

    /**
     * Watches a figure: it must be 0.
     *
     * @param name  what it counts
     * @param bytes gives the figure
     */
    public void watch(String name, LongSupplier bytes) {
        watches.add(new Watch(name, () -> bytes.getAsLong() == 0 ? "" : bytes.getAsLong() + " bytes"));
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        threadsBefore = headroomThreads();
        filesBefore = openFiles();
    }

    @Override
    public void afterEach(ExtensionContext context) {
        List<String> left = left();
        long start = System.nanoTime();
        // Threads that were told to end need a moment; so do cleaners that close files.
        while (!left.isEmpty() && System.nanoTime() - start < grace.toNanos() && pause()) {
            left = left();
        }
        if (!left.isEmpty()) {
            throw new AssertionError(left.stream()
                    .collect(Collectors.joining("\n  ", context.getDisplayName() + " left behind:\n  ", "")));
        }
    }

    private List<String> left() {
        List<String> left = new ArrayList<>();
        for (Watch watch : watches) {
            String what = watch.left().get();
            if (!what.isEmpty()) {
                left.add(watch.name() + ": " + what);
            }
        }
        for (Thread thread : headroomThreads()) {
            if (!threadsBefore.contains(thread)) {
                left.add("thread " + thread.getName());
            }
        }
        openFiles().forEach((file, count) -> {
            int more = count - filesBefore.getOrDefault(file, 0);
            if (more > 0) {
                left.add(more + " x open file " + file);
            }
        });
        return left;
    }

    private static Set<Thread> headroomThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith(THREAD_PREFIX))
                .collect(Collectors.toUnmodifiableSet());
    }

    /** Open files by what they are; empty where the system does not tell. */
    private static Map<String, Integer> openFiles() {
        Map<String, Integer> files = new HashMap<>();
        if (!Files.isDirectory(OPEN_FILES)) {
            return files;
        }
        try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(OPEN_FILES)) {
            for (Path descriptor : descriptors) {
                try {
                    String target = Files.readSymbolicLink(descriptor).toString();
                    if (isOurs(target)) {
                        files.merge(target, 1, Integer::sum);
                    }
                } catch (IOException e) {
                    // closed since it was listed
                }
            }
        } catch (IOException e) {
            return Map.of();
        }
        return files;
    }

    /** What class loading and the JVM itself open is not a leak of a test. */
    private static boolean isOurs(String target) {
        return !target.endsWith(".jar")
                && !target.endsWith(".class")
                && !target.startsWith("/dev/null")
                && !target.startsWith("/dev/random")
                && !target.startsWith("/dev/urandom")
                && !target.startsWith("/proc/")
                && !target.startsWith("/sys/");
    }

    private static boolean pause() {
        try {
            Thread.sleep(20);
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }
}
