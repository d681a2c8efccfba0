package dev.headroom.memory;

import java.nio.file.Path;
import java.time.Duration;
import java.time.format.DateTimeParseException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.Function;

/** The components of a {@link MemoryConfig} as properties. Pure. */
final class ConfigProperties {

    private static final String PREFIX = "headroom.";
    private static final String NONE = "none";
    private static final String BLOCK_CLASSES = "blockClasses:";

    /** One component: how it is read and written. */
    private record Entry(
            String expected, BiConsumer<MemoryConfig.Builder, String> reader, Function<MemoryConfig, Object> writer) {}

    private static final Map<String, Entry> ENTRIES = entries();

    private ConfigProperties() {}

    static MemoryConfig read(Properties properties) {
        MemoryConfig.Builder builder = MemoryConfig.builder();
        for (String key : new TreeSet<>(properties.stringPropertyNames())) {
            if (key.startsWith(PREFIX)) {
                read(builder, key, properties.getProperty(key).strip());
            }
        }
        return builder.build();
    }

    private static void read(MemoryConfig.Builder builder, String key, String value) {
        Entry entry = ENTRIES.get(key.substring(PREFIX.length()));
        if (entry == null) {
            throw new IllegalArgumentException(
                    key + " is no setting: there are " + PREFIX + "{" + String.join(", ", ENTRIES.keySet()) + "}");
        }
        try {
            entry.reader.accept(builder, value);
            builder.build(); // says which range the value is outside of
        } catch (DateTimeParseException | IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "%s is `%s`: expected %s (%s)".formatted(key, value, entry.expected, e.getMessage()), e);
        }
    }

    static Properties write(MemoryConfig config) {
        Properties properties = new Properties();
        ENTRIES.forEach((name, entry) -> properties.setProperty(PREFIX + name, text(entry.writer.apply(config))));
        return properties;
    }

    private static Map<String, Entry> entries() {
        Map<String, Entry> entries = new LinkedHashMap<>();
        entries.put(
                "gpuMemoryFraction",
                new Entry("a number from 0.1 to 1.0", ConfigProperties::fraction, MemoryConfig::gpuMemoryFraction));
        entries.put("cpuFallbackEnabled", flag(MemoryConfig.Builder::cpuFallback, MemoryConfig::cpuFallbackEnabled));
        entries.put(
                "minFreeBytes",
                size("a size, 0 or more", MemoryConfig.Builder::minFreeBytes, MemoryConfig::minFreeBytes));
        entries.put(
                "tracking",
                new Entry(
                        "one of " + lower(Arrays.toString(TrackingLevel.values())),
                        (builder, value) -> builder.tracking(TrackingLevel.valueOf(value.toUpperCase(Locale.ROOT))),
                        MemoryConfig::tracking));
        entries.put("reclaimLeaked", flag(MemoryConfig.Builder::reclaimLeaked, MemoryConfig::reclaimLeaked));
        entries.put(
                "eventSampling",
                new Entry(
                        "a number from 1 to 1048576",
                        (builder, value) -> builder.eventSampling(Integer.parseInt(value)),
                        MemoryConfig::eventSampling));
        entries.put(
                "pressureInterval",
                duration(
                        "a duration from PT0.01S to P1D",
                        MemoryConfig.Builder::pressureInterval,
                        MemoryConfig::pressureInterval));
        entries.put(
                "maxPooledPerBucket",
                new Entry(
                        "a number, 0 or more",
                        (builder, value) -> builder.maxPooled(Integer.parseInt(value)),
                        MemoryConfig::maxPooledPerBucket));
        entries.put(
                "preAllocateSizes",
                new Entry(
                        "sizes separated by commas, or none",
                        ConfigProperties::preAllocation,
                        config -> config.preAllocate() ? config.preAllocateSizes() : List.of()));
        entries.put(
                "limitBytes",
                optional("a size above 0, or none", MemoryConfig.Builder::limitBytes, MemoryConfig::limitBytes));
        entries.put(
                "fallbackLimitBytes",
                optional(
                        "a size above 0, or none",
                        MemoryConfig.Builder::fallbackLimitBytes,
                        MemoryConfig::fallbackLimitBytes));
        entries.put(
                "stagingBytes",
                size("a size, 1 MiB or more", MemoryConfig.Builder::stagingBytes, MemoryConfig::stagingBytes));
        entries.put(
                "waitTimeout",
                duration("a duration up to P365D", MemoryConfig.Builder::waitTimeout, MemoryConfig::waitTimeout));
        entries.put(
                "closeTimeout",
                duration("a duration up to P365D", MemoryConfig.Builder::closeTimeout, MemoryConfig::closeTimeout));
        entries.put(
                "growthBytes",
                size("a size up to 1 TiB", MemoryConfig.Builder::growthBytes, MemoryConfig::growthBytes));
        entries.put(
                "releaseThresholdBytes",
                size(
                        "a size, 0 or more",
                        MemoryConfig.Builder::releaseThresholdBytes,
                        MemoryConfig::releaseThresholdBytes));
        entries.put(
                "profile",
                new Entry("engine or blockClasses:SIZE", ConfigProperties::profile, config -> text(config.profile())));
        entries.put(
                "idleTrimAfter",
                new Entry(
                        "a duration above 0, up to P365D, or none",
                        (builder, value) -> present(value).map(Duration::parse).ifPresent(builder::idleTrimAfter),
                        MemoryConfig::idleTrimAfter));
        entries.put(
                "outOfMemoryReport",
                new Entry(
                        "a folder, or none",
                        (builder, value) -> present(value).map(Path::of).ifPresent(builder::outOfMemoryReport),
                        MemoryConfig::outOfMemoryReport));
        return entries;
    }

    private static Entry flag(BiConsumer<MemoryConfig.Builder, Boolean> setter, Function<MemoryConfig, Object> writer) {
        return new Entry(
                "true or false",
                (builder, value) -> setter.accept(
                        builder,
                        switch (value) {
                            case "true" -> true;
                            case "false" -> false;
                            default -> throw new IllegalArgumentException("it is neither");
                        }),
                writer);
    }

    private static Entry size(
            String expected, BiConsumer<MemoryConfig.Builder, Long> setter, Function<MemoryConfig, Object> writer) {
        return new Entry(expected, (builder, value) -> setter.accept(builder, ByteSize.parse(value)), writer);
    }

    private static Entry optional(
            String expected, BiConsumer<MemoryConfig.Builder, Long> setter, Function<MemoryConfig, Object> writer) {
        return new Entry(
                expected,
                (builder, value) ->
                        present(value).map(ByteSize::parse).ifPresent(bytes -> setter.accept(builder, bytes)),
                writer);
    }

    private static Entry duration(
            String expected, BiConsumer<MemoryConfig.Builder, Duration> setter, Function<MemoryConfig, Object> writer) {
        return new Entry(expected, (builder, value) -> setter.accept(builder, Duration.parse(value)), writer);
    }

    /** Refuses what the builder would bend into its range: a file should say what is meant. */
    private static void fraction(MemoryConfig.Builder builder, String value) {
        double share = Double.parseDouble(value);
        if (!(share >= 0.1 && share <= 1)) {
            throw new IllegalArgumentException("it is outside");
        }
        builder.fraction(share);
    }

    private static void preAllocation(MemoryConfig.Builder builder, String value) {
        present(value)
                .ifPresent(sizes -> builder.preAllocation(Arrays.stream(sizes.split(",", -1))
                        .map(size -> ByteSize.parse(size.strip()))
                        .toList()));
    }

    private static void profile(MemoryConfig.Builder builder, String value) {
        if (value.startsWith(BLOCK_CLASSES)) {
            builder.profile(PoolProfile.blockClasses(ByteSize.parse(value.substring(BLOCK_CLASSES.length()))));
        } else if (value.equals(PoolProfile.engine().toString())) {
            builder.profile(PoolProfile.engine());
        } else {
            throw new IllegalArgumentException("it is neither");
        }
    }

    private static Optional<String> present(String value) {
        return value.equals(NONE) ? Optional.empty() : Optional.of(value);
    }

    private static String text(Object value) {
        return switch (value) {
            case Optional<?> optional -> optional.map(ConfigProperties::text).orElse(NONE);
            case OptionalLong optional -> optional.isPresent() ? Long.toString(optional.getAsLong()) : NONE;
            case List<?> list ->
                list.isEmpty()
                        ? NONE
                        : String.join(
                                ",", list.stream().map(ConfigProperties::text).toList());
            case PoolProfile.BlockClasses classes -> BLOCK_CLASSES + classes.maxPoolBytes();
            case TrackingLevel level -> lower(level.name());
            default -> value.toString();
        };
    }

    private static String lower(String text) {
        return text.toLowerCase(Locale.ROOT);
    }
}
