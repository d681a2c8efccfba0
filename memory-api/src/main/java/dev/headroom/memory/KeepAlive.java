package dev.headroom.memory;

/** Who keeps the bytes of an asynchronous write valid while it is under way. */
public enum KeepAlive {
    /** Headroom: the bytes are copied into staging memory before the call returns. */
    STAGED,
    /** The caller: the segment stays open and unchanged until the future ends, and no copy is made where none is needed. */
    CALLER
}
