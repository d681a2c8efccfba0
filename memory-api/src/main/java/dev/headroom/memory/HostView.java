package dev.headroom.memory;

import java.lang.foreign.MemorySegment;

/**
 * A window through which the host reaches a buffer's bytes directly. While it is open the buffer is neither recycled nor
 * moved. Closing it makes the host's writes visible to the device; closing twice does nothing. The view belongs to one
 * thread at a time.
 */
public interface HostView extends AutoCloseable {

    /**
     * The bytes, for as long as this view is open. Using the segment afterwards is an error that may go unnoticed, because
     * the memory may serve another buffer by then.
     *
     * @return the segment
     */
    MemorySegment segment();

    /**
     * Ends the view. Closing twice does nothing.
     *
     * @throws DriverFailedException if the driver does not take the writes over; the view is closed all the same
     */
    @Override
    void close();
}
