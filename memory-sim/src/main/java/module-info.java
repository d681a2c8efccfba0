/** Simulated devices with virtual time and faults, for tests and for replaying traces. */
module dev.headroom.memory.sim {
    requires static org.jspecify;
    requires transitive dev.headroom.memory;

    exports dev.headroom.memory.sim;
}
