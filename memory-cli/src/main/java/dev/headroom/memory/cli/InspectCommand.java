package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.ModelFile;
import dev.headroom.memory.model.ModelFileException;
import dev.headroom.memory.model.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.core.JsonGenerator;

/** Judges model files by their headers. */
@Command(
        name = "inspect",
        description = "Judge model files: one line for each with format, whether it is valid, tensors and bytes.",
        footer = {"", "Exit code 3 if one of them is invalid or cannot be read."})
final class InspectCommand implements Callable<Integer> {

    private final CommandContext context;

    @Mixin
    private CommonOptions common = new CommonOptions();

    @Parameters(paramLabel = "FILE", arity = "1..*", description = "Model files.")
    private List<Path> files = List.of();

    @Option(names = "--json", description = "Print one JSON object per line.")
    private boolean json;

    InspectCommand(CommandContext context) {
        this.context = context;
    }

    /** What a valid file holds; a configuration holds no tensors. */
    private record Contents(String format, String words, OptionalLong tensors, OptionalLong bytes) {

        static Contents of(Path path) throws IOException {
            Optional<ModelFile.Format> format = ModelFile.formatOf(path);
            if (format.isPresent() && format.get() == ModelFile.Format.SAFETENSORS) {
                SafetensorsFile file = SafetensorsFile.read(path);
                int files = file.files().size();
                return counted(
                        format.get(),
                        "safetensors" + (files > 1 ? " in " + files + " files" : ""),
                        file.tensors().size(),
                        file.tensorBytes());
            }
            if (format.isPresent() && format.get() == ModelFile.Format.CONFIG) {
                ModelFile file = ModelFile.read(path);
                return new Contents(
                        format.get().label(),
                        "configuration of " + file.architecture() + ", " + Counted.of(file.layers(), "layer"),
                        OptionalLong.empty(),
                        OptionalLong.empty());
            }
            GgufFile file = GgufFile.read(path);
            int shards = file.shards().size();
            return counted(
                    ModelFile.Format.GGUF,
                    "GGUF version " + file.shards().getFirst().version()
                            + (shards > 1 ? " in " + shards + " files" : ""),
                    file.tensors().size(),
                    file.tensorBytes());
        }

        private static Contents counted(ModelFile.Format format, String words, int tensors, long bytes) {
            return new Contents(
                    format.label(),
                    "%s, %s, %s".formatted(words, Counted.of(tensors, "tensor"), ByteSize.format(bytes)),
                    OptionalLong.of(tensors),
                    OptionalLong.of(bytes));
        }
    }

    /** What there is to say about one file: what it holds, or what is wrong with it. */
    private record Judgement(Path path, Optional<String> format, Optional<Contents> contents, Optional<String> error) {
        static Judgement of(Path path) {
            try {
                Contents contents = Contents.of(path);
                return new Judgement(path, Optional.of(contents.format()), Optional.of(contents), Optional.empty());
            } catch (ModelFileException e) {
                return new Judgement(path, format(path), Optional.empty(), Optional.of(String.valueOf(e.getMessage())));
            } catch (IOException e) {
                String reason = String.valueOf(new UnreadableFileException(path, e).getMessage());
                return new Judgement(path, Optional.empty(), Optional.empty(), Optional.of(reason));
            }
        }

        private static Optional<String> format(Path path) {
            try {
                return ModelFile.formatOf(path).map(ModelFile.Format::label);
            } catch (IOException e) {
                return Optional.empty();
            }
        }
    }

    @Override
    public Integer call() {
        common.apply();
        int code = ExitCode.OK;
        for (Path file : files) {
            Judgement judgement = Judgement.of(file);
            context.out().println(json ? Json.object(object -> write(object, judgement)) : describe(judgement));
            if (judgement.contents().isEmpty()) {
                code = ExitCode.INVALID_FILE;
            }
        }
        return code;
    }

    private static String describe(Judgement judgement) {
        if (judgement.contents().isEmpty()) {
            String path = judgement.path().toString();
            String error = judgement.error().orElse("").replace(path, PlainText.escaped(path));
            return "invalid  " + error.replace("\n", "; ");
        }
        return "valid    %s: %s"
                .formatted(judgement.path(), judgement.contents().get().words());
    }

    private static void write(JsonGenerator json, Judgement judgement) {
        json.writeStringProperty("file", judgement.path().toString());
        Json.text(json, "format", judgement.format());
        json.writeBooleanProperty("valid", judgement.contents().isPresent());
        Json.text(json, "error", judgement.error());
        Optional<Contents> contents = judgement.contents();
        Json.number(json, "tensors", contents.isPresent() ? contents.get().tensors() : OptionalLong.empty());
        Json.number(json, "tensorBytes", contents.isPresent() ? contents.get().bytes() : OptionalLong.empty());
    }
}
