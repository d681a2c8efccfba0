package dev.headroom.memory.model;

import dev.headroom.memory.model.FootprintTerm.Certainty;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A model as it lies on a disk, in any format known here, and what it needs.
 *
 * {@snippet lang = java :
 * ModelFile model = ModelFile.read(Path.of("Qwen3-8B"));
 * ModelFootprint footprint = model.footprint(FootprintOptions.defaults());
 * System.out.println(footprint.totalBytes());
 * }
 *
 * <table>
 * <caption>What can be named</caption>
 * <tr><th>path</th><th>weights come from</th><th>geometry comes from</th></tr>
 * <tr><td>a GGUF file, or any shard of one</td><td>its tensors</td><td>its keys</td></tr>
 * <tr><td>a folder with {@code config.json}, or that file</td><td>the safetensors beside it; else
 *     {@code total_size} of the index; else a formula</td><td>{@code config.json}</td></tr>
 * <tr><td>a safetensors file or an index</td><td>the same</td><td>the {@code config.json} beside it</td></tr>
 * </table>
 *
 * <p>Only headers are read. Immutable; may be used by any thread.
 */
public final class ModelFile {

    private static final String CONFIG = "config.json";
    private static final String INDEX = "model.safetensors.index.json";
    private static final String PYTORCH_INDEX = "pytorch_model.bin.index.json";
    private static final String SINGLE = "model.safetensors";

    private final Path path;
    private final Format format;
    private final ModelFacts facts;
    private final WeightFacts weights;

    private ModelFile(Path path, Format format, ModelFacts facts, WeightFacts weights) {
        this.path = path;
        this.format = format;
        this.facts = facts;
        this.weights = weights;
    }

    /** Where the facts came from. */
    public enum Format {
        /** A GGUF file. */
        GGUF("gguf"),
        /** Safetensors and a configuration. */
        SAFETENSORS("safetensors"),
        /** A configuration, and perhaps the index of files that are not there. */
        CONFIG("config");

        private final String label;

        Format(String label) {
            this.label = label;
        }

        /**
         * The name in reports.
         *
         * @return for example {@code gguf}
         */
        public String label() {
            return label;
        }
    }

    /**
     * Reads a model's headers.
     *
     * @param path a file or folder as in the table above
     * @return the model
     * @throws ModelFileException if a file is not one that can be trusted, or does not say enough to tell what it needs
     * @throws java.nio.file.NoSuchFileException if there is no such file
     * @throws IOException if reading fails
     */
    public static ModelFile read(Path path) throws IOException {
        if (Files.isDirectory(path)) {
            return folder(path, path);
        }
        FileStart start = FileStart.of(path);
        if (start.isGguf()) {
            GgufFile file = GgufFile.read(path);
            ModelFacts facts = GgufFacts.of(file);
            return new ModelFile(
                    path,
                    Format.GGUF,
                    facts,
                    GgufWeights.of(file, facts.layers().size()));
        }
        String name = String.valueOf(path.getFileName());
        if (start.isSafetensors() || name.endsWith(".safetensors")) {
            return safetensors(path, name);
        }
        if (start.isJson()) {
            return name.equals(CONFIG) || name.endsWith(".index.json")
                    ? folder(path, folderOf(path))
                    : configuration(path, ConfigFile.read(path));
        }
        throw start.refuse(path, "a GGUF file, a safetensors file or a configuration", "model");
    }

    /**
     * Tells the format of a file by its first bytes and its name, without judging it.
     *
     * @param path a file or folder
     * @return the format, or empty if it is none known here
     * @throws ModelFileException if it is neither a regular file nor a folder
     * @throws IOException if it cannot be read
     */
    public static Optional<Format> formatOf(Path path) throws IOException {
        if (Files.isDirectory(path)) {
            return Files.exists(path.resolve(CONFIG)) ? Optional.of(Format.CONFIG) : Optional.empty();
        }
        FileStart start = FileStart.of(path);
        String name = String.valueOf(path.getFileName());
        if (start.isGguf()) {
            return Optional.of(Format.GGUF);
        }
        if (start.isSafetensors() || name.endsWith(".safetensors") || name.endsWith(".index.json")) {
            return Optional.of(Format.SAFETENSORS);
        }
        return start.isJson() && name.endsWith(".json") ? Optional.of(Format.CONFIG) : Optional.empty();
    }

    private static Path folderOf(Path file) {
        return file.resolveSibling("");
    }

    private static ModelFile safetensors(Path path, String name) throws IOException {
        Path folder = folderOf(path);
        Path index = folder.resolve(INDEX);
        if (Files.exists(index) && SafetensorsIndex.read(index).shards().contains(name)) {
            return folder(path, folder);
        }
        SafetensorsFile file = SafetensorsFile.read(path);
        Path config = folder.resolve(CONFIG);
        if (!Files.exists(config)) {
            throw new ModelFileException(
                    path,
                    "a " + CONFIG + " beside it",
                    "none",
                    "safetensors files do not say what they are a model of; put its " + CONFIG + " into the folder");
        }
        return of(path, ConfigFile.read(config), file);
    }

