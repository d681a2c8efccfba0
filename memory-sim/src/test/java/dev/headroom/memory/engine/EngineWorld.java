package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;

import dev.headroom.memory.HostView;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.PinnedRange;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * Pools on simulated devices, and a model of what they must do. A step is one number that means something in any state, so
 * a failing trace can be cut down to the few steps that matter. Everything happens on one thread and on virtual time, so a
 * trace runs the same each time.
 *
 * <p>The parts share one {@link WorldState}: {@link WorldPools} opens and closes pools; {@link WorldBuffers}, {@link
 * WorldTransfers}, {@link WorldKernels}, {@link WorldHolds}, {@link WorldBudgets} and {@link WorldMisuse} take the
 * steps; {@link WorldRefusals} and {@link WorldChecks} say what must hold.
 */
final class EngineWorld {

    private final WorldState state;
    private final WorldTransfers transfers;
    private final WorldBuffers buffers;
    private final WorldMisuse misuse;
    private final WorldHolds holds;
    private final WorldKernels kernels;
    private final WorldBudgets budgets;
    private final WorldPools pools;
    private final WorldChecks checks;

    EngineWorld(WorldPlan plan) {
        state = new WorldState(plan);
        WorldRefusals refusals = new WorldRefusals(state);
        transfers = new WorldTransfers(state);
        buffers = new WorldBuffers(state, transfers, refusals);
        misuse = new WorldMisuse(state, buffers);
        holds = new WorldHolds(state);
        kernels = new WorldKernels(state, buffers);
        budgets = new WorldBudgets(state, refusals);
        pools = new WorldPools(state, transfers, buffers, holds);
        checks = new WorldChecks(state, transfers, kernels);
        pools.openAll();
    }

    /** Tells from now on what happens. */
    void tellTo(List<String> words) {
        state.tellTo(words);
    }

    /** Does one step and checks what must hold after every step. */
    void step(long number) {
        SplittableRandom random = new SplittableRandom(number);
        boolean interrupted = random.nextInt(200) == 0;
        if (interrupted) {
            state.tell("interrupted");
            Thread.currentThread().interrupt();
        }
        boolean still;
        try {
            act(random);
        } finally {
            still = Thread.interrupted();
        }
        require("interrupt", still == interrupted, () -> "the flag was " + interrupted + " and is " + still);
        checks.checkCheaply();
    }

    private void act(SplittableRandom random) {
        WorldOp op = WorldOp.draw(random);
        if (op == WorldOp.ALLOCATE && state.open.size() >= state.plan.maxLive()) {
            op = WorldOp.CLOSE;
        }
        switch (op) {
            case ALLOCATE -> buffers.allocate(random);
            case CLOSE -> buffers.closeOne(random);
            case WRITE -> transfers.write(random);
            case READ -> transfers.read(random);
            case FILL -> transfers.fill(random);
            case COPY -> transfers.copy(random, false);
            case WRITE_ASYNC -> transfers.writeAsync(random);
            case READ_ASYNC -> transfers.readAsync(random);
            case COPY_ASYNC -> transfers.copy(random, true);
            case LAUNCH -> kernels.launch(random);
            case PASS_TIME -> passTime(random);
            case STEP_PUMP -> transfers.pumpAll();
            case SHRINK -> budgets.shrink(random);
            case OCCUPY -> budgets.occupy(random);
            case RESERVE -> budgets.reserve(random);
            case END_RESERVATION -> budgets.endReservation(random);
            case MAP -> holds.map(random);
            case UNMAP -> holds.unmap(random);
            case PIN -> holds.pin(random);
            case UNPIN -> holds.unpin(random);
            case MOVE -> buffers.move(random);
            case MISUSE -> misuse.misuse(random);
            case ADD_STAGE -> holds.addStage(random);
            case END_STAGE -> holds.endStage(random);
            case CLOSE_QUEUE -> kernels.closeQueue(random);
            case LOOK -> budgets.look(random);
            case REOPEN -> pools.reopen(random);
        }
    }

    private void passTime(SplittableRandom random) {
        Duration time = Duration.ofNanos(random.nextLong(5_000_000));
        state.tell("pass %s", time);
        state.clock.advance(time);
    }

    /** Requests served from what pools that are still open kept at hand. */
    long cacheHits() {
        return state.places.stream()
                .flatMap(place -> place.pool.heaps().all().stream())
                .mapToLong(heap -> heap.blocks().cacheHits())
                .sum();
    }

    /** Checks everything that is too slow after each step. */
    void checkAll() {
        checks.checkAll();
    }

    /** Ends everything in some order, and checks that nothing is left. */
    void close(SplittableRandom random) {
        while (!state.open.isEmpty() && random.nextInt(50) != 0) {
            buffers.closeOne(random);
        }
        holds.letGoOf(state.present()); // leaks are legal, but what holds memory in place has to go first
        holds.endStages();
        state.closeReservations();
        state.places.reversed().forEach(pools::close);
        state.backends.forEach(SimulatedBackend::close);
        checks.checkNothingLeft();
        transfers.close();
    }

    /** Lets go of a world in which something is broken, as far as that works: the next one shares the host's ledger. */
    void abandon() {
        Thread.interrupted();
        for (ModelBuffer buffer : state.present()) {
            buffer.pins.forEach(PinnedRange::close);
            ignoreFailure(() -> Optional.ofNullable(buffer.view).ifPresent(HostView::close));
        }
        holds.endStages();
        ignoreFailure(state.clock::runUntilIdle);
        state.closeReservations();
        state.places.forEach(place -> ignoreFailure(place.pool::close));
        state.forgetHostHeldBytes();
    }

    private static void ignoreFailure(Runnable last) {
        try {
            last.run();
        } catch (RuntimeException | Error e) {
            // the first failure is the one that counts
        }
    }
}
