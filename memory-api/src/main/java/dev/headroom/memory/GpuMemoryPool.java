package dev.headroom.memory;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The memory of one device, handed out in buffers. Thread-safe.
 *
 * <p>On shortage a pool climbs one ladder, and each rung is tried only when those before it did not yield the bytes: search
 * its blocks; collect buffers whose pending work has finished; give back empty blocks where that makes room; grow, if the
 * budget allows; ask the other pools of the same memory to give back; ask the {@linkplain #addPressureListener listeners};
 * wait for pending work; try once more; fall back to the host, if the caller allows it; and only then fail with
 * {@link DeviceOutOfMemoryException}. A request that could never fit fails at once with {@link AllocationTooLargeException}.
 */
public interface GpuMemoryPool extends AutoCloseable {

    /**
     * The device whose memory this is.
     *
     * @return the device
     */
    GpuDevice device();

    /**
     * The device's backend.
     *
     * @return the backend's name
     */
    default String backendName() {
        return device().backend();
    }

    /**
     * Allocates device memory.
     *
     * @param byteSize bytes, above 0
     * @return the buffer
     * @throws DeviceOutOfMemoryException  if there is no room, after everything was tried
     * @throws AllocationTooLargeException if there can never be room
     * @throws DeviceLostException         if the device is lost
     */
    default DeviceBuffer allocate(long byteSize) {
        return allocate(AllocationRequest.of(byteSize));
    }

    /**
     * Allocates memory of this device; never of another.
     *
     * @param request what the buffer should be like
     * @return the buffer
     * @throws DeviceOutOfMemoryException  if there is no room, after everything was tried
     * @throws AllocationTooLargeException if there can never be room
     * @throws DeviceLostException         if the device is lost
     * @throws UnsupportedKindException    if the device has no such memory
     */
    DeviceBuffer allocate(AllocationRequest request);

    /**
     * Allocates memory of this device, or of the host if this device is full.
     *
     * @param byteSize bytes, above 0
     * @return the buffer, which says where it lies
     * @throws DeviceOutOfMemoryException  if neither has room, or the configuration forbids the fallback
     * @throws AllocationTooLargeException if there can never be room here, and the host did not stand in
     */
    default FallbackBuffer allocateWithFallback(long byteSize) {
        return allocateWithFallback(AllocationRequest.of(byteSize));
    }

    /**
     * Allocates memory of this device, or of the host if this device is full.
     *
     * @param request what the buffer should be like
     * @return the buffer, which says where it lies
     * @throws DeviceOutOfMemoryException  if neither has room, or the configuration or the request forbids the fallback
     * @throws AllocationTooLargeException if there can never be room here, and the host did not stand in
     */
    FallbackBuffer allocateWithFallback(AllocationRequest request);

    /**
     * This pool's memory by number, for engines that keep tables of their own. Of the kind {@link #allocate(long)} gives.
     *
     * @return the allocator, the same each time
     * @throws UnsupportedOperationException if this is a pool of a backend's own, or a part of one, that has no ids
     */
    default IdAllocator ids() {
        throw new UnsupportedOperationException("the pool on " + device().id() + " has no ids: use allocate");
    }

    /**
     * Memory by number, with a store of freed memory for the calling thread alone.
     *
     * @return the cache, to be closed by the calling thread
     * @throws BufferClosedException         if the pool is closed
     * @throws UnsupportedOperationException if this is a pool of a backend's own, or a part of one, that has no ids
     */
    default LocalCache localCache() {
        throw new UnsupportedOperationException("the pool on " + device().id() + " has no ids: use allocate");
    }

    /**
     * Opens a pool of blocks of one size on top of this one, with as many blocks as the device could hold, at most
     * {@link FixedBlockPool#MAX_BLOCKS}.
     *
     * @param block         what a block should be like: its size, a multiple of its alignment; its alignment; the kind of memory;
     *                      the tag of the slabs
     * @param blocksPerSlab how many blocks are taken from this pool at once: a power of two from 32 to
     *                      {@link FixedBlockPool#MAX_BLOCKS_PER_SLAB}
     * @return the pool of blocks, without a slab yet; to be closed by the caller
     * @throws DriverFailedException if the driver does not say how large the device is
     */
    default FixedBlockPool fixedBlocks(AllocationRequest block, int blocksPerSlab) {
        long most = Math.min(totalMemory() / block.byteSize(), FixedBlockPool.MAX_BLOCKS);
        long slabs = Math.max(1, most / Math.max(1, blocksPerSlab));
        return fixedBlocks(block, blocksPerSlab, (int) slabs * blocksPerSlab);
    }

    /**
     * Opens a pool of blocks of one size on top of this one.
     *
     * @param block         what a block should be like: its size, a multiple of its alignment; its alignment; the kind of memory;
     *                      the tag of the slabs
     * @param blocksPerSlab how many blocks are taken from this pool at once: a power of two from 32 to
     *                      {@link FixedBlockPool#MAX_BLOCKS_PER_SLAB}
     * @param maxBlocks     how many blocks there may be, at most {@link FixedBlockPool#MAX_BLOCKS}: a multiple of
     *                      {@code blocksPerSlab}. Each takes up a quarter of a byte of the Java heap
     * @return the pool of blocks, without a slab yet; to be closed by the caller
     */
    default FixedBlockPool fixedBlocks(AllocationRequest block, int blocksPerSlab, int maxBlocks) {
        return new FixedBlockPool(this, block, blocksPerSlab, maxBlocks);
    }

    /**
     * Opens a stack on top of this pool, for buffers that are freed in the reverse order of their allocation. It belongs to the
     * calling thread.
     *
     * @param chunk what is taken from this pool at once: a size, the largest alignment on the stack, the kind of memory, and a tag
     * @return the stack, without a chunk yet; to be closed by the caller
     */
    default BufferStack stack(AllocationRequest chunk) {
        return new BufferStack(this, chunk);
    }

    /**
     * A snapshot of the pool's counters: blocks from the driver against bytes in buffers. Cheap.
     *
     * @return the counters
     */
    MemoryStats stats();

    /**
     * What the system says about the device now. Asks the driver.
     *
     * @return total and free
     * @throws DriverFailedException if the driver does not answer
     */
    MemoryBudget budget();

    /**
     * All memory of the device.
     *
     * @return bytes
     */
    default long totalMemory() {
        return budget().totalBytes();
    }

    /**
     * Free memory of the device.
     *
     * @return bytes, empty if nothing tells
     */
    default OptionalLong freeMemory() {
        return budget().freeBytes();
    }

    /**
     * How many more bytes this pool may take from the device now, after every margin. Asks the driver.
     *
     * @return bytes, 0 or more; what lies idle in the pool comes on top
     */
    long usableBytes();

    /**
     * How many bytes this pool has to take from the device so that buffers of these sizes fit, allocated one after the other
     * with the default alignment: what has to be {@linkplain #usableBytes usable}, and what {@link GpuMemory#reserveBuffers}
     * sets aside. A pool takes memory in blocks, and what is left of a block may be too small for the next buffer, so that this
     * can be more than the sum; and less, where something lies idle in the pool. Exact as long as nobody else uses the pool and
     * the buffers are taken through such a reservation. Plays the allocations through on a copy of the pool's books; costs
     * about what allocating them from memory that is there already costs, and the copy.
     *
     * @param byteSizes the sizes in order, each above 0
     * @return bytes, empty if one of the buffers can never lie here; from a pool of a backend's own the plain sum
     */
    default OptionalLong growthFor(List<Long> byteSizes) {
        return OptionalLong.of(byteSizes.stream().mapToLong(Long::longValue).sum());
    }

    /**
     * How full the device is, or the limit where one is set. Asks the driver.
     *
     * @return the pressure
     */
    MemoryPressure pressure();

    /** Gives all idle memory back to the driver. */
    void clearPool();

    /**
     * Gives all idle memory back to the driver.
     *
     * @return bytes given back
     */
    long shrink();

    /**
     * Gives memory back to the driver that has been idle for some time: blocks, or pages of a reserved range, in which no buffer
     * has been for at least so long, by the clock of the {@link GpuMemory}. What is in use, or was shortly ago, stays.
     *
     * <p>Times are never too early, but may be too late: where a range has very many pages, the youngest of a few counts for all
     * of them; and of memory that comes and goes again and again between two calls of this method, {@link #report()} or the
     * trimming by {@link MemoryConfig#idleTrimAfter}, the time counts from the later call.
     *
     * @param idleFor how long, 0 or more; 0 as {@link #shrink()}
     * @return bytes given back; 0 from a pool of a backend's own that keeps no times, unless {@code idleFor} is 0
     * @throws IllegalArgumentException if {@code idleFor} is negative
     */
    default long shrink(Duration idleFor) {
        if (idleFor.isNegative()) {
            throw new IllegalArgumentException("idleFor is " + idleFor + ": must be 0 or more");
        }
        return idleFor.isZero() ? shrink() : 0;
    }

    /**
     * Everything the pool knows about itself. Expensive: it walks every buffer and every free range, in steps of a few
     * microseconds between which other threads allocate, and asks the driver once. For a look now and then; {@link #stats()} is
     * for often.
     *
     * @return the report; from a pool of a backend's own possibly without heaps
     * @throws DriverFailedException if the driver does not answer
     */
    default PoolReport report() {
        return PoolReport.ofFigures(this);
    }

    /**
     * Adds a listener that is asked to give memory back when this pool runs short, and told when the pressure changes.
     *
     * @param listener the listener
     */
    void addPressureListener(PressureListener listener);

    /**
     * Removes a listener; unknown ones are ignored.
     *
     * @param listener the listener
     */
    void removePressureListener(PressureListener listener);

    /**
     * The record of open buffers, where the tracking level keeps one.
     *
     * @return the tracker
     */
    Optional<AllocationTracker> tracker();

    /**
     * Writes down every allocation and free from now on, in a form that {@code headroom replay} reads. One recording at a time.
     * While none is on, a buffer pays a look at one field for it; while one is on, a short lock and about 80 bytes of garbage.
     * Operations are written by a thread of their own. Those who allocate or close wait for it only where it is about half a
     * million operations behind, and only once: if it has not caught up after a second, the recording ends.
     *
     * @param file where to; what it holds is replaced
     * @return the recording, to be closed
     * @throws IOException                   if the file cannot be opened for writing
     * @throws IllegalStateException         if a recording is on
     * @throws BufferClosedException         if the pool is closed
     * @throws UnsupportedOperationException if this is a pool of a backend's own that cannot record
     */
    default TraceRecording recordTrace(Path file) throws IOException {
        Objects.requireNonNull(file, "file");
        throw new UnsupportedOperationException("the pool on " + device().id() + " cannot record traces");
    }

    /**
     * Waits until no work of this pool is pending.
     *
     * @param timeout how long at most
     * @return true if none is
     * @throws DeviceLostException if the device is lost
     */
    boolean awaitIdle(Duration timeout);

    /**
     * Waits for pending work, gives all memory back, and then reports buffers that were still open. Closing twice does
     * nothing; a second caller at the same time waits for the first, for {@link MemoryConfig#closeTimeout} at most. Never
     * throws. {@link GpuMemory} closes its pools itself.
     */
    @Override
    void close();
}
