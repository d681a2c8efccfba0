/**
 * NVIDIA GPUs. The one exported package holds the few classes that name JCuda's types: native views of buffers, the
 * user's stream, and the context our memory lives in.
 *
 * <p>JCuda is a plain jar; its module name comes from the file's name, and its natives, which are a jar of their own, are
 * found on the class path only. The class path is the safe place for all three.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"})
module dev.headroom.memory.cuda {
    requires transitive dev.headroom.memory;
    requires transitive jcuda;
    requires jdk.management;
    requires static org.jspecify;

    exports dev.headroom.memory.cuda;

    provides dev.headroom.memory.spi.MemoryBackend with
            dev.headroom.memory.cuda.CudaBackend;
}
