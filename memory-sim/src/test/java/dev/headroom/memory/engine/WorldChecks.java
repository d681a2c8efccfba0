package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;

import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.sim.SimulatedBackend;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** What must hold whatever happened: ledgers, figures, and bytes. */
final class WorldChecks {

    private static final int FORGOTTEN_FENCES = 8;

    private final WorldState state;
    private final WorldTransfers transfers;
    private final WorldKernels kernels;

    WorldChecks(WorldState state, WorldTransfers transfers, WorldKernels kernels) {
        this.state = state;
        this.transfers = transfers;
        this.kernels = kernels;
    }

    /** What must hold after each step. */
    void checkCheaply() {
        kernels.requireNothingSeen();
        checkViolations();
        state.places.forEach(this::checkStats);
        DomainLedger.Figures figures = state.places.getFirst().pool.ledger().figures();
        require(
                "I3",
                figures.heldBytes() == state.card.usedBytes(),
                () -> "the ledger holds " + figures.heldBytes() + ", the card " + state.card.usedBytes());
        require("I3", figures.inFlightBytes() == 0, () -> figures.inFlightBytes() + " bytes are in flight at rest");
        require(
                "I3",
                figures.reservedBytes() == state.reservedBytes(),
                () -> figures.reservedBytes() + " bytes are reserved, should be " + state.reservedBytes());
        long hostHeld = state.hostHeldBytes();
        require(
                "I3",
                hostHeld == state.host.usedBytes(),
                () -> "the ledger holds " + hostHeld + ", the host " + state.host.usedBytes());
    }

    private void checkStats(WorldPlace place) {
        MemoryStats stats = place.pool.stats();
        require("I13", stats.inUseBytes() + stats.pooledBytes() == stats.totalAllocatedBytes(), () -> stats.toString());
        require(
                "I13",
                stats.activeBuffers() == place.open,
                () -> stats.activeBuffers() + " buffers, should be " + place.open + " in " + place.pool);
        require(
                "I13",
                stats.poolHits() + stats.poolMisses() == place.served,
                () -> stats + ": requests served should be " + place.served);
        require("I13", stats.cpuFallbacks() == place.fallbacks, () -> stats + ": should be " + place.fallbacks);
        require("I13", stats.peakBytes() >= stats.inUseBytes(), () -> stats.toString());
        OptionalLong limit = place.config.limitBytes();
        if (limit.isPresent() && !place.isHost()) {
            long bytes = place.blockBytes();
            require(
                    "I7",
                    bytes <= limit.getAsLong(),
                    () -> bytes + " bytes in blocks, the limit is " + limit.getAsLong());
        }
    }

    private void checkViolations() {
        for (SimulatedBackend backend : state.backends) {
            if (!backend.violations().isEmpty()) {
                throw new BrokenInvariant("I5", backend.violations().toString());
            }
        }
    }

    /** Everything that is too slow after each step. */
    void checkAll() {
        state.tell("check everything");
        for (WorldPlace place : state.places) {
            place.pool.validate();
            long used = place.pool.heaps().all().stream()
                    .mapToLong(heap -> heap.blocks().figures().usedBytes())
                    .sum();
            MemoryStats stats = place.pool.stats();
            require(
                    "I3",
                    used == stats.inUseBytes(),
                    () -> used + " bytes are used, " + stats.inUseBytes() + " are counted");
            place.spans.values().removeIf(b -> b.closed && !b.held() && b.usesEnded());
            checkSpans(place);
            place.spans.values().forEach(WorldChecks::checkPending);
        }
        for (ModelBuffer buffer : List.copyOf(state.open)) {
            if (buffer.plain()) {
                for (int window = 0; window < buffer.windows(); window++) {
                    transfers.verify(buffer, window, true, false);
                }
            }
        }
        checkCheaply();
    }

    private static void checkSpans(WorldPlace place) {
        ModelBuffer before = null;
        for (ModelBuffer buffer : place.spans.values()) {
            if (before != null && before.address + before.grantedBytes() > buffer.address) {
                throw new BrokenInvariant("I1", before + " overlaps " + buffer);
            }
            before = buffer;
        }
        long open = place.spans.values().stream()
                .filter(buffer -> !buffer.closed || buffer.held())
                .mapToLong(ModelBuffer::grantedBytes)
                .sum();
        long counted = place.pool.stats().inUseBytes();
        require("I3", open <= counted, () -> "open buffers take " + open + " bytes, " + counted + " are counted");
    }

    /** A buffer remembers what is under way, not all that ever was; finished points go when the next is added. */
    private static void checkPending(ModelBuffer buffer) {
        buffer.usesEnded();
        int remembered = fences(buffer.core.pending());
        require(
                "fences",
                remembered <= 2 * buffer.uses.size() + FORGOTTEN_FENCES,
                () -> buffer + " remembers " + remembered + " fences, " + buffer.uses.size() + " uses are under way");
    }

    private static int fences(Point.@Nullable Pending pending) {
        return pending == null ? 0 : (pending.first() instanceof Point.OnFence ? 1 : 0) + fences(pending.rest());
    }

    /** I10: all pools are closed, and nothing of them is left. */
    void checkNothingLeft() {
        require(
                "I10",
                state.card.usedBytes() == 0,
                () -> state.card.usedBytes() + " bytes of the card are still taken");
        require(
                "I10",
                state.host.usedBytes() == 0,
                () -> state.host.usedBytes() + " bytes of the host are still taken");
        checkViolations();
    }
}
