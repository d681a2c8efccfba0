package dev.headroom.memory.cli;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.DataType;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.Selection;
import dev.headroom.memory.model.FootprintOptions;
import dev.headroom.memory.model.FootprintOptions.LatentCache;
import dev.headroom.memory.model.FootprintOptions.Overhead;
import dev.headroom.memory.model.FootprintPlacement;
import dev.headroom.memory.model.FootprintTerm.Kind;
import dev.headroom.memory.model.ModelFile;
import dev.headroom.memory.model.ModelFileException;
import dev.headroom.memory.model.ModelFootprint;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementMachine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.ToLongFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Says what a model needs, term by term, and where that fits. */
@Command(
        name = "plan",
        description = "Say what a model needs, term by term and how sure each is, and where it fits.",
        footer = {"", "Only headers are read. Exit code 1 if it fits nowhere."})
final class PlanCommand implements Callable<Integer> {

    private static final Map<String, String> OPTIONS = Map.of(
            "contextLength", "--context",
            "gpuLayers", "--gpu-layers",
            "batch", "--batch",
            "ubatch", "--ubatch",
            "sequences", "--sequences",
            "marginBytes", "--margin");

    private final CommandContext context;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Mixin
    private CommonOptions common = new CommonOptions();

    @Parameters(
            paramLabel = "MODEL",
            description = "A GGUF file, a safetensors file, a config.json, or a folder with one.")
    private Path model = Path.of("");

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens of context for all sequences together; the smaller of 4096 and what the model was "
                    + "trained for unless given.")
    private Optional<Long> contextLength = Optional.empty();

    @Option(names = "--batch", paramLabel = "N", description = "Tokens taken in at once; 2048 unless given.")
    private long batch = 2048;

    @Option(names = "--ubatch", paramLabel = "N", description = "Tokens computed at once; 512 unless given.")
    private long ubatch = 512;

    @Option(names = "--sequences", paramLabel = "N", description = "Texts worked on at once; 1 unless given.")
    private long sequences = 1;

    @Option(
            names = "--kv-type",
            paramLabel = "T",
            converter = KvType.class,
            description =
                    "Type of keys and values: f32, f16 (unless given), bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl.")
    private Optional<DataType> kvType = Optional.empty();

    @Option(names = "--k-type", paramLabel = "T", converter = KvType.class, description = "Type of the keys alone.")
    private Optional<DataType> keyType = Optional.empty();

    @Option(names = "--v-type", paramLabel = "T", converter = KvType.class, description = "Type of the values alone.")
    private Optional<DataType> valueType = Optional.empty();

    @Option(
            names = "--flash-attention",
            paramLabel = "on|off",
            converter = SwitchConverter.class,
            description = "Whether the engine uses flash attention; off unless given.")
    private Switch flashAttention = Switch.OFF;

    @Option(names = "--swa-full", description = "Window layers hold the whole context.")
    private boolean fullWindows;

    @Option(names = "--kv-unified", description = "All sequences share one cache; each has its own unless given.")
    private boolean unifiedCache;

    @Option(
            names = "--gpu-layers",
            paramLabel = "N",
            description =
                    "Layers on the device, from the last; one more than there are adds the output. All unless given.")
    private Optional<Long> gpuLayers = Optional.empty();

    @Option(
            names = "--mla",
            paramLabel = "LAYOUT",
            converter = Layout.class,
            description =
                    "Cache of latent layers: latent, latent-k (keys only), expanded; as the file says unless given.")
    private LatentCache latentCache = LatentCache.BY_FILE;

    @Option(
            names = "--margin",
            paramLabel = "SIZE",
            converter = ByteSizeConverter.class,
            description = "Room to leave besides; none unless given, as devices have a margin of their own.")
    private Optional<Long> margin = Optional.empty();

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            converter = BackendConverter.class,
            description = "Only this backend, such as cuda, or this device, such as cuda:1.")
    private BackendPreference backend = BackendPreference.auto();

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    PlanCommand(CommandContext context) {
        this.context = context;
    }

    @Override
    public Integer call() throws IOException {
        common.apply();
        FootprintOptions.Builder options = options();
        ModelFile file = read(model);
        try (GpuMemory memory = context.memory().get().open()) {
            Selection candidates = Choices.explain(memory, 1, backend, spec);
            // A backend that was asked for and is the host has one memory for all; other hosts are only a last resort.
            boolean onHost = !backend.isAuto() && onlyHost(candidates);
            options.onHost(onHost).overhead(onlyHost(candidates) ? Overhead.NONE : Overhead.NEW_CONTEXT);
            ModelFootprint plain = footprint(file, options);
            LearnedBytes loads = LearnedBytes.of(context.calibration().get(), file);
            ToLongFunction<GpuDevice> learned = device -> loads.highBytes(device, plain.bytes(Kind.WEIGHTS));
            Selection selection = Choices.explain(memory, Math.max(1, plain.totalBytes()), learned, backend, spec);
            ModelFootprint footprint = judged(selection)
                    .flatMap(device -> loads.correction(device, plain.bytes(Kind.WEIGHTS)))
                    .map(plain::withLearned)
                    .orElse(plain);
            Placement placement =
                    FootprintPlacement.plan(file, footprint.options(), PlacementMachine.of(memory, selection, learned));
            PlanReport report = new PlanReport(file, footprint, backend, selection, placement);
            if (json) {
                context.out().println(Json.object(report::write));
            } else {
                report.print(context.out());
            }
            return selection.chosen().isPresent() || placement.fits() ? ExitCode.OK : ExitCode.FAILED;
        }
    }

    /** The device whose need is the selection's: the one chosen, or else the first. */
    private static Optional<GpuDevice> judged(Selection selection) {
        return selection
                .chosen()
                .or(() -> selection.verdicts().stream()
                        .flatMap(verdict -> verdict.device().stream())
                        .findFirst());
    }

    private static boolean onlyHost(Selection candidates) {
        return candidates.verdicts().stream()
                .flatMap(verdict -> verdict.device().stream())
                .map(GpuDevice::deviceClass)
                .allMatch(DeviceClass.HOST::equals);
    }

    private FootprintOptions.Builder options() {
        DataType both = kvType.orElse(DataType.F16);
        FootprintOptions.Builder options = FootprintOptions.builder()
                .batch(batch)
                .ubatch(ubatch)
                .sequences(sequences)
                .kvTypes(keyType.orElse(both), valueType.orElse(both))
                .flashAttention(flashAttention == Switch.ON)
                .fullWindows(fullWindows)
                .unifiedCache(unifiedCache)
                .latentCache(latentCache);
        contextLength.ifPresent(options::contextLength);
        gpuLayers.ifPresent(options::gpuLayers);
        margin.ifPresent(options::marginBytes);
        try {
            FootprintOptions ignored = options.build();
            return options;
        } catch (IllegalArgumentException e) {
            throw usage(e);
        }
    }

    private ModelFootprint footprint(ModelFile file, FootprintOptions.Builder options) {
        try {
            return file.footprint(options.build());
        } catch (IllegalArgumentException e) {
            throw usage(e);
        }
    }

    /** What the library calls a field, the user calls an option. */
    private ParameterException usage(IllegalArgumentException e) {
        String text = String.valueOf(e.getMessage());
        for (Map.Entry<String, String> field : OPTIONS.entrySet()) {
            if (text.startsWith(field.getKey() + " ")) {
                text = field.getValue() + text.substring(field.getKey().length());
            }
        }
        text = text.replace("flash attention: turn it on", "--flash-attention on: add it");
        return new ParameterException(spec.commandLine(), text, e);
    }

    private static ModelFile read(Path path) throws IOException {
        try {
            return ModelFile.read(path);
        } catch (ModelFileException e) {
            throw e;
        } catch (IOException e) {
            throw new UnreadableFileException(path, e);
        }
    }

    /** Reads a type a cache can have. */
    static final class KvType implements ITypeConverter<DataType> {
        @Override
        public DataType convert(String text) {
            return DataType.tryParse(text)
                    .filter(FootprintOptions.KV_TYPES::contains)
                    .orElseThrow(() -> new TypeConversionException("there is no cache type \"" + text
                            + "\"; there are f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 and iq4_nl"));
        }
    }

    /** On or off. */
    enum Switch {
        ON,
        OFF
    }

    /** Reads {@code on} or {@code off}. */
    static final class SwitchConverter implements ITypeConverter<Switch> {
        @Override
        public Switch convert(String text) {
            return switch (text) {
                case "on" -> Switch.ON;
                case "off" -> Switch.OFF;
                default -> throw new TypeConversionException("\"" + text + "\" is neither on nor off");
            };
        }
    }

    /** Reads a layout of latent caches. */
    static final class Layout implements ITypeConverter<LatentCache> {
        @Override
        public LatentCache convert(String text) {
            return switch (text) {
                case "latent" -> LatentCache.LATENT;
                case "latent-k" -> LatentCache.LATENT_KEY_ONLY;
                case "expanded" -> LatentCache.EXPANDED;
                default ->
                    throw new TypeConversionException(
                            "there is no layout \"" + text + "\"; there are latent, latent-k and expanded");
            };
        }
    }
}
