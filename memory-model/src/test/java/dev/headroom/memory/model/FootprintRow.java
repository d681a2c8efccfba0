package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintOptions.LatentCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** One row of {@code footprints.csv}: a model, how it was run, and what an allocator printed. */
record FootprintRow(Map<String, String> fields) {

    /** The numbers of DeepSeek V2, V3 and Kimi, which the table does not repeat. */
    private static final int LATENT_RANK = 512;

    private static final int ROPE_LENGTH = 64;

    static List<FootprintRow> read(Path csv) throws IOException {
        List<String> lines = Files.readAllLines(csv);
        List<String> names = split(lines.getFirst());
        List<FootprintRow> rows = new ArrayList<>();
        for (String line : lines.subList(1, lines.size())) {
            List<String> values = split(line);
            Map<String, String> fields = new HashMap<>();
            for (int i = 0; i < names.size(); i++) {
                fields.put(names.get(i), i < values.size() ? values.get(i) : "");
            }
            rows.add(new FootprintRow(fields));
        }
        return rows;
    }

    private static List<String> split(String line) {
        List<String> fields = new ArrayList<>();
        StringBuilder field = new StringBuilder();
        boolean quoted = false;
        for (char c : line.toCharArray()) {
            if (c == '"') {
                quoted = !quoted;
            } else if (c == ',' && !quoted) {
                fields.add(field.toString());
                field.setLength(0);
            } else {
                field.append(c);
            }
        }
        fields.add(field.toString());
        return fields;
    }

    String text(String name) {
        return fields.get(name);
    }

    private Optional<Integer> number(String name) {
        String text = text(name);
        return text.isEmpty() ? Optional.empty() : Optional.of(Integer.valueOf(text));
    }

    private int required(String name) {
        return number(name).orElseThrow();
    }

    boolean encoder() {
        return text("arch").equals("bert");
    }

    /** A file with the row's geometry under the keys of its architecture. */
    ModelFile model(Path folder) throws IOException {
        HeaderOnlyGguf header = HeaderOnlyGguf.small(text("arch"))
                .with("block_count", required("n_layer"))
                .with("context_length", 1 << 20)
                .with("embedding_length", required("n_embd"))
                .with("feed_forward_length", required("n_ff"))
                .with("attention.head_count", required("n_head"))
                .with("attention.head_count_kv", required("n_head_kv"))
                .with("attention.key_length", required("head_k"))
                .with("attention.value_length", required("head_v"))
                .with("vocab_size", required("n_vocab"));
        if (required("n_expert") > 0) {
            header.with("expert_count", required("n_expert")).with("expert_used_count", required("n_expert_used"));
            if (text("arch").equals("deepseek2")) {
                header.with("expert_feed_forward_length", 2048);
            }
        }
        if (required("swa_window") > 0) {
            header.with("attention.sliding_window", required("swa_window"));
        }
        if (text("attn_kind").startsWith("mla")) {
            header.with("attention.kv_lora_rank", LATENT_RANK)
                    .with("rope.dimension_count", ROPE_LENGTH)
                    .with("attention.key_length_mla", required("head_k"))
                    .with("attention.value_length_mla", required("head_v"));
        }
        return header.read(folder);
    }

    FootprintOptions options() {
        FootprintOptions.Builder options = FootprintOptions.builder()
                .contextLength(required("n_ctx"))
                .sequences(required("n_seq"))
                .flashAttention(text("flash_attn").equals("1"))
                // No window layers in a model that has them: a build from before the window cache.
                .fullWindows(required("swa_window") > 0 && required("swa_layers") == 0)
                .encoderCache(encoder());
        number("n_batch").ifPresent(options::batch);
        number("n_ubatch").ifPresent(options::ubatch);
        DataType key = DataType.parse(text("type_k"));
        boolean keyOnly = text("type_v").equals("none");
        options.kvTypes(key, keyOnly ? DataType.F16 : DataType.parse(text("type_v")));
        if (text("attn_kind").equals("mla-expanded")) {
            options.latentCache(LatentCache.EXPANDED);
        } else if (keyOnly) {
            options.latentCache(LatentCache.LATENT_KEY_ONLY);
        }
        return options.build();
    }

    /** The printed compute buffers in MiB, by device. */
    Map<String, Double> computeBuffers() {
        Map<String, Double> buffers = new LinkedHashMap<>();
        if (!text("compute_mib").isEmpty()) {
            Arrays.stream(text("compute_mib").split(";"))
                    .map(part -> part.split("="))
                    .forEach(part -> buffers.put(part[0], Double.valueOf(part[1])));
        }
        return buffers;
    }

    /** The buffers of accelerators: not those of pinned host memory, and the CPU's only where there is nothing else. */
    Map<String, Double> acceleratorBuffers() {
        Map<String, Double> buffers = computeBuffers();
        buffers.keySet().removeIf(name -> name.endsWith("_Host"));
        if (buffers.size() > 1) {
            buffers.remove("CPU");
        }
        return buffers;
    }

    Optional<Double> largestAcceleratorBuffer() {
        Map<String, Double> buffers = acceleratorBuffers();
        return buffers.isEmpty() ? Optional.empty() : Optional.of(Collections.max(buffers.values()));
    }

    /**
     * Why the row says nothing about the compute buffer of a device that holds the model, if so. Decided by what the row
     * says of the run, never by the figure compared.
     */
    Optional<String> exception() {
        if (acceleratorBuffers().keySet().stream().anyMatch(name -> name.equals("AMX") || name.startsWith("CPU_"))) {
            return Optional.of("the device is a helper of the CPU, which computes part of the graph itself");
        }
        double logits = required("n_vocab") * 4.0 * number("n_ubatch").orElse(512) / (1 << 20);
        Double cpu = computeBuffers().get("CPU");
        if (cpu != null
                && acceleratorBuffers().size() > 0
                && !acceleratorBuffers().containsKey("CPU")
                && cpu >= logits) {
            return Optional.of("the output matrix is on the CPU, whose buffer holds the logits");
        }
        boolean onDevice = Arrays.stream(text("model_mib").split(";"))
                .anyMatch(part -> acceleratorBuffers().containsKey(part.split("=")[0]));
        if (!text("model_mib").isEmpty() && !onDevice) {
            return Optional.of("no weights are on the device: they are copied there for each operation");
        }
        return Optional.empty();
    }
}
