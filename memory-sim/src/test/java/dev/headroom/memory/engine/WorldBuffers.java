package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.sim.SimulatedDevice;
import java.util.Optional;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Steps in which buffers come, go and move. */
final class WorldBuffers {

    private static final int CLEAR_LIMIT = 64 << 10;

    private final WorldState state;
    private final WorldTransfers transfers;
    private final WorldRefusals refusals;

    WorldBuffers(WorldState state, WorldTransfers transfers, WorldRefusals refusals) {
        this.state = state;
        this.transfers = transfers;
        this.refusals = refusals;
    }

    void allocate(SplittableRandom random) {
        WorldPlace place = random.nextInt(3) == 0 ? state.pickPlace(random) : state.places.getFirst();
        int bits = random.nextInt(state.plan.largestBits() + 1);
        // Half of the sizes come again and again, as those of real programs do: memory of such sizes is kept at hand.
        long size = bits == 0 || random.nextBoolean() ? 1L << bits : random.nextLong(1L << bits - 1, (1L << bits) + 1);
        AllocationRequest request = AllocationRequest.of(size).aligned(alignment(random));
        if (random.nextInt(4) == 0) {
            request = request.ofKind(MemoryKind.values()[random.nextInt(4)]);
        }
        if (size <= CLEAR_LIMIT && random.nextInt(8) == 0) {
            request = request.zeroed();
        }
        if (random.nextInt(8) == 0) {
            request = request.tagged("tag");
        }
        boolean withFallback = random.nextInt(6) == 0;
        WorldState.Reserved reserved = state.reservations.isEmpty() || random.nextInt(3) != 0
                ? null
                : state.reservations.get(random.nextInt(state.reservations.size()));
        if (reserved != null) {
            place = reserved.place();
        }
        ModelBuffer buffer = tryAllocate(place, request, withFallback, reserved);
        if (buffer != null && random.nextInt(4) != 0) {
            for (int window = 0; window < buffer.windows(); window++) {
                transfers.writeWindow(buffer, window, random);
            }
        }
    }

    private static long alignment(SplittableRandom random) {
        return random.nextInt(3) == 0 ? 1L << random.nextInt(22) : AllocationRequest.DEFAULT_ALIGNMENT;
    }

    private @Nullable ModelBuffer tryAllocate(
            WorldPlace place, AllocationRequest request, boolean withFallback, WorldState.@Nullable Reserved reserved) {
        state.tell(
                "allocate %d bytes at %d of %s in %s%s%s%s",
                request.byteSize(),
                request.byteAlignment(),
                request.kind().label(),
                place.pool,
                request.zero() ? ", zeroed" : "",
                withFallback ? ", or fallback" : "",
                reserved == null ? "" : ", reserved");
        GpuMemoryPool pool =
                reserved == null ? place.pool : reserved.reservation().pool(place.pool.device());
        MemoryStats before = place.pool.stats();
        long heldBefore = state.card.usedBytes();
        try {
            MemoryBuffer handle = withFallback ? pool.allocateWithFallback(request) : allocate(pool, request);
            EngineBuffer core = coreOf(handle);
            WorldPlace where = state.placeOf((PoolEngine) core.pool());
            if (!where.equals(place)) {
                place.fallbacks++;
                require("fallback", withFallback, () -> "a plain request was served elsewhere");
                if (!refusals.possiblyTooLarge(place, request)) {
                    refusals.requireRefusal(place, request);
                }
            } else if (reserved == null && state.card.usedBytes() > heldBefore) {
                refusals.checkMargins(place, request);
            }
            return adopt(where, handle, core, request);
        } catch (UnsupportedKindException e) {
            require("kinds", !place.has(request.kind()), () -> "refused although the device has it: " + e.getMessage());
        } catch (AllocationTooLargeException e) {
            require("too large", refusals.possiblyTooLarge(place, request), () -> e.getMessage());
            WorldRefusals.checkUnchanged(before, place.pool.stats());
        } catch (DeviceOutOfMemoryException e) {
            WorldRefusals.checkUnchanged(before, place.pool.stats());
            state.tell("refused: %s", e.getMessage());
            refusals.requireRefusal(place, request);
        }
        return null;
    }

