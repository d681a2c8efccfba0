package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.AllocationTrace;
import dev.headroom.memory.sim.MalformedTraceException;
import dev.headroom.memory.sim.TraceReplay;
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.core.JsonGenerator;

/** Runs a recorded trace through the engine, over a simulated device. */
@Command(
        name = "replay",
        description = {
            "Run an allocation trace through the pool engine, over a simulated device, and say what it comes to.",
            "A trace has a line for each operation: `a ID BYTES` allocates, `f ID` frees."
        },
        footer = {"", "Exit code 1 if an allocation found no room, 3 if the trace is malformed or cannot be read."})
final class ReplayCommand implements Callable<Integer> {

    private final CommandContext context;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Mixin
    private CommonOptions common = new CommonOptions();

    @Parameters(paramLabel = "TRACE", description = "The trace.")
    private Path trace = Path.of("");

    @Option(
            names = "--device-bytes",
            paramLabel = "SIZE",
            converter = ByteSizeConverter.class,
            description = "How much memory the device has. Default: more than any trace needs.")
    private long deviceBytes = TraceReplay.AMPLE_BYTES;

    /** What the driver can do. */
    private enum Switch {
        on,
        off
    }

    @Option(
            names = "--virtual-memory",
            paramLabel = "on|off",
            description = "Whether the driver backs address ranges piece by piece, as CUDA does. Default: on.")
    private Switch virtualMemory = Switch.on;

    @Option(names = "--config", paramLabel = "FILE", description = "Settings of the pool, a properties file.")
    private Optional<Path> config = Optional.empty();

    @Option(names = "--search", description = "Try settings, and print the best as a properties file.")
    private boolean search;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    ReplayCommand(CommandContext context) {
        this.context = context;
    }

    @Override
    public Integer call() throws IOException {
        common.apply();
        MemoryConfig settings = config.isPresent() ? read(config.get()) : MemoryConfig.defaults();
        AllocationTrace operations = trace();
        TraceReplay replay = new TraceReplay(operations, deviceBytes, virtualMemory == Switch.on, settings);
        TraceSearch.Found found = search ? TraceSearch.best(replay) : new TraceSearch.Found(replay, replay.run(), 1);
        if (json) {
            context.out().println(Json.object(object -> write(object, found)));
        } else {
            print(found);
        }
        return found.result().failedAllocations() == 0 ? ExitCode.OK : ExitCode.FAILED;
    }

    private AllocationTrace trace() throws IOException {
        try {
            return AllocationTrace.read(trace);
        } catch (MalformedTraceException e) {
            throw e;
        } catch (IOException e) {
            throw new UnreadableFileException(trace, e);
        }
    }

    private MemoryConfig read(Path file) throws IOException {
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
            properties.load(reader);
            return MemoryConfig.of(properties);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), file + ": " + e.getMessage(), e);
        } catch (IOException e) {
            throw new ParameterException(
                    spec.commandLine(), String.valueOf(new UnreadableFileException(file, e).getMessage()), e);
        }
    }

    private void print(TraceSearch.Found found) {
        TraceReplay.Result result = found.result();
        String mark = search ? "# " : "";
        line(
                mark,
                "operations",
                "%d, of them %d allocations",
                result.operations(),
                found.replay().trace().allocations());
        line(mark, "time", "%.1f ns per operation", result.nanosPerOperation());
        line(mark, "peak live", "%s", ByteSize.format(result.peakLiveBytes()));
        line(
                mark,
                "peak reserved",
                "%s, %.3f of live",
                ByteSize.format(result.peakReservedBytes()),
                (double) result.peakReservedBytes() / Math.max(1, result.peakLiveBytes()));
        line(mark, "reserved at end", "%s", ByteSize.format(result.endReservedBytes()));
        line(mark, "driver calls", "%d", result.driverCalls());
        line(mark, "failed", "%d allocations", result.failedAllocations());
        if (search) {
            line(mark, "settings", "the best of %d", found.tried());
            settings(found.replay()).forEach((key, value) -> context.out().println(key + "=" + value));
        }
    }

    private void line(String mark, String name, String format, Object... values) {
        context.out().println(mark + "%-16s ".formatted(name) + String.format(Locale.ROOT, format, values));
    }

    private void write(JsonGenerator object, TraceSearch.Found found) {
        TraceReplay.Result result = found.result();
        object.writeNumberProperty("schema", 1);
        object.writeNumberProperty("operations", result.operations());
        object.writeNumberProperty("nanosPerOperation", result.nanosPerOperation());
        object.writeNumberProperty("peakLiveBytes", result.peakLiveBytes());
        object.writeNumberProperty("peakReservedBytes", result.peakReservedBytes());
        object.writeNumberProperty("endReservedBytes", result.endReservedBytes());
        object.writeNumberProperty("driverCalls", result.driverCalls());
        object.writeNumberProperty("failedAllocations", result.failedAllocations());
        object.writeObjectPropertyStart("settings");
        settings(found.replay()).forEach(object::writeStringProperty);
        object.writeEndObject();
    }

    /** Those a search tries, and what else is not the default. */
    private static SortedMap<String, String> settings(TraceReplay replay) {
        Properties defaults = MemoryConfig.defaults().toProperties();
        SortedMap<String, String> settings = new TreeMap<>();
        for (Map.Entry<Object, Object> entry : replay.config().toProperties().entrySet()) {
            String key = entry.getKey().toString();
            String value = entry.getValue().toString();
            if (TraceSearch.TRIED.contains(key) || !value.equals(defaults.getProperty(key))) {
                settings.put(key, value);
            }
        }
        return settings;
    }
}
