package dev.headroom.memory.engine;

/** The rungs of the ladder on shortage, in the order they are climbed. */
enum Rung {
    /** Collect buffers whose pending work has finished. */
    COLLECT,
    /** Take more from the driver, giving idle blocks back first where only that makes room. */
    GROW,
    /** Other pools of the same memory give back; asked after every rung that takes more. */
    SIBLINGS,
    /** Listeners give back. */
    LISTENERS,
    /** Wait for pending work. */
    WAIT,
    /** Try once more. */
    RETRY,
    /** Use the host's memory instead. */
    FALLBACK
}
