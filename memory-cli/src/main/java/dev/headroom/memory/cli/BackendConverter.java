package dev.headroom.memory.cli;

import dev.headroom.memory.BackendPreference;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads {@code auto}, a backend, or a device. Whether there is such a one shows when devices are looked for. */
final class BackendConverter implements ITypeConverter<BackendPreference> {
    @Override
    public BackendPreference convert(String text) {
        try {
            return BackendPreference.parse(text);
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(e.getMessage());
        }
    }
}
