package dev.headroom.memory.engine;

/**
 * The engine's book of the host's memory, for tests that lose devices again and again: what a lost one leaves to the system
 * stays in the book, as it should, and the next run shall not have to do without it.
 */
public final class HostBooks {

    private HostBooks() {}

    /** Bytes all pools of the process hold on the host. */
    public static long heldBytes() {
        return Domains.host().figures().heldBytes();
    }

    /** Takes off the book what has been added since. */
    public static void backTo(long heldBytes) {
        Domains.host().release(heldBytes() - heldBytes);
    }
}
