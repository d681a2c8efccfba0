package dev.headroom.memory.testkit;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Contents that show whose bytes they are: every byte depends on a number, on how often that number was written, and on
 * the place. Memory handed out twice, copied to the wrong place or left over from an earlier owner does not match.
 *
 * @param id         whose bytes they are
 * @param generation how often they were written
 */
public record BytePattern(long id, long generation) {

    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    private static final ValueLayout.OfLong LITTLE = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /**
     * A pattern.
     *
     * @param id         whose bytes they are
     * @param generation how often they were written
     * @return the pattern
     */
    public static BytePattern of(long id, long generation) {
        return new BytePattern(id, generation);
    }

    /**
     * One byte.
     *
     * @param byteOffset its place, from 0
     * @return the byte
     */
    public byte at(long byteOffset) {
        return (byte) (word(byteOffset >>> 3) >>> ((byteOffset & 7) * 8));
    }

    /**
     * Writes the pattern, from its beginning.
     *
     * @param target where it goes
     */
    public void writeTo(MemorySegment target) {
        long words = target.byteSize() >>> 3;
        for (long i = 0; i < words; i++) {
            target.set(LITTLE, i << 3, word(i));
        }
        for (long i = words << 3; i < target.byteSize(); i++) {
            target.set(ValueLayout.JAVA_BYTE, i, at(i));
        }
    }

    /**
     * Looks for the pattern.
     *
     * @param actual     bytes that should match
     * @param byteOffset which byte of the pattern they begin with
     * @return where the first byte is that does not match, or -1 if all do
     */
    public long mismatch(MemorySegment actual, long byteOffset) {
        long i = 0;
        if ((byteOffset & 7) == 0) {
            long words = actual.byteSize() >>> 3;
            while (i < words && actual.get(LITTLE, i << 3) == word((byteOffset >>> 3) + i)) {
                i++;
            }
            i <<= 3;
        }
        while (i < actual.byteSize()) {
            if (actual.get(ValueLayout.JAVA_BYTE, i) != at(byteOffset + i)) {
                return i;
            }
            i++;
        }
        return -1;
    }

    /**
     * Fails unless bytes match the pattern from its beginning.
     *
     * @param actual bytes that should match
     * @throws AssertionError that says where they differ
     */
    public void requireIn(MemorySegment actual) {
        requireIn(actual, 0);
    }

    /**
     * Fails unless bytes match the pattern.
     *
     * @param actual     bytes that should match
     * @param byteOffset which byte of the pattern they begin with
     * @throws AssertionError that says where they differ
     */
    public void requireIn(MemorySegment actual, long byteOffset) {
        long at = mismatch(actual, byteOffset);
        if (at >= 0) {
            throw new AssertionError("byte %d of %d is 0x%02x, but %s has 0x%02x there"
                    .formatted(
                            at, actual.byteSize(), actual.get(ValueLayout.JAVA_BYTE, at), this, at(byteOffset + at)));
        }
    }

    private long word(long index) {
        long z = (id * GOLDEN) ^ Long.rotateLeft(generation * 0xD1B54A32D192ED03L, 32) ^ (index * 0x94D049BB133111EBL);
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        return z ^ (z >>> 31);
    }
}
