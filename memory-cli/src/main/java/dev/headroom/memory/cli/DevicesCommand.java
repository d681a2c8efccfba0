package dev.headroom.memory.cli;

import dev.headroom.memory.BackendStatus;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.MemoryBudget;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import tools.jackson.core.JsonGenerator;

/** Lists every backend with its devices, or why it is absent. */
@Command(
        name = "devices",
        description = "List every backend with its devices and their memory, or why it is absent and what to do.")
final class DevicesCommand implements Callable<Integer> {

    private static final Duration INTERVAL = Duration.ofSeconds(1);

    private final CommandContext context;

    @Mixin
    private CommonOptions common = new CommonOptions();

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Option(names = "--watch", description = "Show how full the devices are, every second until Ctrl-C.")
    private boolean watch;

    @Option(names = "--times", paramLabel = "N", description = "With --watch: look so many times and end.")
    private Optional<Integer> times = Optional.empty();

    @Spec
    private CommandSpec spec = CommandSpec.create();

    DevicesCommand(CommandContext context) {
        this.context = context;
    }

    /** What the system says about a device, or why it says nothing. */
    private record Figures(Optional<MemoryBudget> budget, String detail) {
        static Figures of(GpuMemory memory, GpuDevice device) {
            try {
                MemoryBudget budget = memory.budget(device);
                return new Figures(Optional.of(budget), budget.detail());
            } catch (GpuMemoryException e) {
                return new Figures(Optional.empty(), String.valueOf(e.getMessage()));
            }
        }

        OptionalLong totalBytes() {
            return budget.isPresent() ? OptionalLong.of(budget.get().totalBytes()) : OptionalLong.empty();
        }

        OptionalLong freeBytes() {
            return budget.isPresent() ? budget.get().freeBytes() : OptionalLong.empty();
        }

        String source() {
            return budget.map(MemoryBudget::source)
                    .orElse(MemoryBudget.Source.UNKNOWN)
                    .label();
        }
    }

    @Override
    public Integer call() {
        common.apply();
        requireSense();
        try (GpuMemory memory = context.memory().get().open()) {
            if (watch) {
                OptionalInt rounds = times.isPresent() ? OptionalInt.of(times.get()) : OptionalInt.empty();
                new DeviceWatch(memory, context.out(), context.terminal(), () -> Thread.sleep(INTERVAL)).run(rounds);
            } else if (json) {
                context.out().println(Json.object(object -> write(object, memory)));
            } else {
                print(memory);
            }
        }
        return ExitCode.OK;
    }

    private void requireSense() {
        if (watch && json) {
            throw new ParameterException(spec.commandLine(), "--watch shows text: leave out --json");
        }
        if (times.isPresent() && !watch) {
            throw new ParameterException(spec.commandLine(), "--times counts the looks of --watch: add --watch");
        }
        if (times.isPresent() && times.get() < 1) {
            throw new ParameterException(spec.commandLine(), "--times is " + times.get() + ": must be 1 or more");
        }
    }

    private void print(GpuMemory memory) {
        for (BackendStatus status : memory.backends()) {
            if (!status.available()) {
                context.out()
                        .println(status.name() + ": absent, because "
                                + status.reason().orElse("it says nothing"));
                status.hint().ifPresent(hint -> context.out().println("  what to do: " + hint));
                continue;
            }
            context.out().println(status.name() + ":");
            for (GpuDevice device : status.devices()) {
                context.out()
                        .println("  " + describe(device, Figures.of(memory, device))
                                + memory.sharing(device)
                                        .map(text -> ", " + text)
                                        .orElse(""));
            }
        }
        context.out()
                .println("recommended: "
                        + memory.recommended().map(GpuDevice::toString).orElse("none"));
    }

    private static String describe(GpuDevice device, Figures figures) {
        StringBuilder text = new StringBuilder(
                device.id() + "  " + device.name() + "  " + device.deviceClass().label() + "  ");
        figures.totalBytes()
                .ifPresent(total -> text.append(ByteSize.format(total)).append(" total, "));
        if (figures.freeBytes().isPresent()) {
            text.append(ByteSize.format(figures.freeBytes().getAsLong())).append(" free");
        } else {
            text.append("free unknown");
        }
        return text + " (" + figures.source() + ": " + figures.detail() + ")";
    }

    private static void write(JsonGenerator json, GpuMemory memory) {
        json.writeNumberProperty("schema", 1);
        Json.array(json, "backends", memory.backends(), status -> {
            json.writeStringProperty("name", status.name());
            json.writeBooleanProperty("available", status.available());
            Json.text(json, "reason", status.reason());
            Json.text(json, "hint", status.hint());
            Json.array(json, "devices", status.devices(), device -> write(json, memory, device));
        });
        Json.object(json, "recommended", memory.recommended(), device -> {
            json.writeStringProperty("backend", device.backend());
            json.writeNumberProperty("device", device.index());
            json.writeStringProperty("name", device.name());
        });
    }

    private static void write(JsonGenerator json, GpuMemory memory, GpuDevice device) {
        Figures figures = Figures.of(memory, device);
        json.writeNumberProperty("index", device.index());
        json.writeStringProperty("name", device.name());
        json.writeStringProperty("kind", device.deviceClass().label());
        Json.number(json, "totalBytes", figures.totalBytes());
        Json.number(json, "freeBytes", figures.freeBytes());
        json.writeStringProperty("freeSource", figures.source());
        json.writeStringProperty("freeDetail", figures.detail());
        Json.text(json, "physicalId", device.physicalId().label());
        json.writeStringProperty("domain", memory.domain(device).id());
        write(json, "sameMemoryAs", memory.sameMemoryAs(device));
        write(json, "perhapsSameMemoryAs", memory.perhapsSameMemoryAs(device));
    }

    private static void write(JsonGenerator json, String name, List<GpuDevice> devices) {
        json.writeArrayPropertyStart(name);
        devices.forEach(device -> json.writeString(device.id()));
        json.writeEndArray();
    }
}
