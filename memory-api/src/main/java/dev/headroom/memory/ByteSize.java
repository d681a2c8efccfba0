package dev.headroom.memory;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Sizes as people write and read them: text to bytes, and bytes to text.
 *
 * <p>All units are 1024 based.
 *
 * <table>
 * <caption>Units</caption>
 * <tr><th>unit</th><th>bytes</th></tr>
 * <tr><td>{@code B}, or none</td><td>1</td></tr>
 * <tr><td>{@code KiB}</td><td>1 024</td></tr>
 * <tr><td>{@code MiB}</td><td>1 048 576</td></tr>
 * <tr><td>{@code GiB}</td><td>1 073 741 824</td></tr>
 * <tr><td>{@code TiB}</td><td>1 099 511 627 776</td></tr>
 * </table>
 *
 * <p>{@code KB}, {@code MB}, {@code GB}, {@code TB} and the bare letters {@code K}, {@code M}, {@code G}, {@code T}
 * mean 1000 to some programs and 1024 to others, so they are refused, and the message names the unit to write instead.
 *
 * <p>Threads: this class has no state; every method may be called from any thread. The text never depends on the
 * default locale.
 */
public final class ByteSize {
    private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};
    private static final int BITS_PER_UNIT = 10;
    private static final int UNIT_STEP = 1 << BITS_PER_UNIT;
    private static final Pattern SHAPE = Pattern.compile("([0-9]+)(\\.[0-9]+)? *([A-Za-z]*)");
    private static final Pattern NEGATIVE = Pattern.compile("-\\s*\\.?[0-9].*", Pattern.DOTALL);

    /** No size needs more characters; without a bound a hostile text costs time quadratic in its length. */
    private static final int LONGEST_TEXT = 64;

    private static final String FORMS = "write a whole number of bytes, or a number with B, KiB, MiB, GiB or TiB,"
            + " such as 1073741824, 512MiB or 7.2GiB";

    private ByteSize() {}

    /**
     * Reads a size.
     *
     * <p>Accepted are digits with an optional fraction after a point, then any number of spaces, then an optional unit
     * in any letter case: {@code 1073741824}, {@code 512MiB}, {@code 64 KiB}, {@code 7.2gib}. White space around the
     * text is ignored. A fraction needs {@code KiB} or a larger unit, and the result is rounded down to a whole byte:
     * a limit is never more than what was written. Zero is a size; whether it makes sense is for the caller to say.
     *
     * @param text the text to read
     * @return the size in bytes, 0 to {@link Long#MAX_VALUE}
     * @throws IllegalArgumentException if the text has another form, is negative, uses an ambiguous unit, or names more
     *     than {@link Long#MAX_VALUE} bytes; the message quotes the text and says what is allowed
     */
    public static long parse(String text) {
        Objects.requireNonNull(text, "text");
        String trimmed = text.strip();
        if (trimmed.length() > LONGEST_TEXT) {
            throw new IllegalArgumentException("\"" + trimmed.substring(0, LONGEST_TEXT)
                    + "...\" is not a size (more than " + LONGEST_TEXT + " characters): " + FORMS);
        }
        Matcher shape = SHAPE.matcher(trimmed);
        if (!shape.matches()) {
            String fault = NEGATIVE.matcher(trimmed).matches() ? "\" is negative: " : "\" is not a size: ";
            throw new IllegalArgumentException("\"" + trimmed + fault + FORMS);
        }
        String fraction = Objects.requireNonNullElse(shape.group(2), "");
        int unit = unitOf(shape.group(3), trimmed);
        if (unit == 0 && !fraction.isEmpty()) {
            throw new IllegalArgumentException("\"" + trimmed + "\" is a fraction of a byte: " + FORMS);
        }
        BigInteger bytes = new BigDecimal(shape.group(1) + fraction)
                .multiply(BigDecimal.valueOf(1L << (unit * BITS_PER_UNIT)))
                .toBigInteger();
        if (bytes.bitLength() >= Long.SIZE) {
            throw new IllegalArgumentException(
                    "\"" + trimmed + "\" is too large: allowed are 0 to " + Long.MAX_VALUE + " bytes");
        }
        return bytes.longValue();
    }

    private static int unitOf(String name, String text) {
        if (name.isEmpty()) {
            return 0;
        }
        for (int unit = 0; unit < UNITS.length; unit++) {
            if (name.equalsIgnoreCase(UNITS[unit])) {
                return unit;
            }
        }
        for (int unit = 1; unit < UNITS.length; unit++) {
            String letter = UNITS[unit].substring(0, 1);
            if (name.equalsIgnoreCase(letter) || name.equalsIgnoreCase(letter + "B")) {
                throw new IllegalArgumentException("\"" + text + "\" has the unit " + name
                        + ", which may mean 1000 or 1024 based: write " + UNITS[unit] + " (1024 based)");
            }
        }
        throw new IllegalArgumentException("\"" + text + "\" has the unknown unit " + name + ": " + FORMS);
    }

    /**
     * Writes a size in the largest unit of which it holds at least one.
     *
     * <p>A whole number of units has no decimals ({@code 512 MiB}, {@code 1023 B}); anything else has two, half rounded
     * up ({@code 7.20 GiB}). A text that would round to 1024 moves to the next unit ({@code 1.00 MiB}). {@code TiB} is
     * the largest unit. A negative size, which a difference can be, is written with a minus sign.
     *
     * @param bytes the size in bytes
     * @return the size as text, the same in every locale
     */
    public static String format(long bytes) {
        BigInteger magnitude = BigInteger.valueOf(bytes).abs();
        String sign = bytes < 0 ? "-" : "";
        int unit = Math.clamp((magnitude.bitLength() - 1) / BITS_PER_UNIT, 0, UNITS.length - 1);
        if (magnitude.getLowestSetBit() >= unit * BITS_PER_UNIT || unit == 0) {
            return sign + magnitude.shiftRight(unit * BITS_PER_UNIT) + " " + UNITS[unit];
        }
        BigDecimal rounded = inUnits(magnitude, unit);
        if (rounded.compareTo(BigDecimal.valueOf(UNIT_STEP)) >= 0 && unit < UNITS.length - 1) {
            unit++;
            rounded = inUnits(magnitude, unit);
        }
        return sign + rounded.toPlainString() + " " + UNITS[unit];
    }

    /** {@code bytes / 1024^2} with two decimals, half rounded up: the form of the two types that print MB. */
    static String megabytes(long bytes) {
        return inUnits(BigInteger.valueOf(bytes), 2).toPlainString();
    }

    /** {@code bytes / 1024^3} with two decimals, half rounded up: the form of the types that print GB. */
    static String gigabytes(long bytes) {
        return inUnits(BigInteger.valueOf(bytes), 3).toPlainString();
    }

    private static BigDecimal inUnits(BigInteger bytes, int unit) {
        return new BigDecimal(bytes).divide(BigDecimal.valueOf(1L << (unit * BITS_PER_UNIT)), 2, RoundingMode.HALF_UP);
    }
}
