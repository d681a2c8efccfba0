package dev.headroom.memory.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a run measured, by name: {@code hot/PEER/BYTES/THREADS} and {@code mixed/PEER/THREADS} in ns per pair, {@code
 * trace/PEER/KIND} in ns per operation, {@code virtual/PEER} in ns per pair and carrier, {@code garbage/PEER/BYTES} in bytes per
 * pair, {@code memory/POLICY/KIND} as a multiple of the live bytes that move; what {@link LoadRate} adds. Not thread-safe.
 */
final class Figures {

    private static final Pattern LINE =
            Pattern.compile("\\s*\"([a-z0-9/-]+)\": \\{\"value\": ([-0-9.E]+), \"spread\": ([-0-9.E]+)\\},?");

    /**
     * A figure.
     *
     * @param value  the median
     * @param spread half of what the middle half of the measurements spans, as a share of the median
     */
    record Figure(double value, double spread) {}

    private final SortedMap<String, Figure> all = new TreeMap<>();

    /** Adds a figure. */
    void put(String name, double value, double spread) {
        all.put(name, new Figure(value, spread));
    }

    /** Adds the median of one or more measurements, with its spread. */
    void putMedian(String name, List<Double> measurements) {
        List<Double> sorted = measurements.stream().sorted().toList();
        double median = sorted.get(sorted.size() / 2);
        double span = sorted.get(sorted.size() * 3 / 4) - sorted.get(sorted.size() / 4);
        put(name, median, span / 2 / median);
    }

    /** A figure's value, if it was measured. */
    Optional<Double> value(String name) {
        return Optional.ofNullable(all.get(name)).map(Figure::value);
    }

    /** All figures by name, sorted. */
    SortedMap<String, Figure> all() {
        return all;
    }

    /** Writes them as JSON, a line each. */
    void write(Path file, String kind) throws IOException {
        StringBuilder text = new StringBuilder();
        text.append("{\n\"schema\": 1,\n\"run\": \"").append(kind).append("\",\n");
        text.append("\"java\": \"").append(Runtime.version()).append("\",\n");
        text.append("\"processors\": ")
                .append(Runtime.getRuntime().availableProcessors())
                .append(",\n\"figures\": {\n");
        int left = all.size();
        for (Map.Entry<String, Figure> entry : all.entrySet()) {
            Figure figure = entry.getValue();
            text.append(String.format(
                    Locale.ROOT,
                    "  \"%s\": {\"value\": %.4f, \"spread\": %.4f}%s%n",
                    entry.getKey(),
                    figure.value(),
                    figure.spread(),
                    --left > 0 ? "," : ""));
        }
        Files.writeString(file, text.append("}\n}\n"));
    }

    /** Reads what {@link #write} wrote. */
    static Figures read(Path file) throws IOException {
        Figures figures = new Figures();
        for (String line : Files.readAllLines(file)) {
            Matcher matcher = LINE.matcher(line);
            if (matcher.matches()) {
                figures.put(
                        matcher.group(1), Double.parseDouble(matcher.group(2)), Double.parseDouble(matcher.group(3)));
            }
        }
        if (figures.all.isEmpty()) {
            throw new IOException(file + " has no figures: expected what ./bench wrote");
        }
        return figures;
    }
}
