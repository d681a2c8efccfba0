package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.AllocationRequest;

/** Makes one allocation in so many an event, and with it its close. Thread-safe. */
final class BufferEvents {

    private final int oneIn;
    /** Allocations since the last chosen one. A plain field on purpose: what threads lose here, nobody misses. */
    private int passed;

    BufferEvents(int oneIn) {
        this.oneIn = oneIn;
    }

    /** Sees every allocation. Nothing but a count, as a rule. */
    void allocated(EngineBuffer buffer, AllocationRequest request, boolean hit) {
        if (++passed >= oneIn) {
            passed = 0;
            record(buffer, request, hit);
        }
    }

    private void record(EngineBuffer buffer, AllocationRequest request, boolean hit) {
        if (EVENTS.recordsBuffers()) {
            buffer.recordClose();
            EVENTS.allocated(
                    buffer.pool().device(), request.kind(), buffer.id(), request.byteSize(), request.tag(), hit, oneIn);
        }
    }
}
