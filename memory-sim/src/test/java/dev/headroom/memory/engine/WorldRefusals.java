package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.sim.FreeFigure;
import java.util.OptionalLong;

/** What may be refused and what must be: the rules of limits, shares and margins, written down a second time. */
final class WorldRefusals {

    private final WorldState state;

    WorldRefusals(WorldState state) {
        this.state = state;
    }

    /** I6: once more, with everything idle given back first, must be refused as well. */
    void requireRefusal(WorldPlace place, AllocationRequest request) {
        state.listening = false;
        try {
            if (othersAreQuiet(place)) { // else time may end what another pool could not give back just now
                requireRefused(place, request, "again");
                state.shrinkAll();
                requireRefused(place, request, "after everything idle was given back");
                requireNoRoom(place, request);
            } else {
                BlockList blocks = place.pool.heaps().of(request.kind()).blocks();
                require(
                        "I6",
                        blocks.hitAnywhere(request.byteSize(), request.byteAlignment()) == Tlsf.NONE,
                        () -> request + " was refused, although there is room");
            }
        } finally {
            state.listening = true;
        }
    }

    private static void requireRefused(WorldPlace place, AllocationRequest request, String when) {
        try (DeviceBuffer buffer = place.pool.allocate(request)) {
            throw new BrokenInvariant("I6", request + " was refused, but " + when + " it is served with " + buffer);
        } catch (DeviceOutOfMemoryException | AllocationTooLargeException e) {
            // as it must be
        }
    }

    /** Whether no other pool has closed buffers that wait for work: time alone may turn those into idle memory. */
    boolean othersAreQuiet(WorldPlace place) {
        return state.places.stream().filter(other -> !other.equals(place)).allMatch(WorldPlace::isQuiet);
    }

    /** The budget's formula, written down a second time, from what is physically so. Nothing is idle now. */
    private void requireNoRoom(WorldPlace place, AllocationRequest request) {
        WorldPlan plan = state.plan;
        boolean measured = plan.freeFigure() instanceof FreeFigure.Measured;
        boolean unknown = plan.freeFigure() instanceof FreeFigure.Unknown;
        if (request.kind() != MemoryKind.DEVICE || place.isHost() || !(measured || unknown)) {
            return;
        }
        long unit = plan.granule().orElse(plan.granularity());
        long needed = GrowthPolicy.roundUp(request.byteSize(), Math.max(unit, Tlsf.DEFAULT_GRANULE));
        MemoryConfig config = place.config;
        long used = state.card.usedBytes();
        long free = state.card.freeBytes();
        long reserved = state.reservedBytes();
        double share = unknown ? Math.min(0.8, config.gpuMemoryFraction()) : config.gpuMemoryFraction();
        long byLimit = config.limitBytes().isPresent()
                ? config.limitBytes().getAsLong() - place.blockBytes() - state.reservedBytes(place)
                : Long.MAX_VALUE;
        long byShare = config.limitBytes().isPresent()
                ? plan.totalBytes() - used - reserved
                : (long) (plan.totalBytes() * share) - used - reserved;
        long byFree = unknown
                ? Long.MAX_VALUE
                : free - reserved - (config.limitBytes().isPresent() ? 0 : config.minFreeBytes());
        boolean possible = needed <= byLimit
                && needed <= byShare
                && needed <= byFree
                && needed <= free
                && needed <= plan.maxBlockBytes().orElse(plan.totalBytes());
        require(
                "I6",
                !possible,
                () -> "%d bytes were refused; %d by limit, %d by share, %d by free, %d really free"
                        .formatted(needed, byLimit, byShare, byFree, free));
    }

    /** I7: what was taken just now was allowed. */
    void checkMargins(WorldPlace place, Object after) {
        if (place.isHost() || place.config.limitBytes().isPresent()) {
            return;
        }
        if (state.plan.freeFigure() instanceof FreeFigure.Measured) {
            require(
                    "I7",
                    state.card.freeBytes() >= place.config.minFreeBytes() + state.reservedBytes(),
                    () -> "only " + state.card.freeBytes() + " bytes are free after " + after);
        }
        require(
                "I7",
                state.card.usedBytes() + state.reservedBytes()
                        <= (long) (state.plan.totalBytes() * place.config.gpuMemoryFraction()),
                () -> state.card.usedBytes() + " bytes are taken after " + after);
    }

    /** Whether a request may be one that can never be served. */
    boolean possiblyTooLarge(WorldPlace place, AllocationRequest request) {
        WorldPlan plan = state.plan;
        boolean onDevice = !place.isHost() && place.onDevice(request.kind());
        long total = onDevice ? plan.totalBytes() : plan.hostBytes();
        long largest = place.has(request.kind())
                ? place.pool.heaps().of(request.kind()).largestBlock()
                : Long.MAX_VALUE;
        boolean unknown = !place.isHost() && plan.freeFigure() instanceof FreeFigure.Unknown;
        double fraction = place.config.gpuMemoryFraction();
        OptionalLong limit = onDevice ? place.config.limitBytes() : OptionalLong.empty();
        long ceiling = limit.isPresent()
                ? Math.min(limit.getAsLong(), total)
                : (long) (total * (unknown ? Math.min(0.8, fraction) : fraction));
        return request.byteSize() > ceiling || request.byteSize() > largest;
    }

    /** I11: a call that was refused left the figures as they were, though it may have given idle memory back. */
    static void checkUnchanged(MemoryStats before, MemoryStats after) {
        require(
                "I11",
                after.poolHits() == before.poolHits()
                        && after.poolMisses() == before.poolMisses()
                        && after.cpuFallbacks() == before.cpuFallbacks()
                        && after.inUseBytes() <= before.inUseBytes()
                        && after.peakBytes() == before.peakBytes(),
                () -> "a refused call changed " + before + " to " + after);
    }
}
