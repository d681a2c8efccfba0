package dev.headroom.memory.engine;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Reservation;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

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
        LedgerReservation reservation = new LedgerReservation();
        boolean done = false;
        try {
            bytes.forEach((pool, size) -> reservation.shares.put(pool.device(), new Share(pool, pool.reserve(size))));
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
