package dev.headroom.memory.cli;

import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.spi.MemoryBackend;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;

/**
 * One run of the command in this process.
 *
 * @param code its exit code
 * @param out  what it printed
 * @param err  what it complained about
 */
record CommandRun(int code, String out, String err) {

    static CommandRun of(List<? extends MemoryBackend> backends, String... args) {
        return of(backends, false, args);
    }

    static CommandRun of(List<? extends MemoryBackend> backends, boolean terminal, String... args) {
        return of(
                () -> {
                    GpuMemory.Builder builder = GpuMemory.builder();
                    backends.forEach(builder::backend);
                    return builder;
                },
                terminal,
                Calibration.off(),
                args);
    }

    /** With what earlier loads have taught; all other runs learn nothing, and leave the user's file alone. */
    static CommandRun learning(List<? extends MemoryBackend> backends, Path calibration, String... args) {
        return of(
                () -> {
                    GpuMemory.Builder builder = GpuMemory.builder();
                    backends.forEach(builder::backend);
                    return builder;
                },
                false,
                Calibration.at(calibration),
                args);
    }

    /** With the backends of this machine. */
    static CommandRun discovering(String... args) {
        return of(GpuMemory::builder, false, Calibration.off(), args);
    }

    /** With the backends of this machine, and what earlier loads have taught. */
    static CommandRun discoveringAndLearning(Path calibration, String... args) {
        return of(GpuMemory::builder, false, Calibration.at(calibration), args);
    }

    private static CommandRun of(
            Supplier<GpuMemory.Builder> memory, boolean terminal, Calibration calibration, String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        CommandContext context = new CommandContext(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                terminal,
                memory,
                () -> calibration);
        int code = Main.run(context, args);
        return new CommandRun(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /** The lines of the errors. */
    List<String> complaints() {
        return err.lines().toList();
    }

    /** The one JSON object printed, as maps, lists, texts, numbers (long or double), booleans and nulls. */
    Map<String, Object> json() {
        List<Map<String, Object>> all = jsonLines();
        if (all.size() != 1) {
            throw new AssertionError("not one line of JSON: " + out);
        }
        return all.getFirst();
    }

    /** The JSON objects printed, one per line. */
    List<Map<String, Object>> jsonLines() {
        return out.lines().map(CommandRun::parse).toList();
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> parse(String line) {
        try (JsonParser parser = new JsonFactory().createParser(ObjectReadContext.empty(), line)) {
            parser.nextToken();
            return (Map<String, Object>) value(parser);
        }
    }

    private static Object value(JsonParser parser) {
        return switch (parser.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> fields = new LinkedHashMap<>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String name = parser.currentName();
                    parser.nextToken();
                    fields.put(name, value(parser));
                }
                yield fields;
            }
            case START_ARRAY -> {
                List<Object> elements = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    elements.add(value(parser));
                }
                yield elements;
            }
            case VALUE_STRING -> parser.getString();
            case VALUE_NUMBER_INT -> parser.getLongValue();
            case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> throw new AssertionError("no JSON value: " + parser.currentToken());
        };
    }
}
