package dev.headroom.memory.engine;

/** A use of a pool that can be interrupted, so that user code called from inside may even close the pool. One thread only. */
final class Visit implements AutoCloseable {

    private final BufferHome home;
    private boolean inside;

    Visit(BufferHome home) {
        this.home = home;
        enter();
    }

    /** Goes in again, or says why not. */
    void enter() {
        home.begin();
        inside = true;
    }

    void leave() {
        inside = false;
        home.end();
    }

    @Override
    public void close() {
        if (inside) {
            leave();
        }
    }
}
