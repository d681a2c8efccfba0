package dev.headroom.memory.cli;

import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PoolReport;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.Selection;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufTensor;
import dev.headroom.memory.model.LoadCancelledException;
import dev.headroom.memory.model.LoadProgress;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelFileException;
import dev.headroom.memory.model.ModelLoader;
import dev.headroom.memory.model.PoolPlacement;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.model.calibration.Correction;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.SplitMode;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.stream.Stream;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Loads a model. */
@Command(
        name = "load",
        description = "Pick the device a model fits on, or split it, load all its tensors, and say how that went.")
final class LoadCommand implements Callable<Integer> {

    private final CommandContext context;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Mixin
    private CommonOptions common = new CommonOptions();

    @ArgGroup(multiplicity = "1")
    private Source source = new Source();

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            converter = BackendConverter.class,
            description = "Only this backend, such as cuda, or this device, such as cuda:1.")
    private BackendPreference backend = BackendPreference.auto();

    @Option(
            names = "--limit",
            paramLabel = "SIZE",
            converter = ByteSizeConverter.class,
            description = "Take no more than this on the device; what does not fit goes to the host.")
    private Optional<Long> limit = Optional.empty();

    @Option(
            names = "--split",
            paramLabel = "MODE",
            converter = ModeConverter.class,
            description =
                    "Plan which layers go where before loading, over devices and the host: balanced, sequential, or "
                            + "spread, which uses several devices even where one has room. With --limit, no device gets more than that.")
    private Optional<SplitMode> split = Optional.empty();

    @Option(names = "--no-fallback", description = "Load all of it onto devices, or nothing.")
    private boolean noFallback;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Copy with so many threads, 1 to 64; 2 unless set, or 1 on a machine with one processor.")
    private int threads = Math.min(2, Runtime.getRuntime().availableProcessors());

    @Option(names = "--verify", description = "Read every byte back and compare it with the file.")
    private boolean verify;

    @Option(
            names = "--report",
            paramLabel = "FILE",
            converter = ReportTarget.Converter.class,
            description =
                    "Write a report on each pool that holds a part of the model, a line of JSON each, to this file; "
                            + "- prints it.")
    private Optional<ReportTarget> reportTarget = Optional.empty();

    @Option(
            names = "--record",
            paramLabel = "FILE",
            converter = LoadRecording.Converter.class,
            description =
                    "Write what the load allocates and frees to this file, for `headroom replay`; where several pools hold a "
                            + "part of the model, what the others do goes to FILE.DEVICE, such as FILE.cuda-1.")
    private Optional<Path> recordTarget = Optional.empty();

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    LoadCommand(CommandContext context) {
        this.context = context;
    }

    /** What to load: a file, or one made for the occasion. */
    static final class Source {

        @Parameters(paramLabel = "MODEL", description = "A GGUF file, or any file of a split one.")
        private Optional<Path> model = Optional.empty();

        @Option(names = "--demo", description = "Load a small model made for the occasion, and verify it.")
        private boolean demo;
    }

    @Override
    public Integer call() throws IOException {
        common.apply();
        if (threads < 1 || threads > ModelLoader.MAX_THREADS) {
            throw new ParameterException(
                    spec.commandLine(), "--threads is " + threads + ": must be from 1 to " + ModelLoader.MAX_THREADS);
        }
        try (GpuMemory memory = context.memory().get().config(config()).open()) {
            // A backend there is not is noticed before a model is made.
            Selection ignored = Choices.explain(memory, 1, backend, spec);
            if (!source.demo) {
                return load(memory, source.model.orElseThrow());
            }
            try (DemoModel demo = new DemoModel()) {
                note("making a demo model: " + demo.describe() + ", " + ByteSize.format(demo.byteSize()));
                ProgressLine progress = new ProgressLine(context, common.isQuiet());
                try {
                    demo.write((done, total) -> progress.show("writing", done, total));
                } finally {
                    progress.clear();
                }
                return load(memory, demo.path());
            }
        }
    }

    private MemoryConfig config() {
        MemoryConfig.Builder config = MemoryConfig.builder().cpuFallback(!noFallback);
        limit.ifPresent(config::limitBytes);
        return config.build();
    }

    private int load(GpuMemory memory, Path path) throws IOException {
        if (reportTarget.isPresent() && reportTarget.get().isSameFileAs(path)) {
            throw new ParameterException(spec.commandLine(), "--report would overwrite the model");
        }
        if (recordTarget.isPresent() && isSameFile(recordTarget.get(), path)) {
            throw new ParameterException(spec.commandLine(), "--record would overwrite the model");
        }
        if (recordTarget.isPresent() && recordTarget.equals(reportTarget.flatMap(ReportTarget::file))) {
            throw new ParameterException(spec.commandLine(), "--report would overwrite the recording");
        }
        GgufFile file = read(path);
        note("%s: %s, %s"
                .formatted(path, Counted.of(file.tensors().size(), "tensor"), ByteSize.format(file.tensorBytes())));
        // A file without tensors needs nothing, but a device all the same.
        long bytes = Math.max(1, file.tensorBytes());
        LearnedBytes loads = LearnedBytes.of(
                source.demo ? Calibration.off() : context.calibration().get(), file);
        Selection selection = select(memory, bytes, loads);
        OptionalLong most = limit.isPresent() ? OptionalLong.of(limit.get()) : OptionalLong.empty();
        Optional<SplitLoad> plan =
                SplitLoad.find(memory, file, selection, new SplitLoad.Wish(split, most, !noFallback));
        Optional<GpuDevice> device =
                plan.map(SplitLoad::main).or(() -> target(file).choose(selection));
        if (device.isEmpty()) {
            return refuse(selection, "no device has room for " + path);
        }
        note(LoadCures.inOptions(describe(selection, device.get(), plan)));
        Optional<Correction> learned = plan.isPresent() ? Optional.empty() : loads.correction(device.get(), bytes);
        learned.ifPresent(correction -> note(ByteSize.format(bytes + correction.highBytes()) + " predicted on "
                + device.get() + ": " + correction.reason()));
        LoadReport report;
        List<PoolReport> poolReports;
        LoadRecording recording = record(memory, device.get(), plan);
        try (recording;
                LoadedModel model = load(memory, file, device.get(), plan)) {
            report = LoadReport.of(model, plan.map(found -> found.plan().placement()), learned);
            // A limit makes a pool take what it may, and not what it would.
            if (limit.isEmpty()) {
                loads.note(model, plan.isPresent());
            }
            poolReports = reportTarget.isPresent() ? reports(model) : List.of();
        } catch (DeviceOutOfMemoryException | AllocationTooLargeException e) {
            return refuse(selection, String.valueOf(e.getMessage()));
        }
        context.out().println(json ? report.json() : report.describe());
        if (reportTarget.isPresent()) {
            reportTarget.get().write(poolReports, context.out());
        }
        recording.describe().forEach(this::note);
        return ExitCode.OK;
    }

    /** Records the pools a part of the model may go to, the chosen device's first, if that is asked for. */
    private LoadRecording record(GpuMemory memory, GpuDevice device, Optional<SplitLoad> split) throws IOException {
        if (recordTarget.isEmpty()) {
            return LoadRecording.none();
        }
        Stream<GpuMemoryPool> planned = split.stream().flatMap(plan -> plan.used().stream());
        Stream<GpuMemoryPool> host = noFallback ? Stream.empty() : memory.standInPool(device).stream();
        List<GpuMemoryPool> pools = Stream.of(Stream.of(memory.pool(device)), planned, host)
                .flatMap(Function.identity())
                .distinct()
                .toList();
        return LoadRecording.begin(recordTarget.get(), pools);
    }

    private static boolean isSameFile(Path one, Path other) throws IOException {
        return Files.exists(one) && Files.exists(other) && Files.isSameFile(one, other);
    }

    /** On all pools that hold a part of the model, the first of them first; on the chosen one if the model is empty. */
    private static List<PoolReport> reports(LoadedModel model) {
        Stream<GpuMemoryPool> holders = model.buffers().values().stream()
                .flatMap(buffer -> buffer.asGpu().or(buffer::asCpu).stream())
                .map(DeviceBuffer::pool);
        return Stream.concat(Stream.of(model.pool()), holders)
                .distinct()
                .map(GpuMemoryPool::report)
                .toList();
    }

    /** What was learned says which device is better. It never sends to the host what a device has room for as it is. */
    private Selection select(GpuMemory memory, long bytes, LearnedBytes loads) {
        Selection careful = Choices.explain(memory, bytes, device -> loads.highBytes(device, bytes), backend, spec);
        if (onDevice(careful)) {
            return careful;
        }
        Selection plain = Choices.explain(memory, bytes, backend, spec);
        return onDevice(plain) || careful.chosen().isEmpty() ? plain : careful;
    }

    private static boolean onDevice(Selection selection) {
        return selection
                .chosen()
                .filter(device -> device.deviceClass() != DeviceClass.HOST)
                .isPresent();
    }

    private static String describe(Selection selection, GpuDevice device, Optional<SplitLoad> split) {
        if (split.isPresent()) {
            Placement placement = split.get().plan().placement();
            boolean needed = selection
                    .chosen()
                    .filter(chosen -> chosen.deviceClass() != DeviceClass.HOST)
                    .isEmpty();
            return (needed ? "no device has room for all of it: " : "as planned: ") + placement.explain();
        }
        return selection.chosen().equals(Optional.of(device))
                ? selection.explain()
                : ByteSize.format(selection.requiredBytes()) + " go to " + device
                        + " as far as they fit, the rest to the host";
    }

    private LoadTarget target(GgufFile file) {
        long smallest =
                file.tensors().stream().mapToLong(GgufTensor::byteSize).min().orElse(1);
        return new LoadTarget(limit.isPresent(), !backend.isAuto(), !noFallback, smallest);
    }

    private LoadedModel load(GpuMemory memory, GgufFile file, GpuDevice device, Optional<SplitLoad> split)
            throws IOException {
        ProgressLine progress = new ProgressLine(context, common.isQuiet());
        try {
            ModelLoader.Builder loader = ModelLoader.builder(memory.pool(device))
                    .fallback(!noFallback)
                    .verify(verify || source.demo)
                    .threads(threads)
                    .progress((stage, done, total, _) -> progress.show(label(stage), done, total));
            if (split.isEmpty()) {
                return loader.build().load(file);
            }
            PoolPlacement plan = split.get().plan();
            try (Reservation reservation = plan.reserve(memory)) {
                return loader.pools(plan.pools(reservation)).build().load(file);
            }
        } catch (ModelFileException | LoadCancelledException e) {
            throw e;
        } catch (IOException e) {
            throw new UnreadableFileException(file.shards().getFirst().path(), e);
        } finally {
            progress.clear();
        }
    }

    private static GgufFile read(Path path) throws IOException {
        try {
            return GgufFile.read(path);
        } catch (ModelFileException e) {
            throw e;
        } catch (ClosedByInterruptException e) {
            throw (IOException) new InterruptedIOException("interrupted before anything was loaded").initCause(e);
        } catch (IOException e) {
            throw new UnreadableFileException(path, e);
        }
    }

    private int refuse(Selection selection, String why) {
        context.err().println("headroom: " + LoadCures.inOptions(why));
        Optional<String> limitText = limit.map(ByteSize::format);
        selection
                .verdicts()
                .forEach(verdict -> context.err()
                        .println("  "
                                + LoadCures.inOptions(
                                        LoadTarget.refusal(verdict, selection.requiredBytes(), limitText))));
        if (selection.verdicts().isEmpty()) {
            throw new GpuMemoryException(selection.explain());
        }
        return ExitCode.FAILED;
    }

    /** A remark on the way, for people. */
    private void note(String text) {
        if (!json && !common.isQuiet()) {
            context.out().println(text);
        }
    }

    /** Reads a way to split. */
    static final class ModeConverter implements ITypeConverter<SplitMode> {
        @Override
        public SplitMode convert(String text) {
            return Arrays.stream(SplitMode.values())
                    .filter(mode -> mode.label().equals(text))
                    .findFirst()
                    .orElseThrow(() -> new TypeConversionException(
                            "there is no split \"" + text + "\"; there are balanced, sequential and spread"));
        }
    }

    private static String label(LoadProgress.Stage stage) {
        return switch (stage) {
            case COPY -> "copying";
            case VERIFY -> "verifying";
        };
    }
}
