package dev.headroom.memory;

/**
 * An {@link IdAllocator} with a small store of freed memory that one thread owns, for the inner loop of an engine: what comes and
 * goes there meets no other thread, not even in a word of memory. Its ids are those of the pool; any thread may free them through
 * {@link GpuMemoryPool#ids()}.
 *
 * <p>What lies in the store counts as free memory, and is bounded as each place is where the pool keeps freed memory at hand. It
 * goes back when the cache is closed, when its owner asks for memory the pool has to look for, and at the owner's next call after
 * another thread was short of memory. A thread that ends without closing its cache loses what is in it to the next who looks for
 * memory.
 *
 * <p>For its owner only: the thread that made it. Every other gets an {@link IllegalStateException}.
 *
 * {@snippet :
 * try (LocalCache cache = pool.localCache()) {
 *     for (Step step : steps) {
 *         long scratch = cache.allocate(step.scratchBytes());
 *         run(step, cache.offset(scratch));
 *         cache.free(scratch);
 *     }
 * }
 * }
 */
public interface LocalCache extends IdAllocator, AutoCloseable {

    /**
     * Gives back what is in the store; memory in use stays in use. Closing twice does nothing. A closed cache takes and gives
     * nothing any more.
     *
     * @throws IllegalStateException if the caller is not the owner
     */
    @Override
    void close();
}
