package dev.headroom.memory.benchmarks;

import java.util.concurrent.atomic.AtomicInteger;

/** A policy under a spin lock: what a short critical section costs without parking. Thread-safe. */
final class SpinLocked implements RangePolicy {

    private final AtomicInteger lock = new AtomicInteger();
    private final RangePolicy policy;

    SpinLocked(RangePolicy policy) {
        this.policy = policy;
    }

    @Override
    public long allocate(long bytes) {
        lock();
        try {
            return policy.allocate(bytes);
        } finally {
            lock.setRelease(0);
        }
    }

    @Override
    public void free(long number) {
        lock();
        try {
            policy.free(number);
        } finally {
            lock.setRelease(0);
        }
    }

    @Override
    public long reservedBytes() {
        lock();
        try {
            return policy.reservedBytes();
        } finally {
            lock.setRelease(0);
        }
    }

    private void lock() {
        while (lock.getOpaque() != 0 || !lock.compareAndSet(0, 1)) {
            Thread.onSpinWait();
        }
    }
}
