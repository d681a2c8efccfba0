package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Makes a model file of a true shape with invented contents. */
@Command(
        name = "synth",
        description = {
            "Make a GGUF file with the true shape of a known model and invented weights.",
            "A file of that name is replaced, and only once the new one is complete."
        })
final class SynthCommand implements Callable<Integer> {

    private final CommandContext context;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Mixin
    private CommonOptions common = new CommonOptions();

    @Parameters(
            index = "0",
            paramLabel = "SHAPE",
            converter = ShapeConverter.class,
            description = "Such as tinyllama-1.1b or mistral-7b; a wrong one lists all.")
    private Optional<ModelShape> shape = Optional.empty();

    @Parameters(index = "1", paramLabel = "FILE", description = "Where to write.")
    private Path file = Path.of("");

    @Option(names = "--layers", paramLabel = "N", description = "How many layers, if not as many as the model has.")
    private Optional<Integer> layers = Optional.empty();

    @Option(
            names = "--type",
            paramLabel = "T",
            converter = TypeConverter.class,
            description = "How weights are stored: F32, F16, BF16, Q8_0, Q4_0 (unless given) or Q4_K.")
    private DataType type = DataType.Q4_0;

    @Option(names = "--seed", paramLabel = "N", description = "What the weights are made from; 42 unless given.")
    private long seed = 42;

    SynthCommand(CommandContext context) {
        this.context = context;
    }

    @Override
    public Integer call() throws IOException {
        common.apply();
        GgufSynthesizer synthesizer;
        ModelShape wanted;
        try {
            ModelShape known = shape.orElseThrow();
            wanted = layers.isPresent() ? known.withLayers(layers.get()) : known;
            synthesizer = GgufSynthesizer.of(wanted, type, seed);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
        if (!common.isQuiet()) {
            synthesizer.fallbacks().forEach(fallback -> context.err().println("note: " + fallback));
        }
        ProgressLine progress = new ProgressLine(context, common.isQuiet());
        try {
            synthesizer.write(file, (done, total) -> progress.show("writing", done, total));
        } finally {
            progress.clear();
        }
        context.out()
                .println("%s: %s, %s, %s, seed %d: %d tensors, %s"
                        .formatted(
                                file,
                                wanted.name(),
                                PlanReport.layers(wanted.layers()),
                                type,
                                seed,
                                synthesizer.tensors().size(),
                                ByteSize.format(synthesizer.byteSize())));
        return ExitCode.OK;
    }

    /** Finds a shape by name. */
    static final class ShapeConverter implements ITypeConverter<ModelShape> {
        @Override
        public ModelShape convert(String name) {
            try {
                return ModelShape.named(name);
            } catch (IllegalArgumentException e) {
                throw new TypeConversionException(e.getMessage());
            }
        }
    }

    /** Finds a type by name, in any case. */
    static final class TypeConverter implements ITypeConverter<DataType> {
        @Override
        public DataType convert(String name) {
            for (DataType type : DataType.values()) {
                if (type.name().equalsIgnoreCase(name)) {
                    return type;
                }
            }
            throw new TypeConversionException(
                    "there is no type \"" + name + "\"; weights can be F32, F16, BF16, Q8_0, Q4_0 or Q4_K");
        }
    }
}
