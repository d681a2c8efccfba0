package dev.headroom.memory.model.placement;

/** Checks of byte sizes. */
final class Sizes {

    private Sizes() {}

    static void requireNotNegative(String name, long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException(name + " is " + bytes + ": must be 0 or more");
        }
    }
}
