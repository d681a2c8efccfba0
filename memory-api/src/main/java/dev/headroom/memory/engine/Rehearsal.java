package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Plays requests through on a copy of a heap's book, to find out what the heap would take from the driver for them. It decides
 * as {@link Heap} and {@link BlockList} do, so that what comes out is what will happen, as long as nobody else uses the heap and
 * the driver gives what the budget promises. For one thread.
 */
final class Rehearsal {

    /**
     * How the heap grows.
     *
     * @param largestBlock the largest block, and so the largest buffer
     * @param blockUnit    what sizes of blocks are multiples of
     * @param pieceUnit    what sizes and places of pieces of ranges are multiples of
     * @param ranges       whether there are reserved ranges, with holes that can be filled
     * @param rangeBytes   how long a further range is at least, 0 where none can be reserved
     */
    record Terms(long largestBlock, long blockUnit, long pieceUnit, boolean ranges, long rangeBytes) {}

    /** What is set aside settles in two or three rounds; a book that never does is refused. */
    private static final int ROUNDS = 32;

    private final Tlsf tlsf;
    private final ClassBlocks classes;
    private final Terms terms;

    /** A rehearsal on a copy that is its own. */
    Rehearsal(Tlsf tlsf, ClassBlocks classes, Terms terms) {
        this.tlsf = tlsf;
        this.classes = classes;
        this.terms = terms;
    }

    /**
     * The bytes to set aside in a planned claim so that the requests, one after the other, never need more than it has; empty if
     * there is no such number. Less may be taken, where what lies idle in the heap is enough for some of them.
     */
    OptionalLong growthFor(List<AllocationRequest> requests) {
        long claim = 0;
        for (AllocationRequest request : requests) {
            if (request.byteSize() > terms.largestBlock()) {
                return OptionalLong.empty();
            }
            long bytes = GrowthPolicy.roundUp(request.byteSize(), tlsf.granule());
            claim = bytes > Tlsf.MAX_CAPACITY - claim ? Tlsf.MAX_CAPACITY : claim + bytes;
        }
        claim = GrowthPolicy.roundUp(claim, terms.pieceUnit());
        // How much is taken at once depends on how much is set aside, so that enough is found by trying.
        long enough = claim;
        long tooLittle = -1;
        for (int round = 0; round < ROUNDS; round++) {
            OptionalLong taken = play(requests, enough);
            if (taken.isEmpty() || taken.getAsLong() <= enough) {
                return taken.isEmpty() ? taken : OptionalLong.of(least(requests, tooLittle, taken.getAsLong(), enough));
            }
            tooLittle = enough;
            enough = taken.getAsLong();
        }
        return OptionalLong.empty();
    }

    /** The least that was found to be enough, of what was taken, what is too little and what is enough. */
    private long least(List<AllocationRequest> requests, long tooLittle, long taken, long enough) {
        long unit = terms.pieceUnit();
        long low = tooLittle;
        long high = taken < enough && isEnough(requests, taken) ? taken : enough;
        while (low >= 0 && high - low > unit) {
            long middle = low + Math.max(unit, (high - low) / 2 / unit * unit);
            if (isEnough(requests, middle)) {
                high = middle;
            } else {
                low = middle;
            }
        }
        return high;
    }

    private boolean isEnough(List<AllocationRequest> requests, long claim) {
        OptionalLong taken = play(requests, claim);
        return taken.isPresent() && taken.getAsLong() <= claim;
    }

    /** What would be taken for the requests, with so many bytes set aside. */
    private OptionalLong play(List<AllocationRequest> requests, long claim) {
        Tlsf book = tlsf.copy();
        return new Run(book, classes.copy(book), claim).play(requests);
    }

    /** One time through. */
    private final class Run {

        private final Tlsf book;
        private final ClassBlocks slabs;
        private long left;
        private long taken;

        Run(Tlsf book, ClassBlocks slabs, long claim) {
            this.book = book;
            this.slabs = slabs;
            this.left = claim;
        }

        OptionalLong play(List<AllocationRequest> requests) {
            for (AllocationRequest request : requests) {
                if (!take(request) && !(grow(request) && take(request))) {
                    return OptionalLong.empty();
                }
            }
            return OptionalLong.of(taken);
        }

        private boolean take(AllocationRequest request) {
            return slabs.takeAnywhere(request.byteSize(), request.byteAlignment()) != Tlsf.NONE;
        }

        /** As {@link Heap} grows. False if the book is full. */
        private boolean grow(AllocationRequest request) {
            Tlsf.Growth growth = holes(request);
            if (growth == null && terms.rangeBytes() > 0) {
                long least = GrowthPolicy.roundUp(request.byteSize(), request.byteAlignment());
                long size = GrowthPolicy.roundUp(Math.max(terms.rangeBytes(), least), terms.pieceUnit());
                if (size > Tlsf.MAX_CAPACITY - book.capacity() || book.regionCount() == Tlsf.MAX_REGIONS) {
                    return false;
                }
                int ignored = book.addReservedRegion(size);
                growth = holes(request);
            }
            return growth == null ? addBlock(request.byteSize()) : commit(growth);
        }

        private Tlsf.@Nullable Growth holes(AllocationRequest request) {
            return terms.ranges()
                    ? book.findGrowth(
                            request.byteSize(), request.byteAlignment(), terms.pieceUnit(), BlockList.ENOUGH_HOLES)
                    : null;
        }

        private boolean commit(Tlsf.Growth growth) {
            long ahead = wish(growth.missingBytes()) - growth.missingBytes();
            List<long[]> parts = new ArrayList<>();
            book.forEachHole(
                    growth.region(),
                    growth.byteOffset(),
                    GrowthPolicy.window(growth, book.regionByteSize(growth.region()), ahead, terms.pieceUnit()),
                    (_, offset, size) -> parts.add(new long[] {offset, size}));
            for (long[] part : parts) {
                book.commit(growth.region(), part[0], part[1]);
                charge(part[1]);
            }
            return true;
        }

        private boolean addBlock(long bytes) {
            long needed = GrowthPolicy.roundUp(bytes, terms.blockUnit());
            long size = GrowthPolicy.roundUp(wish(needed), terms.blockUnit());
            if (size > Tlsf.MAX_CAPACITY - book.capacity() || book.regionCount() == Tlsf.MAX_REGIONS) {
                return false;
            }
            int ignored = book.addRegion(size);
            charge(size);
            return true;
        }

        private long wish(long needed) {
            return GrowthPolicy.planned(needed, left, terms.largestBlock());
        }

        private void charge(long bytes) {
            left -= Math.min(left, bytes);
            taken += bytes;
        }
    }
}
