package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a platform or device says about itself. Numbers of OpenCL have no sign: 32-bit ones become {@code long}, 64-bit
 * ones above {@link Long#MAX_VALUE} are cut to it.
 */
final class ClInfo {

    /** More than any answer, and less than what a broken driver could ask us to allocate. */
    private static final long LONGEST_ANSWER = 1 << 20;

    /** One call that answers by name. */
    @FunctionalInterface
    interface Query {
        int ask(int name, byte @Nullable [] value, long[] byteSize);
    }

    private final String call;
    private final Query query;

    ClInfo(String call, Query query) {
        this.call = call;
        this.query = query;
    }

    /** A text, without the zero at its end and blanks around it. */
    String text(int name) throws DriverException {
        String text = StandardCharsets.UTF_8.decode(bytes(name)).toString();
        int end = text.indexOf('\0');
        return (end < 0 ? text : text.substring(0, end)).strip();
    }

    /** A number of four or eight bytes. */
    long number(int name) throws DriverException {
        return number(name, bytes(name));
    }

    /** A number, where the device knows the name. */
    Optional<Long> numberIfKnown(int name) {
        try {
            return Optional.of(number(name));
        } catch (DriverException unknown) {
            return Optional.empty();
        }
    }

    /** An answer as it is, where the device knows the name and gives so many bytes at least. */
    Optional<ByteBuffer> bytesIfKnown(int name, int atLeast) {
        try {
            return Optional.of(bytes(name)).filter(bytes -> bytes.remaining() >= atLeast);
        } catch (DriverException unknown) {
            return Optional.empty();
        }
    }

    private long number(int name, ByteBuffer bytes) throws DriverException {
        return switch (bytes.remaining()) {
            case Integer.BYTES -> Integer.toUnsignedLong(bytes.getInt());
            case Long.BYTES -> {
                long value = bytes.getLong();
                yield value < 0 ? Long.MAX_VALUE : value;
            }
            default -> throw nonsense(name, bytes.remaining());
        };
    }

    private ByteBuffer bytes(int name) throws DriverException {
        long[] byteSize = new long[1];
        ClError.require(call, query.ask(name, null, byteSize));
        if (byteSize[0] < 0 || byteSize[0] > LONGEST_ANSWER) {
            throw nonsense(name, byteSize[0]);
        }
        byte[] value = new byte[(int) byteSize[0]];
        if (value.length > 0) {
            ClError.require(call, query.ask(name, value, byteSize));
        }
        return ByteBuffer.wrap(value).order(ByteOrder.nativeOrder());
    }

    private DriverException nonsense(int name, long byteSize) {
        return new DriverException(
                DriverException.Kind.UNEXPECTED, 0, call, "an answer of %d bytes to 0x%X".formatted(byteSize, name));
    }
}
