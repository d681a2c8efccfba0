package dev.headroom.memory.opencl;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Loads JOCL's native library from a folder of our own. JOCL unpacks it into the folder for temporary files, under a name
 * everybody knows, unless a file of that name is there. Half a file, left by a process that was killed, would end every
 * later process when it is loaded; and another user may have put one there.
 *
 * <p>JOCL has no setting for the folder but the system property of the JVM, so that is changed for the few milliseconds of
 * the initialiser, after the JVM's own users of it have read it.
 */
final class JoclNatives {

    private static final String FOLDER = "java.io.tmpdir";
    private static final String BINDING = "org.jocl.CL";

    private static boolean done;
    private static @Nullable String failure;

    private JoclNatives() {}

    /**
     * Runs the initialiser of JOCL, once per process.
     *
     * @throws UnsatisfiedLinkError if it failed, now or at the first time: an initialiser runs once only
     * @throws IOException if there is no folder to unpack into
     */
    static synchronized void load() throws IOException {
        if (!done) {
            Path folder = Files.createTempDirectory("headroom-jocl-");
            try {
                unpackInto(folder);
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

    private static void unpackInto(Path folder) throws IOException {
        // The JVM reads the property once for its own temporary files: let it, before it changes.
        Files.delete(File.createTempFile("headroom-jocl-", null).toPath());
        // One at a time of all who do this; the backend for CUDA does.
        synchronized (System.getProperties()) {
            String before = System.setProperty(FOLDER, folder.toString());
            try {
                Class.forName(BINDING, true, JoclNatives.class.getClassLoader());
            } catch (ClassNotFoundException absent) {
                throw new NoClassDefFoundError(BINDING);
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
