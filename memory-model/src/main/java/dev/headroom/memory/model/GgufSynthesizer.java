package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufValue.Real;
import dev.headroom.memory.model.GgufValue.Text;
import dev.headroom.memory.model.GgufValue.Whole;
import dev.headroom.memory.model.GgufValue.WholeList;
import dev.headroom.memory.model.ModelShape.Trait;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * Makes GGUF files that have the true shape of a model and invented contents, for tests and measurements where the real
 * file cannot be had. Names, dimensions, types, metadata keys and vocabulary length are those of a real file, so sizes
 * are exact; weights and tokens mean nothing.
 *
 * {@snippet lang = java :
 * GgufSynthesizer synthesizer = GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b").withLayers(2), DataType.Q4_K, 42);
 * synthesizer.fallbacks().forEach(System.out::println);
 * synthesizer.write(Path.of("tinyllama-2-layers.gguf"), WriteProgress.none());
 * }
 *
 * <p>As real quantisers do, norms, biases and expert routers stay F32, and a matrix whose rows are no multiple of the
 * block gets another type; {@link #fallbacks} lists those.
 *
 * <p>The same arguments give the same bytes, on any machine. Immutable; may be used by any thread.
 */
public final class GgufSynthesizer {

    /** The key under which the seed is written; whoever holds the file can make every byte of it again. */
    public static final String SEED_KEY = "headroom.synthetic.seed";

    /** The numbers {@code general.file_type} has for files of mostly one type. */
    private static final Map<DataType, Integer> FILE_TYPES = Map.of(
            DataType.F32, 0,
            DataType.F16, 1,
            DataType.Q4_0, 2,
            DataType.Q8_0, 7,
            DataType.Q4_K, 14,
            DataType.BF16, 32);

    private final GgufWriter writer;
    private final long seed;
    private final List<TypeFallback> fallbacks;

    /**
     * A tensor that got another type than asked for, because its rows are no multiple of the block.
     *
     * @param tensor its name
     * @param wanted the type asked for
     * @param used the type it has
     */
    public record TypeFallback(String tensor, DataType wanted, DataType used) {
        @Override
        public String toString() {
            return tensor + " is " + used + ": its rows are no multiple of " + wanted.valuesPerBlock()
                    + ", the block of " + wanted;
        }
    }

    private GgufSynthesizer(GgufWriter writer, long seed, List<TypeFallback> fallbacks) {
        this.writer = writer;
        this.seed = seed;
        this.fallbacks = fallbacks;
    }

    /**
     * Lays a file out. Nothing is written yet.
     *
     * @param shape the model
     * @param type the type of the weights: F32, F16, BF16, Q8_0, Q4_0 or Q4_K
     * @param seed what the contents are made from
     * @return the plan of the file
     * @throws IllegalArgumentException if the type is none of these
     */
    public static GgufSynthesizer of(ModelShape shape, DataType type, long seed) {
        Integer fileType = FILE_TYPES.get(type);
        if (fileType == null) {
            throw new IllegalArgumentException(
                    "weights can be " + FILE_TYPES.keySet().stream().sorted().toList() + ", but not " + type);
        }
        GgufWriter.Builder builder = GgufWriter.builder();
        addMetadata(builder, shape, fileType, seed);
        List<TypeFallback> fallbacks = new ArrayList<>();
        for (ModelShape.Tensor tensor : shape.tensors()) {
            DataType used = DataType.F32;
            if (!tensor.staysF32()) {
                used = fittingType(type, tensor.dims().getFirst());
                if (used != type) {
                    fallbacks.add(new TypeFallback(tensor.name(), type, used));
                }
            }
            builder.tensor(
                    tensor.name(),
                    used,
                    tensor.dims().stream().mapToLong(Long::longValue).toArray());
        }
        return new GgufSynthesizer(builder.build(), seed, List.copyOf(fallbacks));
    }

    /**
     * The size of the file.
     *
     * @return bytes
     */
    public long byteSize() {
        return writer.byteSize();
    }

    /**
     * The tensors as they will lie in the file.
     *
     * @return an unmodifiable list in file order
     */
    public List<GgufTensor> tensors() {
        return writer.tensors();
    }

    /**
     * The tensors that could not have the type asked for.
     *
     * @return an unmodifiable list, empty for most models
     */
    public List<TypeFallback> fallbacks() {
        return fallbacks;
    }

    /**
     * Writes the file, under a temporary name until it is complete; see {@link GgufWriter#write}.
     *
     * @param target its final name; the folder must exist
     * @param progress is told how far it is
     * @throws ModelWriteException if the file does not fit or cannot be written; nothing is left behind
     * @throws java.io.InterruptedIOException if the thread was interrupted; nothing is left behind
     * @throws IOException never otherwise
     */
    public void write(Path target, WriteProgress progress) throws IOException {
        writer.write(target, new SyntheticWeights(seed), progress);
    }

    /**
     * Writes the header and a hole in place of the tensors; see {@link GgufWriter#writeSparse}.
     *
     * @param target its final name; the folder must exist
     * @throws ModelWriteException if the file cannot be written; nothing is left behind
     * @throws java.io.InterruptedIOException if the thread was interrupted; nothing is left behind
     * @throws IOException never otherwise
     */
    public void writeSparse(Path target) throws IOException {
        writer.writeSparse(target);
    }

    private static DataType fittingType(DataType wanted, long rowLength) {
        if (rowLength % wanted.valuesPerBlock() == 0) {
            return wanted;
        }
        // What llama.cpp's quantiser does: from super-blocks of 256 to blocks of 32, from there to half precision.
        return wanted == DataType.Q4_K && rowLength % DataType.Q5_0.valuesPerBlock() == 0
                ? DataType.Q5_0
                : DataType.F16;
    }

    private static void addMetadata(GgufWriter.Builder builder, ModelShape shape, int fileType, long seed) {
        String prefix = shape.architecture() + ".";
        builder.put("general.architecture", new Text(shape.architecture()))
                .put("general.type", new Text("model"))
                .put("general.name", new Text(shape.name()))
                .put("general.description", new Text("true shape, invented contents"))
                .put("general.file_type", Whole.u32(fileType))
                .put("general.quantization_version", Whole.u32(2))
                .put(SEED_KEY, new Whole(GgufValueType.I64, seed))
                .put(prefix + "block_count", Whole.u32(shape.layers()))
                .put(prefix + "context_length", Whole.u32(shape.contextLength()))
                .put(prefix + "embedding_length", Whole.u32(shape.embeddingLength()))
                .put(prefix + "feed_forward_length", Whole.u32(shape.feedForwardLength()))
                .put(prefix + "attention.head_count", Whole.u32(shape.heads()))
                .put(prefix + "attention.head_count_kv", Whole.u32(shape.headsKv()))
                .put(prefix + "attention.layer_norm_rms_epsilon", new Real(GgufValueType.F32, shape.rmsEpsilon()))
                .put(prefix + "rope.freq_base", new Real(GgufValueType.F32, shape.ropeBase()));
        if (shape.has(Trait.HEAD_LENGTH_STATED)
                || (long) shape.headLength() * shape.heads() != shape.embeddingLength()) {
            builder.put(prefix + "attention.key_length", Whole.u32(shape.headLength()))
                    .put(prefix + "attention.value_length", Whole.u32(shape.headLength()));
        }
        if (shape.architecture().equals("llama")) {
            builder.put(prefix + "rope.dimension_count", Whole.u32(shape.headLength()))
                    .put(prefix + "vocab_size", Whole.u32(shape.vocabularySize()));
        }
        if (shape.experts().count() > 0) {
            builder.put(prefix + "expert_count", Whole.u32(shape.experts().count()))
                    .put(prefix + "expert_used_count", Whole.u32(shape.experts().used()))
                    .put(prefix + "expert_feed_forward_length", Whole.u32(shape.feedForwardLength()));
        }
        builder.put("tokenizer.ggml.model", new Text("gpt2"))
                .putTexts("tokenizer.ggml.tokens", shape.vocabularySize(), token -> "t" + token)
                .put(
                        "tokenizer.ggml.token_type",
                        new WholeList(GgufValueType.I32, Collections.nCopies(shape.vocabularySize(), 1L)));
    }
}
