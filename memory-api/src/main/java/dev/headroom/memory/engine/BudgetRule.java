package dev.headroom.memory.engine;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryPressure;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * How much may still be taken: the one formula, for selection, growth and reports alike. Pure.
 *
 * <ul>
 *   <li>With an absolute limit: min(limit - blocks of this pool, free).
 *   <li>Otherwise: min(total x fraction - ledger, free - minFree).
 *   <li>Where nothing tells what is free: min(0.8, fraction) x total - ledger.
 * </ul>
 *
 * Reserved bytes are never offered. Bytes granted after the free figure was read are taken off it, and where the figure
 * lags behind grants, it is not believed to be above what was free at open less what was granted since.
 *
 * @param config   fraction and minimum free
 * @param limit    an absolute limit, which replaces both
 * @param baseline free bytes at open, for a figure that lags
 */
record BudgetRule(
        MemoryConfig config, OptionalLong limit, @Nullable Baseline baseline) {

    /**
     * The free figure when a pool opened.
     *
     * @param freeBytes what was free
     * @param heldBytes what the ledger held then
     */
    record Baseline(long freeBytes, long heldBytes) {}

    /**
     * What the system said, and how far the ledger was then.
     *
     * @param budget         total and free
     * @param completedBytes the ledger's {@code completedBytes} just before
     */
    record Reading(MemoryBudget budget, long completedBytes) {}

    /**
     * The outcome.
     *
     * @param usableBytes    what may still be taken
     * @param overdrawnBytes what has to be given back before anything may be taken
     * @param ceilingBytes   the most this pool could hold on an empty device
     * @param bound          what binds
     * @param words          the margins in words; put together only when somebody asks, for each growth asks for the figures
     */
    record Allowance(long usableBytes, long overdrawnBytes, long ceilingBytes, Bound bound, Supplier<String> words) {

        /** What is said where nothing was asked. */
        static final Allowance NONE = new Allowance(0, 0, 0, Bound.FREE, () -> "no figures");

        /** The margins in words. */
        String terms() {
            return words.get();
        }

        /** How much has to be given back before so many bytes may be taken. */
        long missingBytes(long neededBytes) {
            return Math.max(0, neededBytes - usableBytes + overdrawnBytes);
        }

        /** Whether the limit, not memory, is what binds. */
        boolean byLimit() {
            return bound == Bound.LIMIT;
        }

        /** What gives so many bytes more, in words. */
        String cure(long shortBytes) {
            String bytes = ByteSize.format(shortBytes);
            return switch (bound) {
                case LIMIT -> "raise limitBytes by " + bytes;
                case SHARE -> "raise gpuMemoryFraction";
                case GUESS -> "set limitBytes, because nothing tells how much is free";
                case MIN_FREE -> "free " + bytes + " on the device or lower minFreeBytes";
                case FREE -> "free " + bytes + " on the device";
            };
        }
    }

    /** What keeps a pool from taking more. */
    enum Bound {
        /** The absolute limit. */
        LIMIT,
        /** The fraction of a device that tells what is free. */
        SHARE,
        /** The fraction of a device that does not. */
        GUESS,
        /** What is to be left free. */
        MIN_FREE,
        /** What there is. */
        FREE
    }

    static BudgetRule of(MemoryConfig config) {
        return new BudgetRule(config, config.limitBytes(), null);
    }

    /** What may be taken, as a number. */
    long usable(Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        return Math.max(0, room(reading, ledger, poolBytes));
    }

    /** What could be taken once so many bytes of this pool, blocks that are idle, are given back. */
    long usableWithout(long idleBytes, Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        MemoryBudget budget = reading.budget();
        MemoryBudget then = budget.freeBytes().isEmpty() || budget.lagging()
                ? budget // idle memory that was never touched is free already
                : new MemoryBudget(
                        budget.totalBytes(),
                        OptionalLong.of(budget.freeBytes().getAsLong() + idleBytes),
                        budget.source(),
                        budget.detail(),
                        false,
                        budget.readAtNanos());
        DomainLedger.Figures less = new DomainLedger.Figures(
                ledger.heldBytes() - idleBytes,
                ledger.reservedBytes(),
                ledger.inFlightBytes(),
                ledger.completedBytes());
        return usable(new Reading(then, reading.completedBytes()), less, poolBytes - idleBytes);
    }

    /** What may be taken, with the reasons. */
    Allowance allowance(Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        long room = room(reading, ledger, poolBytes);
        return new Allowance(
                Math.max(0, room),
                Math.max(0, -room),
                ceiling(reading.budget()),
                bound(reading, ledger, poolBytes),
                () -> terms(reading.budget(), ledger, poolBytes));
    }

    /** The most a pool could hold on an empty device. */
    long ceiling(MemoryBudget budget) {
        return limit.isPresent()
                ? Math.min(limit.getAsLong(), budget.totalBytes())
                : (long) (budget.totalBytes() * share(budget));
    }

    /** How full the device is, or the limit where one is set; low where nothing is known. */
    MemoryPressure pressure(Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        OptionalDouble used = usedShare(reading, ledger, poolBytes);
        return used.isPresent() ? MemoryPressure.of(used.getAsDouble()) : MemoryPressure.LOW;
    }

    /** The share of the device that is used, or of the limit where one is set; empty where nothing is known. */
    OptionalDouble usedShare(Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        if (limit.isPresent()) {
            return OptionalDouble.of(poolBytes / (double) limit.getAsLong());
        }
        MemoryBudget budget = reading.budget();
        double room = budget.totalBytes() * (budget.freeBytes().isPresent() ? 1 : share(budget));
        if (room == 0) {
            return OptionalDouble.empty();
        }
        long used = budget.freeBytes().isPresent()
                ? budget.totalBytes() - budget.freeBytes().getAsLong() + unseen(reading, ledger)
                : ledger.heldBytes();
        return OptionalDouble.of(used / room);
    }

    private Bound bound(Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        long own = ownRoom(reading.budget(), ledger, poolBytes);
        if (limit.isPresent()) {
            long left = limit.getAsLong() - poolBytes;
            return left <= own && left <= freeRoom(reading, ledger) ? Bound.LIMIT : Bound.FREE;
        }
        if (own > freeRoom(reading, ledger)) {
            return config.minFreeBytes() > 0 ? Bound.MIN_FREE : Bound.FREE;
        }
        if (reading.budget().source() == MemoryBudget.Source.UNKNOWN) {
            return Bound.GUESS;
        }
        return config.gpuMemoryFraction() < 1 ? Bound.SHARE : Bound.FREE; // there is no more to be had than all
    }

    /** What may be taken; below 0 where more is held than would be allowed today. */
    private long room(Reading reading, DomainLedger.Figures ledger, long poolBytes) {
        return Math.min(ownRoom(reading.budget(), ledger, poolBytes), freeRoom(reading, ledger));
    }

    private long ownRoom(MemoryBudget budget, DomainLedger.Figures ledger, long poolBytes) {
        long taken = ledger.heldBytes() + ledger.reservedBytes();
        return limit.isPresent()
                ? Math.min(limit.getAsLong() - poolBytes, budget.totalBytes() - taken)
                : ceiling(budget) - taken;
    }

    private long freeRoom(Reading reading, DomainLedger.Figures ledger) {
        MemoryBudget budget = reading.budget();
        if (budget.freeBytes().isEmpty()) {
            return Long.MAX_VALUE;
        }
        long free = budget.freeBytes().getAsLong() - unseen(reading, ledger);
        if (budget.lagging() && baseline != null) {
            free = Math.min(free, baseline.freeBytes() - (ledger.heldBytes() - baseline.heldBytes()));
        }
        return free - ledger.reservedBytes() - (limit.isPresent() ? 0 : config.minFreeBytes());
    }

    /** Bytes granted after the free figure was read. */
    private static long unseen(Reading reading, DomainLedger.Figures ledger) {
        return ledger.inFlightBytes() + ledger.completedBytes() - reading.completedBytes();
    }

    private double share(MemoryBudget budget) {
        return budget.source() == MemoryBudget.Source.UNKNOWN
                ? Math.min(MemoryBudget.UNKNOWN_FREE_SHARE, config.gpuMemoryFraction())
                : config.gpuMemoryFraction();
    }

    private String terms(MemoryBudget budget, DomainLedger.Figures ledger, long poolBytes) {
        StringBuilder text = new StringBuilder();
        if (limit.isPresent()) {
            text.append("limit ").append(ByteSize.format(limit.getAsLong()));
            text.append(" less ").append(ByteSize.format(poolBytes)).append(" held by this pool");
        } else {
            text.append(String.format(Locale.ROOT, "%s x %.2f", ByteSize.format(budget.totalBytes()), share(budget)));
            text.append(" less ").append(ByteSize.format(ledger.heldBytes())).append(" held by this process");
        }
        if (budget.freeBytes().isPresent()) {
            text.append("; ")
                    .append(ByteSize.format(budget.freeBytes().getAsLong()))
                    .append(" free, ");
            text.append(budget.source().label());
            if (limit.isEmpty()) {
                text.append(", less ")
                        .append(ByteSize.format(config.minFreeBytes()))
                        .append(" kept free");
            }
        } else {
            text.append("; nothing tells how much is free");
        }
        if (ledger.reservedBytes() > 0) {
            text.append("; ").append(ByteSize.format(ledger.reservedBytes())).append(" reserved");
        }
        return text.toString();
    }
}
