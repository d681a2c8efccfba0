package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import java.util.Optional;

/** Makes one allocation in so many an event, the first included, and with it its close. Thread-safe. */
final class BufferEvents {

    private final int oneIn;
    /** Allocations since the last chosen one. A plain field on purpose: what threads lose here, nobody misses. */
    private int passed;

    BufferEvents(int oneIn) {
        this.oneIn = oneIn;
        this.passed = oneIn - 1;
    }

    /**
     * Sees every allocation; nothing but a count, as a rule. It is not shown the request, because that would keep the compiler
     * from doing without the object.
     */
    void allocated(EngineBuffer buffer, Optional<String> tag, boolean hit) {
        if (++passed >= oneIn) {
            passed = 0;
            record(buffer, tag, hit);
        }
    }

    private void record(EngineBuffer buffer, Optional<String> tag, boolean hit) {
        if (EVENTS.recordsBuffers()) {
            buffer.ownNotes().record();
            EVENTS.allocated(buffer.pool().device(), buffer.kind(), buffer.id(), buffer.byteSize(), tag, hit, oneIn);
        }
    }
}
