package dev.headroom.memory;

/**
 * A pool's memory by number instead of by object, for engines that keep tables of their own: no garbage, and less to do for each
 * allocation than {@link GpuMemoryPool#allocate(long)} has. What a buffer brings along is the caller's to do here. Nothing
 * notices that an id was forgotten; and memory is handed out again at once, so that it must be freed only when the work that
 * uses it is finished, or when all who may get it next come later in the same queue.
 *
 * <p>An id is never negative. One that was freed is refused: its slot must have been reused 2<sup>30</sup> times before an old id
 * could be taken for a new one. The allocator is thread-safe, but an id belongs to one thread at a time: two threads that free
 * the same id at the same moment are not told apart.
 *
 * <p>Ids and buffers of a pool share its memory, its limits and its {@linkplain GpuMemoryPool#stats() figures}, where an id counts
 * as a buffer. They end with the pool.
 *
 * {@snippet :
 * IdAllocator ids = pool.ids();
 * long id = ids.allocate(6 << 20);
 * try (DeviceBuffer view = ids.view(id)) {
 *     view.write(0, weights);
 * }
 * ids.free(id);
 * }
 */
public interface IdAllocator {

    /**
     * Takes memory, aligned as that of any buffer.
     *
     * @param byteSize bytes, above 0
     * @return its id
     * @throws IllegalArgumentException    if {@code byteSize} is below 1
     * @throws DeviceOutOfMemoryException  if there is no room, after everything was tried
     * @throws AllocationTooLargeException if there can never be room
     * @throws DeviceLostException         if the device is lost
     * @throws BufferClosedException       if the pool is closed
     */
    long allocate(long byteSize);

    /**
     * Gives memory back. Its id is refused from then on.
     *
     * @param id what {@link #allocate} returned
     * @throws IllegalArgumentException if {@code id} is not in use, for one because it was freed before
     */
    void free(long id);

    /**
     * Where the memory begins.
     *
     * @param id what {@link #allocate} returned
     * @return bytes from the start of its {@linkplain #block block}
     * @throws IllegalArgumentException if {@code id} is not in use
     */
    long offset(long id);

    /**
     * How much memory it is.
     *
     * @param id what {@link #allocate} returned
     * @return bytes: what was asked for, rounded up
     * @throws IllegalArgumentException if {@code id} is not in use
     */
    long byteSize(long id);

    /**
     * The block the memory lies in. Memory of the same block is one allocation of the driver, or one address range. A block
     * stays what it is while anything in it is in use; later its number may be that of another.
     *
     * @param id what {@link #allocate} returned
     * @return the number of the block, 0 or more
     * @throws IllegalArgumentException if {@code id} is not in use
     */
    int block(long id);

    /**
     * Looks at the memory as a buffer, for copies and native views; it stays the id's, and closing the view frees nothing. A use
     * of the view after its id was freed is refused. Makes an object: what a kernel needs for every id is the address of a block,
     * which is that of one view, less its {@linkplain #offset offset}.
     *
     * @param id what {@link #allocate} returned
     * @return the view, as large as {@link #byteSize} says; to be closed by the caller
     * @throws IllegalArgumentException if {@code id} is not in use
     */
    DeviceBuffer view(long id);

    /**
     * Makes a buffer of the memory, with all that buffers can do. It is the buffer's from then on, and goes back when that is
     * closed; the id is refused.
     *
     * @param id what {@link #allocate} returned
     * @return the buffer, as large as {@link #byteSize} says
     * @throws IllegalArgumentException if {@code id} is not in use
     * @throws BufferClosedException    if the pool is closed
     */
    DeviceBuffer toBuffer(long id);
}
