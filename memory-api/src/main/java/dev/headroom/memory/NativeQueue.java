package dev.headroom.memory;

/**
 * A stream or queue of the user's own. Each backend has a small class that wraps its binding's type; Headroom uses it
 * only during the call it is passed to and never keeps it.
 */
public interface NativeQueue {

    /**
     * The backend this queue belongs to.
     *
     * @return the backend's name
     */
    String backend();
}
