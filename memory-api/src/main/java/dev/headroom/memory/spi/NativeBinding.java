package dev.headroom.memory.spi;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A binding that unpacks its native library into the folder for temporary files when its class is initialised, as JCuda and JOCL
 * do: under a name everybody knows, unless a file of that name is there. Of several processes that start together one may load
 * what another is still writing, which ends it; half a file, left by a process that was killed, ends every later one; and
 * another user may have put one there. So the class is initialised while the folder for temporary files is one of our own.
 *
 * <p>Such bindings have no setting for the folder but the system property of the JVM, so that is changed for the few milliseconds
 * of the initialiser, after the JVM's own users of it have read it, for one binding at a time. Thread-safe.
 */
public final class NativeBinding {

    private static final String FOLDER = "java.io.tmpdir";
    private static final Object ONE_AT_A_TIME = new Object();

    private final String name;
    private final String className;
    private final ClassLoader loader;
    private final Preparation preparation;
    private boolean done;
    private @Nullable String failure;

    /** What has to be in the folder before the class is initialised. */
    @FunctionalInterface
    public interface Preparation {

        /**
         * Puts it there.
         *
         * @param folder the folder of our own
         * @throws IOException if that fails
         */
        void prepare(Path folder) throws IOException;
    }

    /**
     * A binding that is not initialised yet.
     *
     * @param name        a short name, for the folder
     * @param className   the class whose initialiser unpacks and loads
     * @param loader      knows the class
     * @param preparation what is done first
     */
    public NativeBinding(String name, String className, ClassLoader loader, Preparation preparation) {
        this.name = Objects.requireNonNull(name, "name");
        this.className = Objects.requireNonNull(className, "className");
        this.loader = Objects.requireNonNull(loader, "loader");
        this.preparation = Objects.requireNonNull(preparation, "preparation");
    }

    /**
     * Runs the initialiser, once per process.
     *
     * @throws UnsatisfiedLinkError if it failed, now or at the first time: an initialiser runs once only
     * @throws IOException          if there is no folder to unpack into
     */
    public synchronized void load() throws IOException {
        if (!done) {
            Path folder = Files.createTempDirectory("headroom-" + name + "-");
            try {
                preparation.prepare(folder);
                initialise(folder);
                done = true;
            } catch (LinkageError broken) {
                failure = String.valueOf(broken.getMessage());
                done = true;
            } finally {
                delete(folder);
            }
        }
        if (failure != null) {
            throw new UnsatisfiedLinkError(failure);
        }
    }

    private void initialise(Path folder) throws IOException {
        // The JVM reads the property once for its own temporary files: let it, before it changes.
        Files.delete(File.createTempFile("headroom-" + name + "-", null).toPath());
        synchronized (ONE_AT_A_TIME) {
            String before = System.setProperty(FOLDER, folder.toString());
            try {
                Class.forName(className, true, loader);
            } catch (ClassNotFoundException absent) {
                throw new NoClassDefFoundError(className);
            } finally {
                if (before == null) {
                    System.clearProperty(FOLDER);
                } else {
                    System.setProperty(FOLDER, before);
                }
            }
        }
    }

    /** A loaded library does not need its file any more, but on Windows the file cannot be deleted. */
    private static void delete(Path folder) {
        try {
            List<Path> all = new ArrayList<>();
            try (Stream<Path> files = Files.list(folder)) {
                files.forEach(all::add);
            }
            all.add(folder);
            for (Path path : all) {
                Files.deleteIfExists(path);
            }
        } catch (IOException inUse) {
            folder.toFile().deleteOnExit();
        }
    }
}
