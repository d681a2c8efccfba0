package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.NativeBinding;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import jcuda.JCudaVersion;
import jcuda.LibUtils;
import org.jspecify.annotations.Nullable;

/**
 * JCuda's native library. It is put into the folder of its {@link NativeBinding} before JCuda looks there: on the module path
 * JCuda cannot see into the jar of its natives, and we can.
 */
final class JcudaNatives {

    private static final NativeBinding JCUDA = new NativeBinding(
            "jcuda", "jcuda.driver.JCudaDriver", JcudaNatives.class.getClassLoader(), JcudaNatives::unpackInto);

    private JcudaNatives() {}

    /**
     * Runs the initialiser of JCuda, once per process. The driver's library must be there.
     *
     * @throws UnsatisfiedLinkError if it failed, now or at the first time: an initialiser runs once only
     * @throws IOException if there is no folder to unpack into
     */
    static void load() throws IOException {
        JCUDA.load();
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
}
