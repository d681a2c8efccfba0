package dev.headroom.memory.model;

import dev.headroom.memory.model.placement.LayerBytes;
import dev.headroom.memory.model.placement.PlacementModel;
import java.util.ArrayList;
import java.util.List;

/**
 * The weights of a model file by the parts that are placed by themselves.
 *
 * @param layers the weights of each layer, without cache and state
 * @param embeddingBytes what turns tokens into values
 * @param outputBytes what turns values into tokens, and what belongs nowhere else. Where the file has no output matrix, the
 *     embedding stands in for it, and its bytes are in both figures
 * @param tiedBytes the bytes that are in both figures; 0 where the file has an output matrix
 */
public record GgufLayers(List<LayerBytes> layers, long embeddingBytes, long outputBytes, long tiedBytes) {

    private static final String EMBEDDING = "token_embd.weight";

    /** Copies the layers. */
    public GgufLayers {
        layers = List.copyOf(layers);
    }

    /**
     * Sorts the tensors of a file by their names.
     *
     * @param file the file
     * @return the parts; a file without a layer has none
     */
    public static GgufLayers of(GgufFile file) {
        List<long[]> weights = new ArrayList<>();
        long embedding = 0;
        long tied =
                isTied(file) ? file.tensor(EMBEDDING).map(GgufTensor::byteSize).orElse(0L) : 0;
        long output = tied;
        for (GgufTensor tensor : file.tensors()) {
            TensorRole role = TensorRole.of(tensor.name());
            role.layer().ifPresent(layer -> {
                while (weights.size() <= layer) {
                    weights.add(new long[2]);
                }
            });
            switch (role.part()) {
                case EMBEDDING -> embedding += tensor.byteSize();
                case OUTPUT -> output += tensor.byteSize();
                case LAYER -> weights.get(role.layer().orElseThrow())[0] += tensor.byteSize();
                case EXPERTS -> weights.get(role.layer().orElseThrow())[1] += tensor.byteSize();
            }
        }
        return new GgufLayers(
                weights.stream()
                        .map(bytes -> new LayerBytes(bytes[0], bytes[1], 0, 0))
                        .toList(),
                embedding,
                output,
                tied);
    }

    /**
     * A model to be placed as an engine would, to which cache, state and compute may be added. A matrix that is embedding and
     * output is there twice, unless both lie at the same place.
     *
     * @return a builder with these parts, the embedding on the host if there is one
     */
    public PlacementModel.Builder toModel() {
        return PlacementModel.builder()
                .layers(layers)
                .embedding(embeddingBytes, true)
                .output(outputBytes)
                .tied(tiedBytes);
    }

    /**
     * A model to be placed as {@link PlacedTensors} will load it: every tensor once, all of them on devices as far as they fit. A
     * matrix that is embedding and output goes where the output goes.
     *
     * @return a builder with these parts
     */
    public PlacementModel.Builder toLoad() {
        return PlacementModel.builder()
                .layers(layers)
                .embedding(embeddingBytes - tiedBytes, false)
                .output(outputBytes);
    }

    /** Whether the embedding is the output matrix too. */
    static boolean isTied(GgufFile file) {
        return file.tensor("output.weight").isEmpty() && file.tensor(EMBEDDING).isPresent();
    }

    /** Whether a tensor is the embedding that is the output matrix too. */
    static boolean isTiedEmbedding(GgufFile file, GgufTensor tensor) {
        return tensor.name().equals(EMBEDDING) && isTied(file);
    }
}
