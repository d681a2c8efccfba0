package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.ModelFileException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
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

    private static final String MAGIC = "GGUF";

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

    /** What there is to say about one file: what it holds, or what is wrong with it. */
    private record Judgement(Path path, Optional<String> format, Optional<GgufFile> model, Optional<String> error) {
        static Judgement of(Path path) {
            try {
                GgufFile model = GgufFile.read(path);
                return new Judgement(path, Optional.of("gguf"), Optional.of(model), Optional.empty());
            } catch (ModelFileException e) {
                return new Judgement(path, format(path), Optional.empty(), Optional.of(String.valueOf(e.getMessage())));
            } catch (IOException e) {
                String reason = String.valueOf(new UnreadableModelException(path, e).getMessage());
                return new Judgement(path, Optional.empty(), Optional.empty(), Optional.of(reason));
            }
        }

        private static Optional<String> format(Path path) {
            if (!Files.isRegularFile(path)) {
                return Optional.empty();
            }
            try (InputStream in = Files.newInputStream(path)) {
                String start = new String(in.readNBytes(MAGIC.length()), StandardCharsets.ISO_8859_1);
                return start.equals(MAGIC) ? Optional.of("gguf") : Optional.empty();
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
            if (judgement.model().isEmpty()) {
                code = ExitCode.INVALID_FILE;
            }
        }
        return code;
    }

    private static String describe(Judgement judgement) {
        if (judgement.model().isEmpty()) {
            return "invalid  " + judgement.error().orElse("").replace("\n", "; ");
        }
        GgufFile model = judgement.model().get();
        int shards = model.shards().size();
        return "valid    %s: GGUF version %d%s, %d tensors, %s"
                .formatted(
                        judgement.path(),
                        model.shards().getFirst().version(),
                        shards > 1 ? " in " + shards + " files" : "",
                        model.tensors().size(),
                        ByteSize.format(model.tensorBytes()));
    }

    private static void write(JsonGenerator json, Judgement judgement) {
        json.writeStringProperty("file", judgement.path().toString());
        Json.text(json, "format", judgement.format());
        json.writeBooleanProperty("valid", judgement.model().isPresent());
        Json.text(json, "error", judgement.error());
        Optional<GgufFile> model = judgement.model();
        Json.number(
                json,
                "tensors",
                model.isPresent() ? OptionalLong.of(model.get().tensors().size()) : OptionalLong.empty());
        Json.number(
                json,
                "tensorBytes",
                model.isPresent() ? OptionalLong.of(model.get().tensorBytes()) : OptionalLong.empty());
    }
}
