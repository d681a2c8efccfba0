package dev.headroom.memory.model;

import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.PressureListener;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeSet;

/**
 * Moves the tensors of a loaded model between pools, on demand only. A tensor that is in use stays where it is, and so does
 * one the target has no room for; both are reported and nothing is lost. Thread-safe; two calls at the same time may each
 * find tensors the other is moving, and report them as in use.
 */
public final class TensorRebalancer {

    private final LoadedModel model;
    private final Map<String, GpuMemoryPool> pools;
    private final TensorAffinity affinity;

    private TensorRebalancer(LoadedModel model, Map<String, GpuMemoryPool> pools, TensorAffinity affinity) {
        this.model = model;
        this.pools = Map.copyOf(pools);
        this.affinity = Objects.requireNonNull(affinity, "affinity");
    }

    /**
     * A rebalancer for a model.
     *
     * @param model the model; must stay open
     * @param pools the pools its tensors may lie in, by the ids of their devices
     * @param affinity where tensors would rather lie
     * @return the rebalancer
     */
    public static TensorRebalancer of(LoadedModel model, Map<String, GpuMemoryPool> pools, TensorAffinity affinity) {
        return new TensorRebalancer(model, pools, affinity);
    }

    /**
     * Moves every tensor with an affinity to where it would rather lie.
     *
     * @return what came of it
     * @throws IllegalArgumentException if the affinity names a device without a pool; nothing has been moved then
     */
    public MoveReport apply() {
        model.buffers().keySet().forEach(tensor -> affinity.deviceOf(tensor).ifPresent(this::pool));
        Moves moves = new Moves();
        for (String tensor : model.buffers().keySet()) {
            affinity.deviceOf(tensor).ifPresent(device -> moves.move(tensor, device));
        }
        return moves.report();
    }

    /**
     * Moves one tensor, whatever its affinity.
     *
     * @param tensor its name
     * @param deviceId where to
     * @return what came of it; without moves and refusals if it was there already
     * @throws IllegalArgumentException if there is no such tensor, or no pool for the device
     */
    public MoveReport move(String tensor, String deviceId) {
        model.buffer(tensor);
        pool(deviceId);
        Moves moves = new Moves();
        moves.move(tensor, deviceId);
        return moves.report();
    }

    /**
     * Moves tensors off a device until so many bytes have left it: first those that would rather lie on the other device, then
     * those without an affinity, last those that would rather stay; of each sort the largest first. The bytes lie idle in
     * the device's pool then; {@link GpuMemoryPool#shrink} gives whole empty blocks of it back to the driver.
     *
     * @param fromId the device to make room on
     * @param bytes how many, above 0
     * @param toId where to
     * @return what came of it; perhaps fewer bytes than asked for
     * @throws IllegalArgumentException if there is no pool for one of the devices, or they are the same
     */
    public MoveReport free(String fromId, long bytes, String toId) {
        pool(fromId);
        pool(toId);
        if (fromId.equals(toId)) {
            throw new IllegalArgumentException("tensors cannot be moved from " + fromId + " to itself");
        }
        if (bytes <= 0) {
            throw new IllegalArgumentException("bytes is " + bytes + ": must be above 0");
        }
        List<String> candidates = new ArrayList<>(model.buffers().keySet());
        candidates.removeIf(tensor -> !deviceOf(tensor).equals(Optional.of(fromId)));
        candidates.sort(Comparator.comparingInt((String tensor) -> reluctance(tensor, fromId, toId))
                .thenComparing(Comparator.comparingLong(
                                (String tensor) -> model.buffer(tensor).byteSize())
                        .reversed()));
        Moves moves = new Moves();
        for (String tensor : candidates) {
            if (moves.bytes >= bytes) {
                break;
            }
            moves.move(tensor, toId);
        }
        return moves.report();
    }

    /**
     * A listener that moves tensors away when a pool runs short.
     *
     * @param fromId the device of the pool it is added to
     * @param toId where to
     * @return the listener
     * @throws IllegalArgumentException if there is no pool for one of the devices
     */
    public PressureListener relieving(String fromId, String toId) {
        pool(fromId);
        pool(toId);
        return (_, _, wantedBytes) ->
                wantedBytes <= 0 ? 0 : free(fromId, wantedBytes, toId).movedBytes();
    }

    private int reluctance(String tensor, String fromId, String toId) {
        Optional<String> wanted = affinity.deviceOf(tensor);
        if (wanted.isEmpty()) {
            return 1;
        }
        return wanted.get().equals(toId) ? 0 : wanted.get().equals(fromId) ? 3 : 2;
    }

    private GpuMemoryPool pool(String deviceId) {
        GpuMemoryPool pool = pools.get(deviceId);
        if (pool == null) {
            throw new IllegalArgumentException(
                    "there is no pool for " + deviceId + "; there are pools for " + new TreeSet<>(pools.keySet()));
        }
        return pool;
    }

    /** Where a tensor lies, empty if it cannot be said now. */
    private Optional<String> deviceOf(String tensor) {
        FallbackBuffer buffer = model.buffer(tensor);
        try {
            return buffer.asGpu()
                    .or(buffer::asCpu)
                    .map(DeviceBuffer::pool)
                    .map(pool -> pool.device().id());
        } catch (BufferClosedException | IllegalStateException e) {
            return Optional.empty(); // taken out, or being moved
        }
    }

    /** The moves of one call. */
    private final class Moves {

        private final List<String> moved = new ArrayList<>();
        private final List<MoveReport.Refusal> refused = new ArrayList<>();
        private long bytes;

        void move(String tensor, String deviceId) {
            if (deviceOf(tensor).equals(Optional.of(deviceId))) {
                return;
            }
            FallbackBuffer buffer = model.buffer(tensor);
            try {
                buffer.moveTo(pool(deviceId));
            } catch (IllegalStateException
                    | BufferClosedException
                    | DeviceOutOfMemoryException
                    | AllocationTooLargeException e) {
                refused.add(new MoveReport.Refusal(tensor, String.valueOf(e.getMessage())));
                return;
            }
            moved.add(tensor);
            bytes += buffer.byteSize();
        }

        MoveReport report() {
            return new MoveReport(moved, bytes, refused);
        }
    }
}
