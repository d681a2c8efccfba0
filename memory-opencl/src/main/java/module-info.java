/**
 * OpenCL devices. The one exported package holds the few classes that name JOCL's types: native views of buffers, the
 * user's queue, and the context our memory lives in.
 *
 * <p>JOCL is a plain jar; its module name comes from the file's name. The class path is the safe place for both.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"})
module dev.headroom.memory.opencl {
    requires transitive dev.headroom.memory;
    requires transitive jocl;
    requires jdk.management;
    requires static org.jspecify;

    exports dev.headroom.memory.opencl;

    provides dev.headroom.memory.spi.MemoryBackend with
            dev.headroom.memory.opencl.OpenClBackend;
}
