package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.OutOfMemoryReport;
import dev.headroom.memory.PoolReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * Writes reports on failed allocations to files: whole ones or none, a bounded number, and never so that the failure itself is
 * lost. Thread-safe; no lock is held while a report is made or written.
 */
final class OutOfMemoryReports {

    /** The most files of one pool. */
    static final int MOST_FILES = 10;

    /** The least time between two files of one pool. */
    static final Duration PAUSE = Duration.ofMinutes(1);

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");
    private static final DateTimeFormatter STAMP =
            DateTimeFormatter.ofPattern("uuuuMMdd-HHmmss", Locale.ROOT).withZone(ZoneOffset.UTC);

    private final Path folder;
    private final GpuDevice device;
    private final LongSupplier clock;
    private int written;
    private long lastNanos;

    OutOfMemoryReports(Path folder, GpuDevice device, LongSupplier clock) {
        this.folder = folder;
        this.device = device;
        this.clock = clock;
    }

    /**
     * Writes a report, if it is time for one.
     *
     * @param failure  what the caller is to be told
     * @param request  what was asked for
     * @param pool     takes the report of the pool
     * @param siblings takes those of the others on the same memory
     * @return what to tell the caller instead, naming the file; the failure itself if nothing was written
     */
    DeviceOutOfMemoryException noted(
            DeviceOutOfMemoryException failure,
            AllocationRequest request,
            Supplier<PoolReport> pool,
            Supplier<List<PoolReport>> siblings) {
        try {
            int number = next();
            if (number > 0) {
                return naming(
                        write(
                                new OutOfMemoryReport(
                                        Instant.now(),
                                        ProcessHandle.current().pid(),
                                        Thread.currentThread().getName(),
                                        request,
                                        failure,
                                        pool.get(),
                                        siblings.get()),
                                number),
                        failure);
            }
        } catch (IOException | RuntimeException | Error e) {
            LOG.log(System.Logger.Level.WARNING, device + ": no report on the failed allocation could be written", e);
        }
        return failure;
    }

    /** The number of the file to be written now, 0 for none. */
    private int next() {
        long now = clock.getAsLong();
        synchronized (this) {
            if (written == MOST_FILES || (written > 0 && now - lastNanos < PAUSE.toNanos())) {
                return 0;
            }
            lastNanos = now;
            return ++written;
        }
    }

    private Path write(OutOfMemoryReport report, int number) throws IOException {
        Files.createDirectories(folder);
        String name = "headroom-oom-%s-%s-%d-%d.json"
                .formatted(
                        device.id().replaceAll("[^A-Za-z0-9]", "-"),
                        STAMP.format(report.writtenAt()),
                        report.processId(),
                        number);
        Path file = folder.resolve(name).toAbsolutePath();
        Path part = Files.createTempFile(folder, name, ".part");
        try {
            Files.writeString(part, report.toJson() + "\n");
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
        return file;
    }

    private static DeviceOutOfMemoryException naming(Path file, DeviceOutOfMemoryException failure) {
        String message = failure.getMessage() + ". Report: " + file;
        Throwable cause = failure.getCause();
        DeviceOutOfMemoryException both = cause == null
                ? new DeviceOutOfMemoryException(message, failure.figures())
                : new DeviceOutOfMemoryException(message, failure.figures(), cause);
        both.setStackTrace(failure.getStackTrace());
        for (Throwable other : failure.getSuppressed()) {
            both.addSuppressed(other);
        }
        return both;
    }
}
