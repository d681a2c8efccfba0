package dev.headroom.memory.cli;

/** Numbers of things in words. */
final class Counted {

    private Counted() {}

    /** Such as {@code 1 layer} and {@code 2 layers}. */
    static String of(long count, String noun) {
        return count + " " + noun + (count == 1 ? "" : "s");
    }
}
