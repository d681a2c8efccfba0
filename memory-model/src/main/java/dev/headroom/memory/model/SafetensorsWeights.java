package dev.headroom.memory.model;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sorts the tensors of a safetensors model by where an engine puts them, by the names Hugging Face gives them. */
final class SafetensorsWeights {

    /** Names are made by whoever wrote the file; longer ones are none of these. */
    private static final int MAX_NAME = 256;

    /** {@code model.layers.3.}, {@code transformer.h.3.}, {@code bert.encoder.layer.3.} and their kin, then the rest. */
    private static final Pattern LAYER_NAME =
            Pattern.compile("(?:[a-z_]+\\.){0,6}(?:layers|layer|h|blocks|block)\\.([0-9]{1,5})\\.(.+)");

    /**
     * Of a layer's rest: {@code mlp.experts.7.up_proj.weight}, {@code block_sparse_moe.experts.7.w1.weight}, or all experts in
     * one: {@code mlp.experts.gate_up_proj}, {@code feed_forward.experts.down_proj}, {@code block_sparse_moe.input_linear.weight}.
     * Shared experts, which every token uses, have names of their own.
     */
    private static final Pattern EXPERT_NAME =
            Pattern.compile("(?:[a-z_]+\\.){1,4}experts\\..+|block_sparse_moe\\.(?:input|output)_linear\\..+");

    /** Towers for images and sound have layers of their own, which are not the model's. */
    private static final Pattern OTHER_TOWER = Pattern.compile("(?:.*[._])?(?:vision|visual|image|audio|mtp)[._].*");

    private static final List<String> EMBEDDINGS = List.of(
            "embed_tokens.weight",
            "wte.weight",
            "word_embeddings.weight",
            "embed_in.weight",
            "tok_embeddings.weight",
            "backbone.embeddings.weight");

    private static final List<String> HEADS = List.of("lm_head.weight", "embed_out.weight", "output.weight");

    private SafetensorsWeights() {}

    /** The layer a tensor belongs to and whether it is an expert's, by its name. */
    static TensorRole roleOf(String name) {
        if (isEmbedding(name)) {
            return new TensorRole(TensorRole.Part.EMBEDDING, OptionalInt.empty());
        }
        if (name.length() <= MAX_NAME && !OTHER_TOWER.matcher(name).matches()) {
            Matcher layer = LAYER_NAME.matcher(name);
            if (layer.matches()) {
                boolean experts = EXPERT_NAME.matcher(layer.group(2)).matches();
                return new TensorRole(
                        experts ? TensorRole.Part.EXPERTS : TensorRole.Part.LAYER,
                        OptionalInt.of(Integer.parseInt(layer.group(1))));
            }
        }
        return new TensorRole(TensorRole.Part.OUTPUT, OptionalInt.empty());
    }

    /**
     * The bytes by the names of the tensors.
     *
     * @param file the tensors
     * @param known what is known without their names
     * @return the weights, empty where the names are not understood: some layer or the embedding is not found
     */
    static Optional<WeightFacts> of(SafetensorsFile file, WeightFacts known) {
        int count = known.layers().length;
        long[] layers = new long[count];
        long[] experts = new long[count];
        boolean[] found = new boolean[count];
        long embedding = 0;
        long output = 0;
        long largest = 0;
        boolean head = false;
        for (SafetensorsTensor tensor : file.tensors()) {
            long bytes = tensor.byteSize();
            TensorRole role = roleOf(tensor.name());
            int layer = role.layer().orElse(count);
            if (role.part() == TensorRole.Part.EMBEDDING) {
                embedding += bytes;
            } else if (layer < count) {
                layers[layer] += bytes;
                experts[layer] += role.part() == TensorRole.Part.EXPERTS ? bytes : 0;
                found[layer] = true;
                largest = Math.max(largest, bytes);
            } else {
                output += bytes; // layers behind the last are heads for drafts, which go with the output
                head |= isOneOf(HEADS, tensor.name());
                largest = Math.max(largest, bytes);
            }
        }
        boolean all = embedding > 0;
        for (boolean one : found) {
            all &= one;
        }
        if (!all) {
            return Optional.empty();
        }
        boolean tied = known.tied() && !head;
        return Optional.of(new WeightFacts(
                layers,
                experts,
                embedding,
                0,
                output,
                tied,
                known.embeddingOnHost(),
                known.lowPercent(),
                known.highPercent(),
                tied ? Math.max(largest, embedding) : largest,
                known.certainty(),
                known.reason(),
                known.parameters()));
    }

    private static boolean isEmbedding(String name) {
        return isOneOf(EMBEDDINGS, name) && !OTHER_TOWER.matcher(name).matches();
    }

    private static boolean isOneOf(List<String> endings, String name) {
        return endings.stream().anyMatch(ending -> name.equals(ending) || name.endsWith("." + ending));
    }
}
