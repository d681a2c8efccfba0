package dev.headroom.memory.model.calibration;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The file: a line that names its version, and a line per measurement, the newest last. It is replaced as a whole, so that
 * a reader sees all of an old or all of a new one. Writers take turns, within this process by a lock of the class, among
 * processes by one on a file beside it; who does not get its turn soon gives up.
 */
final class CalibrationFile {

    static final String HEADER = "headroom calibration 1";

    /** More than the longest file that is ever written. */
    static final int MAX_BYTES = 1 << 20;

    static final int MAX_MEASUREMENTS = 512;
    static final int MAX_PER_KEY = 8;

    private static final String HEADER_START = "headroom calibration ";

    /** Java refuses two locks on one file by one process instead of waiting. Held for file access only. */
    private static final ReentrantLock WRITERS = new ReentrantLock();

    private static final Duration PATIENCE = Duration.ofSeconds(2);
    private static final Duration PAUSE = Duration.ofMillis(5);

    private final Path path;

    CalibrationFile(Path path) {
        this.path = path.toAbsolutePath();
    }

    Path path() {
        return path;
    }

    /** All measurements, none if there is no file. */
    List<Measurement> read() throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(MAX_BYTES + 1);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            if (channel.size() > MAX_BYTES) {
                throw new DamagedFileException("more than " + MAX_BYTES + " bytes");
            }
            while (bytes.hasRemaining() && channel.read(bytes) >= 0) {
                // until its end
            }
        } catch (NoSuchFileException e) {
            return List.of();
        }
        try {
            return parse(
                    StandardCharsets.UTF_8.newDecoder().decode(bytes.flip()).toString());
        } catch (CharacterCodingException e) {
            throw new DamagedFileException("bytes that are no text");
        }
    }

    private static List<Measurement> parse(String text) throws IOException {
        List<String> lines = text.lines().toList();
        String header = lines.isEmpty() ? "" : lines.getFirst();
        if (!header.equals(HEADER)) {
            boolean later = header.startsWith(HEADER_START) && header.length() <= HEADER.length() + 3;
            throw later ? new NewerFileException(header) : new DamagedFileException("no line \"" + HEADER + "\"");
        }
        if (!text.endsWith("\n")) {
            throw new DamagedFileException("no end of the last line");
        }
        List<Measurement> measurements = new ArrayList<>();
        for (int i = 1; i < lines.size(); i++) {
            try {
                measurements.add(Measurement.parse(lines.get(i)));
            } catch (DamagedFileException e) {
                throw new DamagedFileException("line " + (i + 1) + " has " + e.getMessage());
            }
        }
        return measurements;
    }

    /** Changes what the file holds. */
    @FunctionalInterface
    interface Change {
        List<Measurement> apply() throws IOException;
    }

    /** Replaces the file, while nobody else does. Returns false if it was not this thread's turn in time. */
    boolean replace(Change change) throws IOException, InterruptedException {
        if (!WRITERS.tryLock(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
            return false;
        }
        try {
            Path folder = path.getParent();
            if (folder != null) {
                Files.createDirectories(folder);
            }
            try (FileChannel lockFile =
                            FileChannel.open(beside(".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                    FileLock lock = lock(lockFile)) {
                if (lock == null) {
                    return false;
                }
                write(bounded(change.apply()));
                return true;
            }
        } finally {
            WRITERS.unlock();
        }
    }

    private static @Nullable FileLock lock(FileChannel channel) throws IOException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                FileLock lock = channel.tryLock();
                if (lock != null) {
                    return lock;
                }
            } catch (OverlappingFileLockException e) {
                // another class loader of this process has it
            }
            if (System.nanoTime() - deadline > 0 || Thread.currentThread().isInterrupted()) {
                return null;
            }
            LockSupport.parkNanos(PAUSE.toNanos());
        }
    }

    /** The newest, few of each key and few in all. */
    private static List<Measurement> bounded(List<Measurement> all) {
        List<Measurement> kept = new ArrayList<>();
        for (Measurement measurement : all.reversed()) {
            long ofKey = kept.stream()
                    .filter(other -> other.key().equals(measurement.key()))
                    .count();
            if (ofKey < MAX_PER_KEY && kept.size() < MAX_MEASUREMENTS) {
                kept.add(measurement);
            }
        }
        return kept.reversed();
    }

    /** The name of the temporary file is always the same: one a crash has left is overwritten by the next writer. */
    private void write(List<Measurement> measurements) throws IOException {
        StringBuilder text = new StringBuilder(HEADER).append('\n');
        measurements.forEach(measurement -> text.append(measurement.toLine()).append('\n'));
        Path temporary = beside(".tmp");
        try {
            try (FileChannel channel = FileChannel.open(
                    temporary,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.TRUNCATE_EXISTING,
                    StandardOpenOption.WRITE)) {
                ByteBuffer bytes = ByteBuffer.wrap(text.toString().getBytes(StandardCharsets.UTF_8));
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                channel.force(true);
            }
            move(temporary);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private void move(Path temporary) throws IOException {
        try {
            Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(temporary, path, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private Path beside(String suffix) {
        return path.resolveSibling(path.getFileName() + suffix);
    }
}
