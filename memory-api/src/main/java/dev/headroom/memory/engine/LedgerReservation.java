package dev.headroom.memory.engine;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Reservation;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiFunction;

/** Bytes set aside in the ledgers of one or more devices. */
public final class LedgerReservation implements Reservation {

    /** A pool and what is set aside there. */
    private record Share(PoolEngine pool, DomainLedger.Claim claim) {}

    private final Map<GpuDevice, Share> shares = new LinkedHashMap<>();

    private LedgerReservation() {}

    /**
     * Sets bytes aside on all pools or on none.
     *
     * @param bytes how many on which
     * @return the reservation
     * @throws dev.headroom.memory.DeviceOutOfMemoryException if one of them has no room
     */
    public static LedgerReservation of(Map<PoolEngine, Long> bytes) {
        return of(bytes, PoolEngine::reserve);
    }

    /**
     * Sets aside on all pools, or on none, what known buffers will take there.
     *
     * @param byteSizes the sizes on which, in the order in which they will be allocated
     * @return the reservation
     * @throws dev.headroom.memory.DeviceOutOfMemoryException if one of them has no room
     * @throws dev.headroom.memory.AllocationTooLargeException if a buffer can never lie in its pool
     * @throws IllegalArgumentException if two of the pools are of one device
     */
    public static LedgerReservation ofBuffers(Map<PoolEngine, List<Long>> byteSizes) {
        return of(byteSizes, PoolEngine::reserveBuffers);
    }

    private static <T> LedgerReservation of(
            Map<PoolEngine, T> wanted, BiFunction<PoolEngine, T, DomainLedger.Claim> reserving) {
        LedgerReservation reservation = new LedgerReservation();
        boolean done = false;
        try {
            wanted.forEach((pool, what) -> {
                if (reservation.shares.containsKey(pool.device())) {
                    throw new IllegalArgumentException("two of the pools are of " + pool.device());
                }
                reservation.shares.put(pool.device(), new Share(pool, reserving.apply(pool, what)));
            });
            done = true;
            return reservation;
        } finally {
            if (!done) {
                reservation.close();
            }
        }
    }

    @Override
    public Set<GpuDevice> devices() {
        return Set.copyOf(shares.keySet());
    }

    @Override
    public long remainingBytes(GpuDevice device) {
        Share share = share(device);
        return share.pool().ledger().remaining(share.claim());
    }

    @Override
    public GpuMemoryPool pool(GpuDevice device) {
        Share share = share(device);
        return new ReservedPool(share.pool(), share.claim());
    }

    @Override
    public void close() {
        shares.values().forEach(share -> share.pool().cancel(share.claim()));
    }

    private Share share(GpuDevice device) {
        Share share = shares.get(Objects.requireNonNull(device, "device"));
        if (share == null) {
            throw new IllegalArgumentException(
                    "nothing was reserved on " + device + "; reserved is " + shares.keySet());
        }
        return share;
    }
}
