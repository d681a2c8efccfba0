package dev.headroom.memory.engine;

/** Where events go: to Flight Recorder where this runtime has it, to nobody otherwise. */
final class EventSink {

    /** The one sink of the process. */
    static final EngineEvents EVENTS = open();

    private EventSink() {}

    private static EngineEvents open() {
        try {
            return new JfrEvents();
        } catch (LinkageError absent) { // the runtime has no module jdk.jfr, or nobody asked for it on the module path
            return EngineEvents.NONE;
        }
    }
}
