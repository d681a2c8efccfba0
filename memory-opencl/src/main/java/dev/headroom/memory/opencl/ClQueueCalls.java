package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import org.jocl.cl_command_queue;
import org.jocl.cl_event;
import org.jocl.cl_mem;

/**
 * The driver's own queue, for what has to be finished when its call returns. Nothing in it waits for work of others.
 * Thread-safe.
 *
 * @param cl    the calls
 * @param queue the queue
 */
record ClQueueCalls(ClApi cl, cl_command_queue queue) {

    /** Maps part of a buffer and waits. Returns the address. */
    long map(cl_mem buffer, long flags, long byteOffset, long byteSize) throws DriverException {
        int[] code = new int[1];
        long address = cl.map(queue, buffer, flags, byteOffset, byteSize, code);
        ClError.require("clEnqueueMapBuffer", code[0]);
        return address;
    }

    /** Unmaps and waits, so that work of any other queue sees the bytes. */
    void unmap(cl_mem buffer, long address) throws DriverException {
        ClError.require("clEnqueueUnmapMemObject", cl.unmap(queue, buffer, address));
        ClError.require("clFinish", cl.finish(queue));
    }

    /**
     * Makes the device take the memory now. Many drivers take it at the first use only, where a refusal comes too late for
     * anybody to look for memory elsewhere.
     */
    void commit(cl_mem buffer) throws DriverException {
        cl_event done = new cl_event();
        ClError.require("clEnqueueMigrateMemObjects", cl.migrate(queue, buffer, done));
        ClEvent event = new ClEvent(cl, done);
        try {
            ClError.require("clFinish", cl.finish(queue));
            ClError.require("clEnqueueMigrateMemObjects", Math.min(ClApi.SUCCESS, event.status()));
        } finally {
            event.letGo();
        }
    }

    /** Lets go of the queue. */
    void close() {
        cl.releaseQueue(queue);
    }
}
