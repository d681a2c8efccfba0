package dev.headroom.memory.sim;

import java.util.Map;

/**
 * Which driver objects are alive, and how often the driver was called: the view from the driver's side, which a leak
 * cannot hide from. Thread-safe; figures read one after the other may belong to different moments.
 */
public interface Ledger {

    /**
     * Blocks and reserved ranges that were neither given back nor set aside.
     *
     * @return how many
     */
    int liveBlocks();

    /**
     * Memory behind those blocks; of a reserved range, what is committed in it.
     *
     * @return bytes
     */
    long liveBytes();

    /**
     * Memory committed in reserved ranges; part of {@link #liveBytes()}.
     *
     * @return bytes
     */
    long committedBytes();

    /**
     * Queues of the driver's own.
     *
     * @return how many
     */
    int liveQueues();

    /**
     * Events behind users' work.
     *
     * @return how many
     */
    int liveFences();

    /**
     * Host mappings.
     *
     * @return how many
     */
    int liveMappings();

    /**
     * Drivers that were opened and not closed.
     *
     * @return how many
     */
    int openDrivers();

    /**
     * Blocks, ranges and pieces whose giving back failed, ever. Blocks among them are no longer live: nobody may touch
     * them.
     *
     * @return how many
     */
    long failedFrees();

    /**
     * Memory still lost to failed frees.
     *
     * @return bytes
     */
    long quarantinedBytes();

    /**
     * How often each operation was called, failed calls included.
     *
     * @return calls by name of the operation; those never called are absent
     */
    Map<String, Long> calls();

    /**
     * How often one operation was called, failed calls included.
     *
     * @param operation its name, such as {@code allocate}
     * @return how often
     */
    default long calls(String operation) {
        return calls().getOrDefault(operation, 0L);
    }

    /**
     * How many calls there were altogether.
     *
     * @return how many
     */
    default long totalCalls() {
        return calls().values().stream().mapToLong(Long::longValue).sum();
    }

    /**
     * Whether nothing is alive. What failed to be given back does not count: the driver kept it, not its user.
     *
     * @return true if nothing is
     */
    default boolean isEmpty() {
        return liveBlocks() == 0
                && liveQueues() == 0
                && liveFences() == 0
                && liveMappings() == 0
                && openDrivers() == 0
                && committedBytes() == 0;
    }

    /**
     * The figures in words.
     *
     * @return one line
     */
    default String describe() {
        return ("%d blocks (%d bytes, %d of them committed), %d queues, %d fences, %d mappings, %d open drivers; "
                        + "%d failed frees (%d bytes)")
                .formatted(
                        liveBlocks(),
                        liveBytes(),
                        committedBytes(),
                        liveQueues(),
                        liveFences(),
                        liveMappings(),
                        openDrivers(),
                        failedFrees(),
                        quarantinedBytes());
    }
}
