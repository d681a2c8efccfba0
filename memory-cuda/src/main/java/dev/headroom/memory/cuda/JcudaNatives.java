package dev.headroom.memory.cuda;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import jcuda.JCudaVersion;
import jcuda.LibUtils;
import org.jspecify.annotations.Nullable;

/**
 * Loads JCuda's native library from a folder of our own. JCuda unpacks it into the folder for temporary files, under a
 * name everybody knows, unless a file of that name is there. Of several processes that start together one may load what
 * another is still writing, which ends it; half a file, left by a process that was killed, ends every later one; and
 * another user may have put one there.
 *
 * <p>JCuda has no setting for the folder but the system property of the JVM, so that is changed for the few milliseconds
 * of the initialiser, after the JVM's own users of it have read it. The file is put there before: on the module path JCuda
 * cannot see into the jar of its natives, and we can.
 */
final class JcudaNatives {

    private static final String FOLDER = "java.io.tmpdir";
    private static final String BINDING = "jcuda.driver.JCudaDriver";

    private static boolean done;
    private static @Nullable String failure;

    private JcudaNatives() {}

    /**
     * Runs the initialiser of JCuda, once per process. The driver's library must be there.
     *
     * @throws UnsatisfiedLinkError if it failed, now or at the first time: an initialiser runs once only
     * @throws IOException if there is no folder to unpack into
     */
    static synchronized void load() throws IOException {
        if (!done) {
            Path folder = Files.createTempDirectory("headroom-jcuda-");
            try {
                unpackInto(folder);
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

    /** Puts the one library there is a use for where JCuda will look. Without it JCuda still looks in the library path. */
    private static void unpackInto(Path folder) throws IOException {
        String platform = LibUtils.createPlatformLibraryName("JCudaDriver-" + JCudaVersion.get());
        String name = LibUtils.createLibraryFileName(platform);
        try (InputStream library = resource("lib/" + name)) {
            if (library != null) {
                Files.copy(library, folder.resolve(name));
            }
        }
    }

    private static @Nullable InputStream resource(String name) {
        ClassLoader loader = JCudaVersion.class.getClassLoader();
        return loader == null ? ClassLoader.getSystemResourceAsStream(name) : loader.getResourceAsStream(name);
    }

    private static void initialise(Path folder) throws IOException {
        // The JVM reads the property once for its own temporary files: let it, before it changes.
        Files.delete(File.createTempFile("headroom-jcuda-", null).toPath());
        // One at a time of all who do this; the backend for OpenCL does.
        synchronized (System.getProperties()) {
            String before = System.setProperty(FOLDER, folder.toString());
            try {
                Class.forName(BINDING, true, JcudaNatives.class.getClassLoader());
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