    private static ModelFile folder(Path path, Path folder) throws IOException {
        Path config = folder.resolve(CONFIG);
        if (!Files.exists(config)) {
            throw new ModelFileException(
                    path,
                    "a folder with a " + CONFIG,
                    "none",
                    "name the model file itself, or a folder of Hugging Face");
        }
        ConfigFile configuration = ConfigFile.read(config);
        if (Files.exists(folder.resolve(INDEX))) {
            SafetensorsIndex index = SafetensorsIndex.read(folder.resolve(INDEX));
            // An index without any of its files tells the sum; with some of them it is a model with files missing.
            for (int i = 0; i < index.shards().size(); i++) {
                if (index.isSafetensors() && Files.exists(index.shard(i))) {
                    return of(path, configuration, SafetensorsFile.read(index));
                }
            }
            return indexed(path, configuration, index);
        }
        if (Files.exists(folder.resolve(SINGLE))) {
            return of(path, configuration, SafetensorsFile.read(folder.resolve(SINGLE)));
        }
        if (Files.exists(folder.resolve(PYTORCH_INDEX))) {
            return indexed(path, configuration, SafetensorsIndex.read(folder.resolve(PYTORCH_INDEX)));
        }
        return configuration(path, configuration);
    }

    private static ModelFile configuration(Path path, ConfigFile config) throws IOException {
        ModelFacts facts = ConfigFacts.of(config);
        return new ModelFile(path, Format.CONFIG, facts, ConfigWeights.of(config, facts));
    }

    private static ModelFile indexed(Path path, ConfigFile config, SafetensorsIndex index) throws IOException {
        if (index.totalSize().isEmpty()) {
            return configuration(path, config);
        }
        ModelFacts facts = ConfigFacts.of(config);
        WeightFacts formula = ConfigWeights.of(config, facts);
        boolean counted = formula.certainty() == Certainty.EXACT;
        String reason = "total_size of " + index.path().getFileName();
        WeightFacts weights = ConfigWeights.ofTotal(
                config,
                facts,
                index.totalSize().getAsLong(),
                counted ? formula.parameters() : OptionalLong.empty(),
                reason);
        return new ModelFile(path, Format.CONFIG, facts, weights);
    }

    private static ModelFile of(Path path, ConfigFile config, SafetensorsFile file) throws IOException {
        ModelFacts facts = ConfigFacts.of(config);
        long values = 0;
        for (SafetensorsTensor tensor : file.tensors()) {
            values = Saturated.plus(values, tensor.elements());
        }
        WeightFacts weights = ConfigWeights.ofTotal(
                config,
                facts,
                file.tensorBytes(),
                OptionalLong.of(values),
                "the sum of " + file.tensors().size() + " tensors");
        return new ModelFile(
                path,
                Format.SAFETENSORS,
                facts,
                SafetensorsWeights.of(file, weights).orElse(weights));
    }

    /**
     * What was read.
     *
     * @return the path as it was named
     */
    public Path path() {
        return path;
    }

    /**
     * Where the facts came from.
     *
     * @return the format
     */
    public Format format() {
        return format;
    }

    /**
     * What the file calls its architecture, for example {@code llama}.
     *
     * @return the name
     */
    public String architecture() {
        return facts.architecture();
    }

    /**
     * The number of parameters. Packed values are counted as they are stored.
     *
     * @return the number, or empty if the file does not tell
     */
    public OptionalLong parameters() {
        return weights.parameters();
    }

    /**
     * The number of blocks, those of draft heads included.
     *
     * @return 1 or more
     */
    public int layers() {
        return facts.layers().size();
    }

    /**
     * The tokens of context the model was trained for.
     *
     * @return the number, or empty if the file does not say
     */
    public OptionalLong trainedContextLength() {
        return facts.contextLength() > 0 ? OptionalLong.of(facts.contextLength()) : OptionalLong.empty();
    }

    /**
     * What the model needs.
     *
     * @param options how it will be run
     * @return the terms
     * @throws IllegalArgumentException if the options and the model do not go together
     */
    public ModelFootprint footprint(FootprintOptions options) {
        return ModelFootprint.of(facts, weights, options);
    }

    /** What the model's memory depends on; for the rest of this package. */
    ModelFacts facts() {
        return facts;
    }

    /** Its weights, by place; for the rest of this package. */
    WeightFacts weights() {
        return weights;
    }

    @Override
    public String toString() {
        return path + ": " + facts.architecture() + " with " + layers() + (layers() == 1 ? " layer" : " layers");
    }
}
