package dev.headroom.examples.matmul;

/**
 * What a {@link GpuBufferPool} has done.
 *
 * @param hits          requests served by a buffer that was there
 * @param misses        requests for which one was allocated
 * @param cachedBuffers buffers that lie idle
 * @param cachedBytes   their bytes
 */
public record BufferPoolStats(long hits, long misses, int cachedBuffers, long cachedBytes) {

    /**
     * The share of requests that needed no allocation.
     *
     * @return 0 to 1; 0 if there was no request
     */
    public double hitRate() {
        return hits == 0 ? 0 : (double) hits / (hits + misses);
    }
}
