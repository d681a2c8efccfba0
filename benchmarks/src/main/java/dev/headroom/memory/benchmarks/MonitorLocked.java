package dev.headroom.memory.benchmarks;

/** A policy under a monitor. Thread-safe. */
final class MonitorLocked implements RangePolicy {

    private final RangePolicy policy;

    MonitorLocked(RangePolicy policy) {
        this.policy = policy;
    }

    @Override
    public synchronized long allocate(long bytes) {
        return policy.allocate(bytes);
    }

    @Override
    public synchronized void free(long number) {
        policy.free(number);
    }

    @Override
    public synchronized long reservedBytes() {
        return policy.reservedBytes();
    }
}
