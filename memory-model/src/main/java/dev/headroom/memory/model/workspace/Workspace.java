package dev.headroom.memory.model.workspace;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import java.lang.System.Logger.Level;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Memory to work in, on one device. Sized by a {@link WorkspacePlanner}, and made smaller when others fill the device up; it
 * never grows again. To be closed before its pool. Thread-safe, but a shrink takes the buffer away that was there: call
 * {@link #shrinkUnderPressure} between two batches, and ask for {@link #buffer} and {@link #plan} anew afterwards.
 */
public final class Workspace implements AutoCloseable {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    /** What the workspace is at a moment. */
    private sealed interface State {}

    private record Held(DeviceBuffer buffer, WorkspacePlan plan) implements State {}

    private enum Absent implements State {
        SHRINKING,
        CLOSED
    }

    private final GpuMemoryPool pool;
    private final WorkspacePlanner planner;
    private final WorkspaceLayer layer;
    private final AtomicReference<State> state;

    private Workspace(GpuMemoryPool pool, WorkspacePlanner planner, WorkspaceLayer layer, Held held) {
        this.pool = pool;
        this.planner = planner;
        this.layer = layer;
        this.state = new AtomicReference<>(held);
    }

    /**
     * Plans a workspace with what the device has now, and allocates it.
     *
     * @param pool where
     * @param planner how large
     * @param layer what for
     * @return the workspace, to be closed by the caller
     * @throws InsufficientGpuMemoryException if the layer's weights leave too little
     * @throws WorkspaceAllocationFailedException if it would be too small, or the pool refuses it
     * @throws GpuMemoryQueryException if the driver does not say what it has
     */
    public static Workspace open(GpuMemoryPool pool, WorkspacePlanner planner, WorkspaceLayer layer) {
        Objects.requireNonNull(layer, "layer");
        WorkspacePlan plan = planner.plan(GpuMemoryInfo.query(pool), layer);
        return new Workspace(pool, planner, layer, allocate(pool, planner, plan));
    }

    /**
     * The memory. Borrowed: it is closed when the workspace shrinks or closes.
     *
     * @return the buffer, of {@link WorkspacePlan#workspaceBytes} bytes
     * @throws BufferClosedException if the workspace is closed
     * @throws IllegalStateException if another thread is making it smaller
     */
    public DeviceBuffer buffer() {
        return held().buffer();
    }

    /**
     * What it was planned to be, when it was opened or last made smaller.
     *
     * @return the plan
     * @throws BufferClosedException if the workspace is closed
     * @throws IllegalStateException if another thread is making it smaller
     */
    public WorkspacePlan plan() {
        return held().plan();
    }

    /**
     * Gives memory back if the device has less available than this workspace holds. Asks the driver. If so, a new size is
     * computed from what is available, as if the workspace's own bytes were somebody else's; if that is smaller, the memory
     * goes back to the driver, the smaller buffer is allocated, and a warning is logged. The contents are lost.
     *
     * <p>If no smaller workspace would be of use, this one stays as it is, and that is logged.
     *
     * @return bytes by which the workspace has become smaller; 0 if it stayed, or another thread is at it
     * @throws BufferClosedException if the workspace is closed
     * @throws GpuMemoryQueryException if the driver does not say what it has; nothing has changed then
     * @throws WorkspaceAllocationFailedException if somebody else took the memory in between; the workspace is closed then
     */
    public long shrinkUnderPressure() {
        State before = state.get();
        if (before == Absent.SHRINKING) {
            return 0;
        }
        Held now = held();
        GpuMemoryInfo info = GpuMemoryInfo.query(pool);
        long size = now.plan().workspaceBytes();
        if (info.availableMemory() >= size) {
            return 0;
        }
        WorkspacePlan smaller;
        try {
            smaller = planner.plan(info, layer);
        } catch (InsufficientGpuMemoryException | WorkspaceAllocationFailedException e) {
            LOG.log(
                    Level.WARNING,
                    "workspace on {0} stays at {1} although memory is short: {2}",
                    info.deviceId(),
                    ByteSize.format(size),
                    e.getMessage());
            return 0;
        }
        if (smaller.workspaceBytes() >= size || !state.compareAndSet(now, Absent.SHRINKING)) {
            return 0;
        }
        replace(now, smaller);
        LOG.log(
                Level.WARNING,
                "workspace on {0} shrinks from {1} to {2}: {3} was available",
                info.deviceId(),
                ByteSize.format(size),
                ByteSize.format(smaller.workspaceBytes()),
                ByteSize.format(info.availableMemory()));
        return size - smaller.workspaceBytes();
    }

    /** Gives the memory back. Closing twice does nothing. Never throws. */
    @Override
    public void close() {
        if (state.getAndSet(Absent.CLOSED) instanceof Held held) {
            held.buffer().close();
        }
    }

    @Override
    public String toString() {
        State now = state.get();
        String size = now instanceof Held held
                ? held.plan().workspaceBytes() + " bytes, batch " + held.plan().batchSize()
                : now.toString();
        return "Workspace[" + size + " on " + pool.device().id() + "]";
    }

    private Held held() {
        return switch (state.get()) {
            case Held held -> held;
            case Absent.SHRINKING ->
                throw new IllegalStateException("the workspace is being made smaller by another thread; try again");
            case Absent.CLOSED -> throw new BufferClosedException("the workspace is closed");
        };
    }

    /** The old memory goes first: where memory is short there is no room for both. */
    private void replace(Held old, WorkspacePlan plan) {
        old.buffer().close();
        Held fresh = null;
        try {
            pool.shrink();
            fresh = allocate(pool, planner, plan);
        } finally {
            State next = fresh == null ? Absent.CLOSED : fresh;
            if (!state.compareAndSet(Absent.SHRINKING, next) && fresh != null) {
                fresh.buffer().close(); // closed meanwhile
            }
        }
    }

    private static Held allocate(GpuMemoryPool pool, WorkspacePlanner planner, WorkspacePlan plan) {
        try {
            AllocationRequest request =
                    AllocationRequest.of(plan.workspaceBytes()).tagged("workspace");
            return new Held(pool.allocate(request), plan);
        } catch (DeviceOutOfMemoryException | AllocationTooLargeException e) {
            throw refused(planner, plan, e);
        }
    }

    private static WorkspaceAllocationFailedException refused(
            WorkspacePlanner planner, WorkspacePlan plan, GpuMemoryException cause) {
        return new WorkspaceAllocationFailedException(plan, planner.minWorkspaceBytes(), cause);
    }
}
