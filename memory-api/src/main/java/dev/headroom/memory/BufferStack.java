package dev.headroom.memory;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Device memory that is freed in the reverse order of its allocation: the activations of a model, layer in layer. A <em>frame</em>
 * is pushed, what is allocated lies on top of the stack, and closing the frame frees all of it at once. Made by
 * {@link GpuMemoryPool#stack}.
 *
 * {@snippet :
 * try (BufferStack stack = pool.stack(AllocationRequest.of(64L << 20).tagged("activations"))) {
 *     try (BufferStack.Frame frame = stack.push()) {
 *         long scores = frame.allocate(4096);                          // a number: no garbage
 *         stack.chunk(scores).fill(stack.byteOffset(scores), 4096, (byte) 0);
 *         MemoryBuffer values = frame.buffer(1 << 20);                 // or an object
 *     }
 * }
 * }
 *
 * <p>Memory comes in <em>chunks</em>, buffers of the pool, and stays when frames close: a pass that allocates what an earlier one
 * did takes nothing from the pool. One allocation lies in one chunk; what does not fit goes into the next chunk that is large
 * enough. An allocation larger than a chunk gets one that is a multiple of it. {@link #trim} gives back what is not in use.
 *
 * <p>An allocation is named by its <em>position</em>, a number of 0 or more, higher than those below it. A position above the top
 * of the stack is refused; one that has been allocated again meanwhile is not told from the new one.
 *
 * <p><b>Work on the memory.</b> The next frame has the memory at once. That is right for copies of Headroom's, which are ordered by
 * chunk, and for kernels of one queue, which are done in order. Wait for anything else before the frame closes. Declare kernels
 * with {@link DeviceBuffer#usedOn} on the chunk, so that copies and the end of the stack wait for them.
 *
 * <p><b>Threads.</b> A stack and its frames belong to the thread that opened it; every method but {@code toString} throws
 * {@link IllegalStateException} on another.
 */
public final class BufferStack implements AutoCloseable {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    /** A position is the number of a chunk, and the offset in it in so many bits. */
    private static final int OFFSET_BITS = 48;

    private static final long MAX_BYTES = 1L << (OFFSET_BITS - 1);
    private static final int MAX_CHUNKS = 1 << (Long.SIZE - 1 - OFFSET_BITS);

    private final GpuMemoryPool pool;
    private final AllocationRequest request;
    private final long alignmentMask;
    private final Thread owner = Thread.currentThread();
    private final List<DeviceBuffer> chunks = new ArrayList<>();
    /** For each chunk the position behind its end. There is always a first one, be it empty. */
    private long[] ends = new long[1];

    /** The position of the next allocation, before it is aligned. */
    private long top;
    /** The end of the chunk the top is in. */
    private long end;

    private int depth;
    /** The highest top since chunks were given back last, and the most bytes before that. */
    private long highest;

    private long highWaterBytes;
    private boolean closed;

    BufferStack(GpuMemoryPool pool, AllocationRequest chunk) {
        this.pool = pool;
        if (chunk.zero()) {
            throw new IllegalArgumentException(
                    "a stack is used again and again, and never cleared: fill what you allocate");
        }
        if (chunk.byteSize() > MAX_BYTES) {
            throw new IllegalArgumentException("byteSize is " + chunk.byteSize() + ": must be at most " + MAX_BYTES);
        }
        this.request = chunk;
        this.alignmentMask = Math.min(chunk.byteAlignment(), AllocationRequest.DEFAULT_ALIGNMENT) - 1;
    }

    /**
     * Begins a frame on top of the others.
     *
     * @return the frame, to be closed before those below it
     */
    public Frame push() {
        requireUsable();
        return new Frame(this, ++depth, top);
    }

    /**
     * The buffer that an allocation lies in, for copies and for a backend's views. It belongs to the stack: do not close it.
     *
     * @param position what {@link Frame#allocate(long)} returned
     * @return the buffer
     * @throws IllegalArgumentException if nothing is allocated there
     */
    public DeviceBuffer chunk(long position) {
        requireUsable();
        requireAllocated(position);
        return chunks.get((int) (position >>> OFFSET_BITS));
    }

    /**
     * Where an allocation begins in its {@link #chunk}.
     *
     * @param position what {@link Frame#allocate(long)} returned
     * @return bytes
     * @throws IllegalArgumentException if nothing is allocated there
     */
    public long byteOffset(long position) {
        requireUsable();
        requireAllocated(position);
        return offset(position);
    }

    /**
     * How many frames are open.
     *
     * @return 0 or more
     */
    public int depth() {
        requireOwner();
        return depth;
    }

    /**
     * What chunks hold up to the top, with what alignment and the ends of chunks leave unused.
     *
     * @return bytes, 0 or more
     */
    public long usedBytes() {
        requireOwner();
        return bytesBelow(top);
    }

    /**
     * The most {@link #usedBytes} there were.
     *
     * @return bytes, 0 or more
     */
    public long highWaterBytes() {
        requireOwner();
        return Math.max(highWaterBytes, bytesBelow(Math.max(highest, top)));
    }

    /**
     * What the stack holds from the pool.
     *
     * @return bytes in chunks, 0 or more
     */
    public long byteSize() {
        requireOwner();
        return chunks.stream().mapToLong(DeviceBuffer::byteSize).sum();
    }

    /**
     * Gives back to the pool the chunks that nothing lies in.
     *
     * @return bytes given back
     */
    public long trim() {
        requireUsable();
        return trimTo(top == 0 ? 0 : (int) (top >>> OFFSET_BITS) + 1);
    }

    /**
     * Gives all memory back, once work declared on it is finished; this call does not wait for that. Frames that are still open
     * are reported in the log. Closing twice does nothing.
     *
     * @throws IllegalStateException on a thread that does not own the stack
     */
    @Override
    public void close() {
        requireOwner();
        if (!closed) {
            closed = true;
            long used = bytesBelow(top);
            trimTo(0);
            top = 0;
            highest = 0;
            if (depth > 0) {
                LOG.log(
                        System.Logger.Level.WARNING,
                        () -> "%s closed with %s still open, %s in all; the memory was given back"
                                .formatted(this, depth == 1 ? "1 frame" : depth + " frames", ByteSize.format(used)));
            }
        }
    }

    @Override
    public String toString() {
        return "buffer stack on " + pool.device().id();
    }

    private long allocate(long byteSize, long mask) {
        long position = (top + mask) & ~mask;
        if (byteSize <= 0 || byteSize > end - position) {
            position = allocateInNextChunk(byteSize);
        }
        top = position + byteSize;
        return position;
    }

    /** The first chunk behind this one that is large enough, so that an equal pass ends up in the same chunks. */
    private long allocateInNextChunk(long byteSize) {
        if (byteSize <= 0 || byteSize > MAX_BYTES) {
            throw new IllegalArgumentException("byteSize is " + byteSize + ": must be 1 to " + MAX_BYTES);
        }
        int next = top == 0 ? 0 : (int) (top >>> OFFSET_BITS) + 1;
        while (next < chunks.size() && chunks.get(next).byteSize() < byteSize) {
            next++;
        }
        if (next == chunks.size()) {
            DeviceBuffer chunk = take(byteSize);
            next = chunks.size(); // fewer, where some had to be given back
            chunks.add(chunk);
            ends = Arrays.copyOf(ends, chunks.size());
            ends[next] = start(next) + chunk.byteSize();
        }
        end = ends[next];
        return start(next);
    }

    private DeviceBuffer take(long byteSize) {
        if (chunks.size() == MAX_CHUNKS) {
            throw new IllegalStateException("no more than " + MAX_CHUNKS + " chunks: open the stack with larger ones");
        }
        long chunks = (byteSize + request.byteSize() - 1) / request.byteSize();
        AllocationRequest wanted = new AllocationRequest(
                chunks * request.byteSize(), request.byteAlignment(), request.kind(), false, false, request.tag());
        try {
            return pool.allocate(wanted);
        } catch (DeviceOutOfMemoryException e) {
            if (trim() == 0) {
                throw e;
            }
            return pool.allocate(wanted);
        }
    }

    private void pop(int frame, long bottom) {
        if (frame != depth) {
            throw new IllegalStateException(
                    "frame %d of %s cannot be closed while frame %d is open: close frames in the reverse order"
                            .formatted(frame, this, depth));
        }
        highest = Math.max(highest, top);
        depth--;
        top = bottom;
        end = ends[(int) (bottom >>> OFFSET_BITS)];
    }

    private long trimTo(int kept) {
        highWaterBytes = highWaterBytes();
        highest = top;
        long bytes = 0;
        while (chunks.size() > kept) {
            DeviceBuffer chunk = chunks.removeLast();
            bytes += chunk.byteSize();
            chunk.close();
        }
        if (kept == 0) {
            ends[0] = 0;
            end = 0;
        }
        return bytes;
    }

    private long bytesBelow(long position) {
        long bytes = offset(position);
        for (int i = 0; i < (int) (position >>> OFFSET_BITS); i++) {
            bytes += offset(ends[i]);
        }
        return bytes;
    }

    private static long start(int chunk) {
        return (long) chunk << OFFSET_BITS;
    }

    private static long offset(long position) {
        return position & (1L << OFFSET_BITS) - 1;
    }

    private void requireAllocated(long position) {
        if (position < 0 || position >= top) {
            throw new IllegalArgumentException(
                    "nothing of " + this + " is allocated at " + position + ": its frame may have been closed");
        }
    }

    private void requireUsable() {
        requireOwner();
        if (closed) {
            throw new BufferClosedException(this + " is closed");
        }
    }

    @SuppressWarnings("ReferenceEquality") // a thread is itself
    private void requireOwner() {
        if (Thread.currentThread() != owner) {
            throw new IllegalStateException("%s belongs to thread '%s' and was used by thread '%s': give each its own"
                    .formatted(this, name(owner), name(Thread.currentThread())));
        }
    }

    /** A virtual thread has no name as a rule. */
    private static String name(Thread thread) {
        return thread.getName().isEmpty() ? "#" + thread.threadId() : thread.getName();
    }

    /** What was allocated since a push, freed together. Belongs to the thread of its stack. */
    public static final class Frame implements AutoCloseable {

        private final BufferStack stack;
        private final int depth;
        private final long bottom;
        private boolean open = true;

        private Frame(BufferStack stack, int depth, long bottom) {
            this.stack = stack;
            this.depth = depth;
            this.bottom = bottom;
        }

        /**
         * Allocates memory on top of the stack, at the alignment of the stack's chunks, but no more than
         * {@link AllocationRequest#DEFAULT_ALIGNMENT}.
         *
         * @param byteSize bytes, above 0
         * @return its position: see {@link BufferStack#chunk} and {@link BufferStack#byteOffset}
         * @throws IllegalStateException       if another frame lies on top of this one
         * @throws BufferClosedException       if the frame or the stack is closed
         * @throws DeviceOutOfMemoryException  if a chunk is needed and the pool has no room; nothing has changed then, except that
         *                                     unused chunks went back
         * @throws AllocationTooLargeException if the pool can never have room for such a chunk
         */
        public long allocate(long byteSize) {
            requireTop();
            return stack.allocate(byteSize, stack.alignmentMask);
        }

        /**
         * Allocates memory on top of the stack.
         *
         * @param byteSize      bytes, above 0
         * @param byteAlignment what the offset in the chunk must be a multiple of: a power of two up to the alignment of the
         *                      stack's chunks
         * @return its position, as of {@link #allocate(long)}, which also has the exceptions
         */
        public long allocate(long byteSize, long byteAlignment) {
            requireTop();
            if (byteAlignment <= 0
                    || Long.bitCount(byteAlignment) != 1
                    || byteAlignment > stack.request.byteAlignment()) {
                throw new IllegalArgumentException(
                        "byteAlignment is " + byteAlignment + ": must be a power of two from 1 to "
                                + stack.request.byteAlignment() + ", that of the chunks");
            }
            return stack.allocate(byteSize, byteAlignment - 1);
        }

        /**
         * Allocates memory on top of the stack, as an object, which is refused once the frame is closed.
         *
         * @param byteSize bytes, above 0
         * @return a view of the chunk, which need not be closed
         */
        public MemoryBuffer buffer(long byteSize) {
            long position = allocate(byteSize);
            return new BufferSlice(stack.chunk(position), offset(position), byteSize, this::requireOpen);
        }

        /**
         * Frees what was allocated in this frame. Closing twice does nothing, nor does closing after the stack.
         *
         * @throws IllegalStateException if another frame lies on top of this one, or on a thread that does not own the stack
         */
        @Override
        public void close() {
            stack.requireOwner();
            if (open && !stack.closed) {
                stack.pop(depth, bottom);
            }
            open = false;
        }

        private void requireOpen() {
            if (!open) {
                throw new BufferClosedException("a frame of " + stack + " was used after it was closed");
            }
        }

        private void requireTop() {
            stack.requireUsable();
            requireOpen();
            if (depth != stack.depth) {
                throw new IllegalStateException(
                        "frame %d of %s is not on top: frame %d is".formatted(depth, stack, stack.depth));
            }
        }
    }
}
