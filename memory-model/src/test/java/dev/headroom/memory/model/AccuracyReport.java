package dev.headroom.memory.model;

import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Writes {@code docs/estimation-accuracy.md}. */
final class AccuracyReport {

    private static final double MIB = PublishedFootprintsTest.MIB;

    private AccuracyReport() {}

    static String of(Path models, Path scratch) throws IOException {
        StringBuilder text = new StringBuilder();
        text.append("""
                # How accurate the estimates are

                Made by `scripts/estimation-accuracy`; not edited by hand.

                ## KV cache and compute buffer

                Each row is a run of llama.cpp or ik_llama.cpp whose log was published. The geometry goes into a GGUF header, which is read and planned as any file is. "printed" is the allocator's figure, "ours" is the term of the footprint, both in MiB. The printed compute figure is the largest buffer of an accelerator, or the CPU's where there is none. "low" and "high" are the bracket the estimate gives; totals use "high".

                Rows with a remark in the last column are left out of the comparison of compute buffers, by what they say of the run and not by the figure.

                | row | model | architecture | context | ubatch | FA | KV printed | KV ours | compute printed | ours | ours / printed | low | high | remark |
                |---|---|---|---|---|---|---|---|---|---|---|---|---|---|
                """);
        int compared = 0;
        int within = 0;
        for (FootprintRow row : FootprintRow.read(models.resolve("footprints.csv"))) {
            ModelFootprint footprint = row.model(scratch).footprint(row.options());
            FootprintTerm compute = footprint.terms().stream()
                    .filter(term -> term.kind() == Kind.COMPUTE)
                    .findFirst()
                    .orElseThrow();
            Optional<Double> printed = row.largestAcceleratorBuffer();
            double ratio = printed.map(mib -> compute.bytes() / MIB / mib).orElse(0.0);
            if (printed.isPresent() && row.exception().isEmpty()) {
                compared++;
                within += ratio >= 0.9 && ratio <= 2 ? 1 : 0;
            }
            line(
                    text,
                    row.text("id"),
                    row.text("model"),
                    row.text("arch"),
                    row.text("n_ctx"),
                    row.text("n_ubatch").isEmpty() ? "512" : row.text("n_ubatch"),
                    row.text("flash_attn").equals("1") ? "on" : "off",
                    mib(Double.parseDouble(row.text("kv_mib"))),
                    mib(footprint.bytes(Kind.KV_CACHE) / MIB),
                    printed.map(AccuracyReport::mib).orElse("-"),
                    mib(compute.bytes() / MIB),
                    printed.isPresent() ? mib(ratio) : "-",
                    mib(compute.lowBytes() / MIB),
                    mib(compute.highBytes() / MIB),
                    printed.isPresent() ? row.exception().orElse("") : "none printed");
        }
        text.append("\nOf ")
                .append(compared)
                .append(" compute buffers compared, ")
                .append(within)
                .append(" lie between 0.9 and 2 times the printed figure.\n\n");
        text.append("""
                ## What was known when the rules were made

                A figure that was fitted proves less than one that was predicted. This is which is which:

                - **KV cache and state** were not fitted: they are the formulas of the public sources of llama.cpp. Besides the rows above, some forty caches, states and sums of weights of published shapes are derived by hand in `PublishedShapesTest`; none of them was there when the formulas were written.
                - **The floor of the compute buffer**, logits and embeddings for every token computed at once, was seen in public prints before the rule was written.
                - **The mask** beside it, once without and one and a half times with flash attention, was fitted on the rows above: all of them were known. One row (P001) gives the factor to the megabyte; in others the buffer is smaller, because the mask is dead by the time logits are computed. The sum of two such parts is never more than twice the larger one.
                - **Four rows of embeddings** beside the scores were a round figure from the order of the graph, and decide in no row above. Three prints found afterwards (164, 296 and 2144 MiB, models of 7B at contexts of 2048, 4096 and 32768) are met to the kilobyte; `PublishedShapesTest` has these and five more, within a tenth but for one that is 1.37 times the print.
                - **The width of queries and results over a latent cache** was added for one print of DeepSeek R1 (788 MiB), which knows no other rows.
                - **The rule for encoders** was made with the only such row known, which is excepted besides.
                - **What is excepted** is decided by what a row says of its run. But the three rules were worded with the rows known.
                - The width of an expert of DeepSeek and Kimi, which the table does not have, is taken to be 2048, that of V3; for V2 Lite it is 1408. It decides in no row.

                Not modelled, and so outside the bracket: experts that lie on the host and are copied to the device for each operation while all layers count as offloaded, the copies of inputs an engine keeps to run several GPUs at once (up to four masks), limits on the attention buffer (`attn_max_b` of ik_llama.cpp), contexts rounded to 32 by builds before November 2025 that ran without flash attention, and graphs of diffusion models, which have no cache.

                """);
        weights(text, models.resolve("hf"));
        return text.toString();
    }

    private static void weights(StringBuilder text, Path folder) throws IOException {
        text.append("""
                ## Weights from a configuration alone

                `config.json` of published models. "formula" is the sum computed from the configuration, without the index beside it; "index" is `total_size` of the index, which counts the tensors' bytes.

                | model | architecture | formula | certainty | index | difference |
                |---|---|---|---|---|---|
                """);
        List<String> lines = Files.readAllLines(folder.resolve("weights.csv"));
        for (String line : lines.subList(1, lines.size())) {
            String[] fields = line.split(",", -1);
            ConfigFile config = ConfigFile.read(folder.resolve(fields[0]).resolve("config.json"));
            ModelFacts facts = ConfigFacts.of(config);
            WeightFacts weights = ConfigWeights.of(config, facts);
            String index = fields[12];
            boolean known = index.matches("\\d+");
            line(
                    text,
                    fields[0],
                    facts.architecture(),
                    Long.toString(weights.total()),
                    weights.certainty().label(),
                    known ? index : "-",
                    known ? Long.toString(weights.total() - Long.parseLong(index)) : "-");
        }
    }

    private static void line(StringBuilder text, String... cells) {
        text.append("| ").append(String.join(" | ", cells)).append(" |\n");
    }

    private static String mib(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }
}