    /** By the short way, where there are no further wishes. */
    private static DeviceBuffer allocate(GpuMemoryPool pool, AllocationRequest request) {
        return request.equals(AllocationRequest.of(request.byteSize()))
                ? pool.allocate(request.byteSize())
                : pool.allocate(request);
    }

    private ModelBuffer adopt(WorldPlace place, MemoryBuffer handle, EngineBuffer core, AllocationRequest request) {
        place.open++;
        place.served++;
        long address = SimulatedDevice.addressOf(core.block()) + core.byteOffset();
        ModelBuffer buffer = new ModelBuffer(state.nextNumber(), place.pool, handle, core, address);
        state.tell("  is %s at %s", buffer, address);
        require(
                "I2",
                address % request.byteAlignment() == 0,
                () -> buffer + " lies at " + address + ", asked was alignment " + request.byteAlignment());
        require("size", core.byteSize() == request.byteSize(), () -> "asked " + request + ", got " + buffer);
        place.claim(buffer);
        if (request.zero()) {
            for (int window = 0; window < buffer.windows(); window++) {
                buffer.contents[window] = new byte[buffer.windowSize()];
            }
        }
        state.open.add(buffer);
        return buffer;
    }

    private static EngineBuffer coreOf(MemoryBuffer handle) {
        if (handle instanceof FallbackBuffer fallback) {
            Optional<DeviceBuffer> device = fallback.asGpu();
            return (EngineBuffer) device.or(fallback::asCpu).orElseThrow();
        }
        return (EngineBuffer) handle;
    }

    void closeOne(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, any -> true);
        if (buffer != null) {
            close(buffer, random.nextInt(10) == 0);
        }
    }

    void close(ModelBuffer buffer, boolean twice) {
        state.tell("close %s%s", buffer, twice ? " twice" : "");
        buffer.handle.close();
        if (twice) {
            buffer.handle.close();
            buffer.core.close();
        }
        state.closed(buffer);
    }

    void move(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, ModelBuffer::isSmall);
        if (buffer == null) {
            return;
        }
        WorldPlace target = state.pickPlace(random);
        state.tell("move %s to %s", buffer, target.pool);
        transfers.makeRoomInRing();
        boolean mayRefuse = buffer.held() || !buffer.usesEnded() || transfers.anyPending();
        AllocationRequest request = AllocationRequest.of(buffer.byteSize()).ofKind(buffer.kind);
        try {
            MemoryBuffer handle = buffer.handle;
            if (handle instanceof FallbackBuffer fallback) {
                fallback.moveTo(target.pool);
            } else {
                handle = buffer.core.moveTo(target.pool);
            }
            require("move", !buffer.held() && buffer.usesEnded(), () -> buffer + " was in use");
            state.closed(buffer);
            ModelBuffer moved = adopt(target, handle, coreOf(handle), request);
            System.arraycopy(buffer.contents, 0, moved.contents, 0, buffer.windows());
        } catch (UnsupportedKindException e) {
            require("move", !target.has(buffer.kind), () -> e.getMessage());
        } catch (DeviceOutOfMemoryException e) {
            state.tell("refused: %s", e.getMessage());
            target.served += servedForNothing(target); // the memory was there, staging for the copy was not
        } catch (AllocationTooLargeException e) {
            require("too large", refusals.possiblyTooLarge(target, request), () -> e.getMessage());
        } catch (IllegalStateException e) {
            require("move", mayRefuse, () -> e.getMessage());
        }
    }

    private static long servedForNothing(WorldPlace target) {
        MemoryStats stats = target.pool.stats();
        long more = stats.poolHits() + stats.poolMisses() - target.served;
        require("move", more == 0 || more == 1, () -> more + " requests were served by a move that failed");
        return more;
    }
}
