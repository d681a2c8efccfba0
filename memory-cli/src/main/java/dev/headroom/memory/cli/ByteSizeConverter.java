package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a size above zero. */
final class ByteSizeConverter implements ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
        long bytes;
        try {
            bytes = ByteSize.parse(text);
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(e.getMessage());
        }
        if (bytes == 0) {
            throw new TypeConversionException("\"" + text + "\" is no size to ask for: must be above 0");
        }
        return bytes;
    }
}
