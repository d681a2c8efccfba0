package dev.headroom.memory.sim;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A set of byte ranges that melts neighbours together. Not thread-safe. */
final class RangeSet {

    /** A range, its end excluded. */
    record Range(long start, long end) {}

    private final TreeMap<Long, Long> ranges = new TreeMap<>();
    private long size;

    /** Adds a range and tells how many bytes of it are new. */
    long add(long start, long end) {
        long before = size;
        long from = start;
        long to = end;
        Map.Entry<Long, Long> near = ranges.floorEntry(start);
        if (near == null || near.getValue() < start) {
            near = ranges.ceilingEntry(start);
        }
        while (near != null && near.getKey() <= to) {
            from = Math.min(from, near.getKey());
            to = Math.max(to, near.getValue());
            size -= near.getValue() - near.getKey();
            ranges.remove(near.getKey());
            near = ranges.ceilingEntry(from);
        }
        ranges.put(from, to);
        size += to - from;
        return size - before;
    }

    /** Removes a range and tells how many bytes of it were there. */
    long remove(long start, long end) {
        long before = size;
        for (Range part : within(start, end)) {
            Map.Entry<Long, Long> whole = ranges.floorEntry(part.start());
            long wholeStart = whole.getKey();
            long wholeEnd = whole.getValue();
            ranges.remove(wholeStart);
            if (wholeStart < part.start()) {
                ranges.put(wholeStart, part.start());
            }
            if (part.end() < wholeEnd) {
                ranges.put(part.end(), wholeEnd);
            }
            size -= part.end() - part.start();
        }
        return before - size;
    }

    boolean containsAll(long start, long end) {
        Map.Entry<Long, Long> near = ranges.floorEntry(start);
        return near != null && near.getValue() >= end;
    }

    boolean intersects(long start, long end) {
        Map.Entry<Long, Long> near = ranges.lowerEntry(end);
        return near != null && near.getValue() > start;
    }

    /** The parts of a range that are in the set. */
    List<Range> within(long start, long end) {
        List<Range> parts = new ArrayList<>();
        Long first = ranges.floorKey(start);
        for (Map.Entry<Long, Long> entry : ranges.subMap(
                        first == null ? start : first, true, Math.max(start, end), false)
                .entrySet()) {
            long from = Math.max(start, entry.getKey());
            long to = Math.min(end, entry.getValue());
            if (from < to) {
                parts.add(new Range(from, to));
            }
        }
        return parts;
    }

    /** The parts of a range that are not in the set. */
    List<Range> gaps(long start, long end) {
        List<Range> gaps = new ArrayList<>();
        long at = start;
        for (Range part : within(start, end)) {
            if (at < part.start()) {
                gaps.add(new Range(at, part.start()));
            }
            at = part.end();
        }
        if (at < end) {
            gaps.add(new Range(at, end));
        }
        return gaps;
    }

    /** All bytes in the set. */
    long size() {
        return size;
    }
}
