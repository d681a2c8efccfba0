package dev.headroom.memory.engine;

import java.util.Arrays;

/** What each granule of some regions is, kept the simple way: a byte for each. Says no when something is not as it should be. */
final class CellMap {

    static final byte HOLE = 0;
    static final byte FREE = 1;
    static final byte USED = 2;

    private final int granule;
    private final byte[][] regions = new byte[64][];
    private long used;
    private long free;
    private int count;

    CellMap(int granule) {
        this.granule = granule;
    }

    void add(int region, int cells, byte state) {
        require(regions[region] == null, "region " + region + " is there already");
        regions[region] = new byte[cells];
        Arrays.fill(regions[region], state);
        free += state == FREE ? cells : 0;
        count++;
    }

    void remove(int region) {
        for (byte cell : regions[region]) {
            require(cell != USED, "a region in use was removed");
            free -= cell == FREE ? 1 : 0;
        }
        regions[region] = null;
        count--;
    }

    int count() {
        return count;
    }

    int cells(int region) {
        return regions[region].length;
    }

    byte at(int region, int cell) {
        return regions[region][cell];
    }

    /** The n-th region there is. */
    int region(int n) {
        int region = -1;
        for (int left = n; left >= 0; left--) {
            do {
                region++;
            } while (regions[region] == null);
        }
        return region;
    }

    /** Bytes become what they were not: each of them must have been {@code from}. */
    void change(int region, long byteOffset, long byteSize, byte from, byte to) {
        require(byteOffset % granule == 0 && byteSize % granule == 0 && byteSize > 0, "not in granules");
        byte[] cells = regions[region];
        int end = (int) ((byteOffset + byteSize) / granule);
        for (int cell = (int) (byteOffset / granule); cell < end; cell++) {
            if (cells[cell] != from) {
                throw new IllegalStateException(
                        "granule %d of region %d is %d, not %d".formatted(cell, region, cells[cell], from));
            }
            cells[cell] = to;
        }
        long changed = byteSize / granule;
        used += to == USED ? changed : from == USED ? -changed : 0;
        free += to == FREE ? changed : from == FREE ? -changed : 0;
    }

    long usedBytes() {
        return used * granule;
    }

    long freeBytes() {
        return free * granule;
    }

    /** The free bytes around a free granule. */
    long freeAround(int region, long byteOffset) {
        byte[] cells = regions[region];
        int from = (int) (byteOffset / granule);
        int to = from;
        while (from > 0 && cells[from - 1] == FREE) {
            from--;
        }
        while (to < cells.length && cells[to] == FREE) {
            to++;
        }
        return (long) (to - from) * granule;
    }

    /** How many cells from one on are in a state, up to some number. */
    int run(int region, int from, byte state, int most) {
        byte[] cells = regions[region];
        int end = from;
        while (end < cells.length && end - from < most && cells[end] == state) {
            end++;
        }
        return end - from;
    }

    /** Whether so many bytes are free together, at such an alignment. */
    boolean fits(long bytes, long alignment) {
        int needed = (int) ((bytes + granule - 1) / granule);
        int step = (int) Math.max(1, alignment / granule);
        for (byte[] cells : regions) {
            int run = 0;
            int last = cells == null ? 0 : cells.length;
            for (int cell = last - 1; cell >= 0; cell--) {
                run = cells[cell] == FREE ? run + 1 : 0;
                if (run >= needed && cell % step == 0) {
                    return true;
                }
            }
        }
        return false;
    }

    /** The number of runs of a state, and the longest in bytes. */
    long[] runs(byte state) {
        long runs = 0;
        long longest = 0;
        for (byte[] cells : regions) {
            for (int cell = 0; cells != null && cell < cells.length; ) {
                int end = cell;
                while (end < cells.length && cells[end] == state) {
                    end++;
                }
                runs += end > cell ? 1 : 0;
                longest = Math.max(longest, end - cell);
                cell = Math.max(end, cell + 1);
            }
        }
        return new long[] {runs, longest * granule};
    }

    static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }

    static void requireSame(String what, long actual, long expected) {
        if (actual != expected) {
            throw new IllegalStateException(what + " is " + actual + ", should be " + expected);
        }
    }
}
