package dev.headroom.memory.model;

import dev.headroom.memory.model.FootprintTerm.Certainty;
import java.util.OptionalLong;

/** Sorts the tensors of a GGUF file by where an engine puts them. */
final class GgufWeights {

    /** Tables that are computed and not trained, so no parameters. */
    private static final String ROPE_TABLE_PREFIX = "rope_f";

    private GgufWeights() {}

    /** The bytes of the tensors, by the blocks their names say. */
    static WeightFacts of(GgufFile file, int layerCount) {
        long[] layers = new long[layerCount];
        long[] experts = new long[layerCount];
        long embedding = 0;
        long hostOnly = 0;
        long output = 0;
        long largest = 0;
        long parameters = 0;
        boolean tied = file.tensor("output.weight").isEmpty();
        for (GgufTensor tensor : file.tensors()) {
            long bytes = tensor.byteSize();
            int layer = layerOf(tensor.name(), layerCount);
            if (layer >= 0) {
                layers[layer] += bytes;
                experts[layer] += TensorRole.of(tensor.name()).part() == TensorRole.Part.EXPERTS ? bytes : 0;
                largest = Math.max(largest, bytes);
            } else if (tensor.name().equals("token_embd.weight")) {
                embedding += bytes;
                largest = tied ? Math.max(largest, bytes) : largest;
            } else if (tensor.name().equals("per_layer_token_embd.weight")) {
                hostOnly += bytes;
            } else {
                output += bytes;
                largest = Math.max(largest, bytes);
            }
            if (!tensor.name().startsWith(ROPE_TABLE_PREFIX)) {
                parameters = Saturated.plus(parameters, tensor.elements());
            }
        }
        return new WeightFacts(
                layers,
                experts,
                embedding,
                hostOnly,
                output,
                tied,
                true,
                100,
                100,
                largest,
                Certainty.EXACT,
                file.tensors().isEmpty()
                        ? "the file holds no tensors"
                        : "the sum of " + file.tensors().size() + " tensors"
                                + (tied ? "; the token embedding is the output matrix too" : ""),
                file.tensors().isEmpty() ? OptionalLong.empty() : OptionalLong.of(parameters));
    }

    /** The block of {@code blk.N.rest}, or -1. */
    private static int layerOf(String name, int layerCount) {
        if (!name.startsWith("blk.")) {
            return -1;
        }
        int end = name.indexOf('.', 4);
        if (end < 5 || end > 4 + 6) {
            return -1;
        }
        int layer = 0;
        for (int i = 4; i < end; i++) {
            int digit = name.charAt(i) - '0';
            if (digit < 0 || digit > 9) {
                return -1;
            }
            layer = layer * 10 + digit;
        }
        return layer < layerCount ? layer : -1;
    }
}
