/** GPU memory the JVM can trust: selection, pools, buffers, and the contract of a backend. */
module dev.headroom.memory {
    requires static org.jspecify;

    exports dev.headroom.memory;
    exports dev.headroom.memory.spi;

    uses dev.headroom.memory.spi.MemoryBackend;
}
