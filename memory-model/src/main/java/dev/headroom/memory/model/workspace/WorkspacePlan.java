package dev.headroom.memory.model.workspace;

import dev.headroom.memory.ByteSize;
import java.util.List;
import java.util.Objects;

/**
 * How large a workspace is to be, how many rows it is for, and how that was come to.
 *
 * @param info the device's figures it was planned with
 * @param layer the layer it is for
 * @param workspaceBytes its size in bytes
 * @param batchSize rows to work on at a time
 * @param fittingBatch rows of these whose values lie in the workspace beside the unpacked weights at one time; below
 *     {@code batchSize} only where a margin has cut the workspace, and 0 if not even one does
 * @param reasons the steps of the computation, each margin once
 */
public record WorkspacePlan(
        GpuMemoryInfo info,
        WorkspaceLayer layer,
        long workspaceBytes,
        int batchSize,
        int fittingBatch,
        List<String> reasons) {

    /** Copies the reasons. */
    public WorkspacePlan {
        Objects.requireNonNull(info, "info");
        Objects.requireNonNull(layer, "layer");
        reasons = List.copyOf(reasons);
    }

    /**
     * The decision in words.
     *
     * @return a line with the outcome and one per step, without a line end
     */
    public String explain() {
        String head = "%s: workspace %s, batch %d (%s)"
                .formatted(info.deviceId(), ByteSize.format(workspaceBytes), batchSize, layer);
        return reasons.isEmpty() ? head : head + "\n  " + String.join("\n  ", reasons);
    }

    @Override
    public String toString() {
        return explain();
    }
}
