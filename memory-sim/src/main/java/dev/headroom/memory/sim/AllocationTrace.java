package dev.headroom.memory.sim;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a program allocated and freed, in order. A text with one operation on each line:
 *
 * <pre>{@code
 * a ID BYTES    allocates BYTES, 1 or more, and calls them ID
 * f ID          frees ID
 * }</pre>
 *
 * An ID is a number from 0 to 2<sup>63</sup> - 1; once freed it may be used again. Columns after these are ignored, and so are
 * empty lines and lines that begin with {@code #}. What is still allocated at the end stays so. Immutable.
 */
public final class AllocationTrace {

    /** More would not fit in an array. */
    private static final int MOST_OPERATIONS = Integer.MAX_VALUE - 64;

    /** What is shown of a wrong line. */
    private static final int SHOWN = 60;

    private final int operations;
    private final int[] slots;
    private final long[] sizes;
    private final int slotCount;
    private final long allocations;
    private final long peakLiveBytes;

    private AllocationTrace(Reading reading) {
        this.operations = reading.operations;
        this.slots = reading.slots;
        this.sizes = reading.sizes;
        this.slotCount = reading.slotCount;
        this.allocations = reading.allocations;
        this.peakLiveBytes = reading.peakLiveBytes;
    }

    /**
     * Reads a trace.
     *
     * @param file the file, in UTF-8
     * @return the trace
     * @throws MalformedTraceException if a line is none of the above, allocates what is allocated, or frees what is not
     * @throws IOException             if the file cannot be read
     */
    public static AllocationTrace read(Path file) throws IOException {
        Reading reading = new Reading(file.toString());
        try (BufferedReader lines = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                reading.add(line);
            }
        } catch (MalformedInputException e) {
            reading.line++; // the one that could not be read
            throw reading.wrong("is not text in UTF-8", e);
        }
        return new AllocationTrace(reading);
    }

    /**
     * Reads a trace.
     *
     * @param name  what it is called in errors
     * @param lines its lines
     * @return the trace
     * @throws MalformedTraceException as {@link #read}
     */
    public static AllocationTrace of(String name, Iterable<String> lines) throws MalformedTraceException {
        Reading reading = new Reading(name);
        for (String line : lines) {
            reading.add(line);
        }
        return new AllocationTrace(reading);
    }

    /**
     * How many operations there are.
     *
     * @return allocations and frees
     */
    public int operations() {
        return operations;
    }

    /**
     * How many of them are allocations.
     *
     * @return allocations
     */
    public long allocations() {
        return allocations;
    }

    /**
     * The most bytes that are allocated at one time.
     *
     * @return bytes as asked for, without rounding
     */
    public long peakLiveBytes() {
        return peakLiveBytes;
    }

    /** How many places for allocations are needed at one time. */
    int slotCount() {
        return slotCount;
    }

    /** The place an operation is about. */
    int slot(int operation) {
        return slots[operation];
    }

    /** The bytes an operation allocates; 0 if it frees. */
    long byteSize(int operation) {
        return sizes[operation];
    }

    /** A trace that is being read. */
    private static final class Reading {
        private final String name;
        private final Map<Long, Integer> live = new HashMap<>();
        private int[] slots = new int[1024];
        private long[] sizes = new long[1024];
        private int[] spare = new int[64];
        private long[] sizeOfSlot = new long[64];
        private int spareCount;
        private int slotCount;
        private int operations;
        private long allocations;
        private long line;
        private long liveBytes;
        private long peakLiveBytes;

        private Reading(String name) {
            this.name = name;
        }

        private void add(String text) throws MalformedTraceException {
            line++;
            String stripped = text.strip();
            if (stripped.isEmpty() || stripped.charAt(0) == '#') {
                return;
            }
            String[] words = stripped.split("\\s+", 4);
            if (words[0].equals("a") && words.length >= 3) {
                allocate(number("ID", words[1], 0, text), number("BYTES", words[2], 1, text));
            } else if (words[0].equals("f") && words.length >= 2) {
                free(number("ID", words[1], 0, text));
            } else {
                throw wrong("is `" + shown(text) + "`, expected `a ID BYTES` or `f ID`", null);
            }
        }

        private void allocate(long id, long bytes) throws MalformedTraceException {
            int slot = spareCount > 0 ? spare[spareCount - 1] : slotCount;
            if (live.putIfAbsent(id, slot) != null) {
                throw wrong("allocates " + id + ", which is allocated already and was not freed", null);
            }
            if (spareCount > 0) {
                spareCount--;
            } else {
                slotCount++;
                sizeOfSlot = slot < sizeOfSlot.length ? sizeOfSlot : Arrays.copyOf(sizeOfSlot, 2 * slot);
            }
            try {
                liveBytes = Math.addExact(liveBytes, bytes);
            } catch (ArithmeticException e) {
                throw wrong("allocates " + bytes + " bytes, and all together exceed 2^63", e);
            }
            sizeOfSlot[slot] = bytes;
            peakLiveBytes = Math.max(peakLiveBytes, liveBytes);
            allocations++;
            push(slot, bytes);
        }

        private void free(long id) throws MalformedTraceException {
            Integer slot = live.remove(id);
            if (slot == null) {
                throw wrong("frees " + id + ", which is not allocated", null);
            }
            liveBytes -= sizeOfSlot[slot];
            spare = spareCount < spare.length ? spare : Arrays.copyOf(spare, 2 * spareCount);
            spare[spareCount++] = slot;
            push(slot, 0);
        }

        private void push(int slot, long bytes) throws MalformedTraceException {
            if (operations == slots.length) {
                if (operations == MOST_OPERATIONS) {
                    throw wrong("is one operation too many: a trace has at most " + MOST_OPERATIONS, null);
                }
                int more = (int) Math.min(2L * operations, MOST_OPERATIONS);
                slots = Arrays.copyOf(slots, more);
                sizes = Arrays.copyOf(sizes, more);
            }
            slots[operations] = slot;
            sizes[operations++] = bytes;
        }

        private long number(String what, String word, long least, String text) throws MalformedTraceException {
            try {
                long value = Long.parseLong(word);
                if (value >= least) {
                    return value;
                }
            } catch (NumberFormatException e) {
                // told below
            }
            throw wrong(
                    "has `%s` for %s, expected a number from %d to %d: `%s`"
                            .formatted(shown(word), what, least, Long.MAX_VALUE, shown(text)),
                    null);
        }

        private MalformedTraceException wrong(String what, @Nullable Throwable cause) {
            return new MalformedTraceException(name, line, what, cause);
        }

        private static String shown(String text) {
            String printable = text.codePoints()
                    .limit(SHOWN)
                    .map(c -> Character.isISOControl(c) ? '?' : c)
                    .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                    .toString();
            return printable.length() < text.length() ? printable + "..." : printable;
        }
    }
}
