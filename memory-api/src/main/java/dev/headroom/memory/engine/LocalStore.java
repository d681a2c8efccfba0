package dev.headroom.memory.engine;

/** Free memory one thread keeps for itself, as its heap sees it. */
interface LocalStore {

    /** Asks the owner to give back what it has; does it here and now if the owner has ended. True if something came back. */
    boolean askBack();

    /** The heap is closed: nothing is taken or kept any more. */
    void end();

    /** Bytes that lie there; a guess while the owner is at work. */
    long cachedBytes();

    /** Pieces that lie there; a guess while the owner is at work. */
    long entries();

    /** Requests that were served from there. */
    long hits();
}
