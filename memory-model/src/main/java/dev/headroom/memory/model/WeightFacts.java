package dev.headroom.memory.model;

import dev.headroom.memory.model.FootprintTerm.Certainty;
import java.util.Arrays;
import java.util.OptionalLong;

/**
 * The bytes of a model's weights, by where an engine puts them.
 *
 * @param layers bytes of each block
 * @param experts bytes of each block's experts, contained in those of the block; 0 where that is not known
 * @param embedding bytes of the token embedding
 * @param hostOnly bytes of further tables that are looked up on the host, such as per-layer embeddings
 * @param output bytes of all else: output matrix, final norm
 * @param tied whether the token embedding is the output matrix too, and so is needed on the device as well
 * @param embeddingOnHost whether the engine keeps the token embedding in host memory, as llama.cpp does
 * @param lowPercent the least the true sum can be, as a share of the sum here
 * @param highPercent the most it can be
 * @param largest bytes of the largest matrix an engine may copy to the device for one operation
 * @param certainty how sure the sum is
 * @param reason why
 * @param parameters the number of values, if known
 */
@SuppressWarnings("ArrayRecordComponent") // never compared; never handed out
record WeightFacts(
        long[] layers,
        long[] experts,
        long embedding,
        long hostOnly,
        long output,
        boolean tied,
        boolean embeddingOnHost,
        int lowPercent,
        int highPercent,
        long largest,
        Certainty certainty,
        String reason,
        OptionalLong parameters) {

    /** All weights as the file has them. */
    long total() {
        return Saturated.plus(Saturated.plus(layers), embedding, hostOnly, output);
    }

    /** The part on a device that holds the last blocks, and the output if it holds one more than there are. */
    long onDevice(long gpuLayers) {
        long bytes = Saturated.plus(Arrays.copyOfRange(layers, firstOnDevice(gpuLayers), layers.length));
        if (!hasOutput(gpuLayers)) {
            return bytes;
        }
        return Saturated.plus(bytes, output, tied || !embeddingOnHost ? embedding : 0);
    }

    /** The part in host memory. */
    long onHost(long gpuLayers) {
        long bytes = Saturated.plus(Saturated.plus(Arrays.copyOf(layers, firstOnDevice(gpuLayers))), hostOnly);
        boolean embeddingHere = embeddingOnHost || !hasOutput(gpuLayers);
        return Saturated.plus(bytes, embeddingHere ? embedding : 0, hasOutput(gpuLayers) ? 0 : output);
    }

    boolean hasOutput(long gpuLayers) {
        return gpuLayers > layers.length;
    }

    int firstOnDevice(long gpuLayers) {
        return (int) Math.max(0, layers.length - gpuLayers);
    }
}
