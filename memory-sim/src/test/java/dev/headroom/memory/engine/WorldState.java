package dev.headroom.memory.engine;

import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.VirtualClock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** What there is in a world: devices, pools, buffers and reservations. It also tells the story of what happens. */
final class WorldState {

    /** Bytes set aside, and the pool they are for. */
    record Reserved(LedgerReservation reservation, WorldPlace place) {
        long remainingBytes() {
            return reservation.remainingBytes(place.pool.device());
        }
    }

    final WorldPlan plan;
    final VirtualClock clock;
    final PhysicalMemory card;
    final PhysicalMemory host;
    final List<SimulatedBackend> backends = new ArrayList<>();
    final List<WorldPlace> places = new ArrayList<>();
    final List<ModelBuffer> open = new ArrayList<>();
    /** Closed, but held by a view or a pin. */
    final List<ModelBuffer> lingering = new ArrayList<>();

    final List<Reserved> reservations = new ArrayList<>();
    /** Whether pressure listeners give anything up. */
    boolean listening = true;

    private final long hostHeldBefore = Domains.host().figures().heldBytes();
    private final Map<PoolEngine, WorldPlace> placeOf = new HashMap<>();
    private @Nullable List<String> story;
    private int numbers;

    WorldState(WorldPlan plan) {
        this.plan = plan;
        VirtualClock automatic = VirtualClock.automatic();
        clock = plan.startNanos() == 0 ? automatic : automatic.startingAt(plan.startNanos());
        card = PhysicalMemory.of(plan.totalBytes());
        host = PhysicalMemory.host(plan.hostBytes());
        boolean two = plan.sibling() == WorldPlan.Sibling.SAME_BACKEND;
        SimulatedBackend.Builder first =
                SimulatedBackend.builder("sim").clock(clock).device(describe("card"));
        backends.add((two ? first.device(describe("card again")) : first).build());
        if (plan.sibling() == WorldPlan.Sibling.OTHER_BACKEND) {
            backends.add(SimulatedBackend.builder("other")
                    .clock(clock)
                    .device(describe("card"))
                    .build());
        }
        if (plan.fallback()) {
            backends.add(SimulatedBackend.builder("cpu")
                    .clock(clock)
                    .device(SimulatedDevice.host(plan.hostBytes())
                            .memory(host)
                            .hostMemory(host)
                            .baseAlignment(plan.baseAlignment())
                            .granularity(plan.granularity()))
                    .build());
        }
    }

    private SimulatedDevice.Builder describe(String name) {
        SimulatedDevice.Builder builder = SimulatedDevice.builder(name)
                .memory(card)
                .hostMemory(host)
                .baseAlignment(plan.baseAlignment())
                .granularity(plan.granularity())
                .freeFigure(plan.freeFigure());
        plan.granule().ifPresent(builder::virtualMemory);
        plan.maxBlockBytes().ifPresent(builder::maxBlockBytes);
        builder = plan.hostVisible() ? builder.hostVisibleMemory() : builder;
        builder = plan.coherent() ? builder : builder.withoutCoherence();
        builder = plan.hostCopies() ? builder : builder.withoutHostCopies();
        builder = plan.peerCopies() ? builder : builder.withoutPeerCopies();
        return plan.overCommitting() ? builder.overCommitting() : builder;
    }

    // The story.

    /** Tells from now on what happens. */
    void tellTo(List<String> words) {
        story = words;
    }

    void tell(String format, @Nullable Object... arguments) {
        if (story != null) {
            story.add(String.format(Locale.ROOT, format, arguments));
        }
    }

    // Places.

    void poolOpened(WorldPlace place) {
        placeOf.put(place.pool, place);
        place.startAnew();
    }

    void poolClosed(WorldPlace place) {
        placeOf.remove(place.pool);
    }

    WorldPlace placeOf(PoolEngine pool) {
        return Objects.requireNonNull(placeOf.get(pool));
    }

    WorldPlace pickPlace(SplittableRandom random) {
        return places.get(random.nextInt(places.size()));
    }

    void shrinkAll() {
        places.forEach(place -> place.pool.shrink());
    }

    // Buffers.

    /** Open buffers and those that linger, in a new list. */
    List<ModelBuffer> present() {
        List<ModelBuffer> present = new ArrayList<>(open);
        present.addAll(lingering);
        return present;
    }

    int nextNumber() {
        return ++numbers;
    }

    @Nullable
    ModelBuffer pickOpen(SplittableRandom random, Predicate<ModelBuffer> suitable) {
        for (int tries = 0; tries < 8 && !open.isEmpty(); tries++) {
            ModelBuffer buffer = open.get(random.nextInt(open.size()));
            if (suitable.test(buffer)) {
                return buffer;
            }
        }
        return null;
    }

    /** Notes that a buffer was closed; its memory stays where it is while something holds it. */
    void closed(ModelBuffer buffer) {
        open.remove(buffer);
        buffer.closed = true;
        if (buffer.held()) {
            lingering.add(buffer);
        } else {
            released(buffer);
        }
    }

    /** Notes that a view or a pin is gone. */
    void letGo(ModelBuffer buffer) {
        if (buffer.closed && !buffer.held()) {
            lingering.remove(buffer);
            released(buffer);
        }
    }

    private void released(ModelBuffer buffer) {
        WorldPlace place = placeOf.get(buffer.pool);
        if (place == null) {
            return; // its pool was closed
        }
        place.open--;
        if (buffer.usesEnded()) {
            place.spans.remove(buffer.address, buffer);
        }
    }

    // Reservations.

    /** Bytes set aside on the card. */
    long reservedBytes() {
        return reservations.stream()
                .filter(reserved -> !reserved.place().isHost())
                .mapToLong(Reserved::remainingBytes)
                .sum();
    }

    long reservedBytes(WorldPlace place) {
        return reservations.stream()
                .filter(reserved -> reserved.place().equals(place))
                .mapToLong(Reserved::remainingBytes)
                .sum();
    }

    void closeReservations() {
        reservations.forEach(reserved -> reserved.reservation().close());
        reservations.clear();
    }

    void closeReservations(WorldPlace place) {
        reservations.removeIf(reserved -> {
            boolean here = reserved.place().equals(place);
            if (here) {
                reserved.reservation().close();
            }
            return here;
        });
    }

    // The host, which all worlds share.

    /** What pools of this world hold of the host's memory, by the ledger. */
    long hostHeldBytes() {
        return Domains.host().figures().heldBytes() - hostHeldBefore;
    }

    void forgetHostHeldBytes() {
        Domains.host().release(hostHeldBytes());
    }
}
