package dev.headroom.memory.model.workspace;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuMemoryException;
import java.io.Serial;

/** A workspace would be smaller than the smallest useful one, or its memory was refused. */
public final class WorkspaceAllocationFailedException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /** The size that was come to. */
    private final long requestedBytes;
    /** What the device has. */
    private final long availableBytes;
    /** The smallest useful size. */
    private final long minimumRequiredBytes;

    /** The planner's refusal. */
    WorkspaceAllocationFailedException(GpuMemoryInfo info, long requestedBytes, long minimumRequiredBytes) {
        super(("%s: a workspace of %s is below the smallest useful one of %s; %s is available;"
                        + " free memory there, or lower minWorkspaceBytes")
                .formatted(
                        info.deviceId(),
                        ByteSize.format(requestedBytes),
                        ByteSize.format(minimumRequiredBytes),
                        ByteSize.format(info.availableMemory())));
        this.requestedBytes = requestedBytes;
        this.availableBytes = info.availableMemory();
        this.minimumRequiredBytes = minimumRequiredBytes;
    }

    /** The pool's refusal of a size the planner thought possible. */
    WorkspaceAllocationFailedException(WorkspacePlan plan, long minimumRequiredBytes, GpuMemoryException cause) {
        super(
                "%s: a workspace of %s was refused: %s"
                        .formatted(plan.info().deviceId(), ByteSize.format(plan.workspaceBytes()), cause.getMessage()),
                cause);
        this.requestedBytes = plan.workspaceBytes();
        this.availableBytes = plan.info().availableMemory();
        this.minimumRequiredBytes = minimumRequiredBytes;
    }

    /**
     * The size that was come to.
     *
     * @return bytes
     */
    public long requestedBytes() {
        return requestedBytes;
    }

    /**
     * What the device had, after the reserve and before any other margin.
     *
     * @return bytes
     */
    public long availableBytes() {
        return availableBytes;
    }

    /**
     * The smallest useful size.
     *
     * @return bytes
     */
    public long minimumRequiredBytes() {
        return minimumRequiredBytes;
    }
}
