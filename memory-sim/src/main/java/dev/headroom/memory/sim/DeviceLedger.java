package dev.headroom.memory.sim;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToLongFunction;

/** The books of one simulated device. Written under the lock of the clock, read under it too. */
final class DeviceLedger implements Ledger {

    private final VirtualClock clock;
    private final Map<String, Long> calls = new TreeMap<>();
    private final Map<String, Long> callsSinceLoss = new TreeMap<>();
    private final Map<String, Long> callsSinceTold = new TreeMap<>();
    int blocks;
    long blockBytes;
    long committed;
    int queues;
    int fences;
    int mappings;
    int drivers;
    long failedFrees;
    long quarantined;

    DeviceLedger(VirtualClock clock) {
        this.clock = clock;
    }

    void count(String operation, boolean lost, boolean told) {
        calls.merge(operation, 1L, Long::sum);
        if (lost) {
            callsSinceLoss.merge(operation, 1L, Long::sum);
        }
        if (told) {
            callsSinceTold.merge(operation, 1L, Long::sum);
        }
    }

    void forgetLoss() {
        callsSinceLoss.clear();
        callsSinceTold.clear();
    }

    Map<String, Long> callsSinceLoss() {
        clock.lock().lock();
        try {
            return Map.copyOf(callsSinceLoss);
        } finally {
            clock.lock().unlock();
        }
    }

    Map<String, Long> callsSinceTold() {
        clock.lock().lock();
        try {
            return Map.copyOf(callsSinceTold);
        } finally {
            clock.lock().unlock();
        }
    }

    @Override
    public int liveBlocks() {
        return (int) read(ledger -> ledger.blocks);
    }

    @Override
    public long liveBytes() {
        return read(ledger -> ledger.blockBytes);
    }

    @Override
    public long committedBytes() {
        return read(ledger -> ledger.committed);
    }

    @Override
    public int liveQueues() {
        return (int) read(ledger -> ledger.queues);
    }

    @Override
    public int liveFences() {
        return (int) read(ledger -> ledger.fences);
    }

    @Override
    public int liveMappings() {
        return (int) read(ledger -> ledger.mappings);
    }

    @Override
    public int openDrivers() {
        return (int) read(ledger -> ledger.drivers);
    }

    @Override
    public long failedFrees() {
        return read(ledger -> ledger.failedFrees);
    }

    @Override
    public long quarantinedBytes() {
        return read(ledger -> ledger.quarantined);
    }

    @Override
    public Map<String, Long> calls() {
        clock.lock().lock();
        try {
            return Map.copyOf(calls);
        } finally {
            clock.lock().unlock();
        }
    }

    @Override
    public String toString() {
        return describe();
    }

    private long read(ToLongFunction<DeviceLedger> figure) {
        clock.lock().lock();
        try {
            return figure.applyAsLong(this);
        } finally {
            clock.lock().unlock();
        }
    }
}
