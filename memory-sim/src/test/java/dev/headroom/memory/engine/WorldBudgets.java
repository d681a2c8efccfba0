package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;

import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.sim.PhysicalMemory;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;

/** Steps that change how much memory there is for others, or look at it. */
final class WorldBudgets {

    private static final int MOST_RESERVATIONS = 4;

    private final WorldState state;
    private final WorldRefusals refusals;

    WorldBudgets(WorldState state, WorldRefusals refusals) {
        this.state = state;
        this.refusals = refusals;
    }

    void shrink(SplittableRandom random) {
        WorldPlace place = state.pickPlace(random);
        state.tell("shrink %s", place.pool);
        long before = place.pool.stats().totalAllocatedBytes();
        long gone = place.pool.shrink();
        long after = place.pool.stats().totalAllocatedBytes();
        require(
                "shrink",
                before - after == gone,
                () -> "%d bytes became %d, said was %d".formatted(before, after, gone));
        for (Heap heap : place.pool.heaps().all()) {
            require(
                    "shrink",
                    heap.blocks().idleBytes() == 0,
                    () -> heap.blocks().idleBytes() + " bytes are still idle");
        }
    }

    void occupy(SplittableRandom random) {
        PhysicalMemory memory = random.nextInt(4) == 0 ? state.host : state.card;
        long bytes = random.nextInt(3) == 0 ? 0 : random.nextLong(memory.totalBytes() / 2);
        state.tell("another process holds %s bytes of %s", bytes, memory.id());
        memory.occupy(bytes);
    }

    void reserve(SplittableRandom random) {
        if (state.reservations.size() >= MOST_RESERVATIONS) {
            return;
        }
        WorldPlace place = state.pickPlace(random);
        long bytes = random.nextLong(state.plan.totalBytes() / 3) + 1;
        state.tell("reserve %s bytes in %s", bytes, place.pool);
        boolean quiet = refusals.othersAreQuiet(place);
        try {
            LedgerReservation reservation = LedgerReservation.of(Map.of(place.pool, bytes));
            WorldState.Reserved reserved = new WorldState.Reserved(reservation, place);
            require("reserve", reserved.remainingBytes() == bytes, () -> "something is missing from " + bytes);
            state.reservations.add(reserved);
            refusals.checkMargins(place, "a reservation of " + bytes);
        } catch (DeviceOutOfMemoryException e) {
            if (quiet && refusals.othersAreQuiet(place)) {
                state.shrinkAll();
                long usable = place.pool.usableBytes();
                require("I6", bytes > usable, () -> bytes + " bytes refused, although " + usable + " are usable");
            }
        }
    }

    void endReservation(SplittableRandom random) {
        if (!state.reservations.isEmpty()) {
            LedgerReservation reservation = state.reservations
                    .remove(random.nextInt(state.reservations.size()))
                    .reservation();
            state.tell("end a reservation in %s", reservation.devices());
            reservation.close();
            if (random.nextBoolean()) {
                reservation.close();
            }
        }
    }

    void look(SplittableRandom random) {
        WorldPlace place = state.pickPlace(random);
        state.tell("look at %s", place.pool);
        MemoryBudget budget = place.pool.budget();
        require("budget", budget.totalBytes() > 0, () -> budget.toString());
        require("usable", place.pool.usableBytes() >= 0, () -> "below 0");
        Objects.requireNonNull(place.pool.pressure());
        place.pool.monitor().step();
        require("names", place.pool.toString().contains(place.pool.device().id()), () -> place.pool.toString());
        boolean idle = place.pool.awaitIdle(Duration.ofHours(1));
        require("idle", idle || Thread.currentThread().isInterrupted(), () -> "the device does not come to rest");
    }
}
