package dev.headroom.memory.model;

import java.util.OptionalInt;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What part of a model a tensor belongs to, by its GGUF name.
 *
 * @param part the part
 * @param layer the layer, for {@link Part#LAYER} and {@link Part#EXPERTS}
 */
record TensorRole(Part part, OptionalInt layer) {

    /** Parts that are placed by themselves. */
    enum Part {
        /** What turns tokens into values. */
        EMBEDDING,
        /** A layer without its experts. */
        LAYER,
        /** The experts of a layer, of which a token uses a few. */
        EXPERTS,
        /** What turns values into tokens, and what belongs nowhere else. */
        OUTPUT
    }

    /** The highest number that is taken for a layer's. */
    private static final int MAX_LAYER = 65_535;

    private static final Pattern LAYER_NAME = Pattern.compile("(?:enc\\.|dec\\.)?blk\\.([0-9]{1,5})\\.(.+)");

    /** {@code ffn_up_exps.weight} with all experts in one tensor, or {@code ffn_up.3.weight} with one in each. */
    private static final Pattern EXPERT_NAME = Pattern.compile("ffn_[a-z_]+_exps\\..+|ffn_[a-z]+\\.[0-9]+\\..+");

    private static final Set<String> EMBEDDINGS =
            Set.of("token_embd", "per_layer_token_embd", "token_embd_norm", "token_types", "position_embd");

    static TensorRole of(String name) {
        Matcher layer = LAYER_NAME.matcher(name);
        if (layer.matches() && Integer.parseInt(layer.group(1)) <= MAX_LAYER) {
            Part part = EXPERT_NAME.matcher(layer.group(2)).matches() ? Part.EXPERTS : Part.LAYER;
            return new TensorRole(part, OptionalInt.of(Integer.parseInt(layer.group(1))));
        }
        int dot = name.indexOf('.');
        boolean embedding = EMBEDDINGS.contains(dot < 0 ? name : name.substring(0, dot));
        return new TensorRole(embedding ? Part.EMBEDDING : Part.OUTPUT, OptionalInt.empty());
    }
}
