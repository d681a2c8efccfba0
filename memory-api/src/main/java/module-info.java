/** GPU memory the JVM can trust: selection, pools, buffers, and the contract of a backend. */
module dev.headroom.memory {
    // A runtime may have been linked without Flight Recorder; then nothing is recorded.
    requires static jdk.jfr;
    // Nor need it have management beans; then staging memory is bounded by the Java heap's maximum.
    requires static jdk.management;
    requires static org.jspecify;

    exports dev.headroom.memory;
    exports dev.headroom.memory.spi;

    uses dev.headroom.memory.spi.MemoryBackend;
}
