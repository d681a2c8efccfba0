/**
 * Host memory as a device. Nothing is exported: the backend is found through {@link java.util.ServiceLoader}, and its
 * buffers are plain {@code MemorySegment}s, so there is no binding type to hand out.
 */
module dev.headroom.memory.cpu {
    requires transitive dev.headroom.memory;
    requires jdk.management;
    requires static org.jspecify;

    provides dev.headroom.memory.spi.MemoryBackend with
            dev.headroom.memory.cpu.HostBackend;
}
