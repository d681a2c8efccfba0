package dev.headroom.memory.cli;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.Selection;
import dev.headroom.memory.Verdict;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.core.JsonGenerator;

/** Says where a number of bytes fits. */
@Command(name = "select", description = "Say where a model of SIZE fits: the device chosen, and the verdict on each.")
final class SelectCommand implements Callable<Integer> {

    private final CommandContext context;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Mixin
    private CommonOptions common = new CommonOptions();

    @Parameters(paramLabel = "SIZE", converter = ByteSizeConverter.class, description = "How much, such as 7.2GiB.")
    private long bytes;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            converter = BackendConverter.class,
            description = "Only this backend, such as cuda, or this device, such as cuda:1.")
    private BackendPreference backend = BackendPreference.auto();

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    SelectCommand(CommandContext context) {
        this.context = context;
    }

    @Override
    public Integer call() {
        common.apply();
        try (GpuMemory memory = context.memory().get().open()) {
            Selection selection = Choices.explain(memory, bytes, backend, spec);
            context.out().println(json ? Json.object(object -> write(object, selection)) : selection.explain());
            return selection.chosen().isPresent() ? ExitCode.OK : ExitCode.FAILED;
        }
    }

    /** The fields of a selection; a plan has one inside. */
    static void write(JsonGenerator json, Selection selection) {
        json.writeNumberProperty("schema", 1);
        json.writeNumberProperty("requiredBytes", selection.requiredBytes());
        Json.object(json, "chosen", selection.chosen(), device -> {
            json.writeStringProperty("backend", device.backend());
            json.writeNumberProperty("device", device.index());
            json.writeStringProperty("name", device.name());
        });
        Json.array(json, "verdicts", selection.verdicts(), verdict -> write(json, verdict));
    }

    private static void write(JsonGenerator json, Verdict verdict) {
        json.writeStringProperty("backend", verdict.backend());
        Json.number(
                json,
                "device",
                verdict.device().isPresent()
                        ? OptionalLong.of(verdict.device().get().index())
                        : OptionalLong.empty());
        Json.text(json, "name", verdict.device().map(device -> device.name()));
        json.writeBooleanProperty("fits", verdict.fits());
        Json.number(
                json,
                "totalBytes",
                verdict.budget().isPresent()
                        ? OptionalLong.of(verdict.budget().get().totalBytes())
                        : OptionalLong.empty());
        Json.number(
                json,
                "freeBytes",
                verdict.budget().isPresent() ? verdict.budget().get().freeBytes() : OptionalLong.empty());
        json.writeStringProperty(
                "freeSource",
                verdict.budget()
                        .map(MemoryBudget::source)
                        .orElse(MemoryBudget.Source.UNKNOWN)
                        .label());
        Json.text(json, "freeDetail", verdict.budget().map(MemoryBudget::detail));
        // Of an absent backend nothing is known; of a device that is full it is known that nothing is usable.
        Json.number(
                json,
                "usableBytes",
                verdict.budget().isPresent() ? OptionalLong.of(verdict.usableBytes()) : OptionalLong.empty());
        json.writeNumberProperty("shortBytes", verdict.shortBytes());
        json.writeStringProperty("reason", verdict.reason());
    }
}
