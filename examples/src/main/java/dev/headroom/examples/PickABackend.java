package dev.headroom.examples;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.InferenceMemoryEstimate;
import dev.headroom.memory.NoBackendException;
import dev.headroom.memory.Selection;

/**
 * Says which device models of different sizes fit on, and why. Give a preference as the argument: auto, a backend such as
 * opencl, or a device such as cuda:1.
 */
final class PickABackend {

    private PickABackend() {}

    public static void main(String[] args) {
        BackendPreference preference = BackendPreference.parse(args.length > 0 ? args[0] : "auto");

        // Width, feed-forward width, layers, vocabulary, heads, key-value heads, context length, bytes per value.
        var tinyLlama = InferenceMemoryEstimate.of(2048, 5632, 22, 32000, 32, 4, 2048, 2);
        var mistral = InferenceMemoryEstimate.of(4096, 14336, 32, 32000, 32, 8, 4096, 2);
        long absurd = 1L << 60;

        try (GpuMemory memory = GpuMemory.open()) {
            System.out.println(memory.summary());
            System.out.println();

            // A question: it is answered also where nothing fits.
            System.out.println("TinyLlama 1.1B");
            System.out.println(
                    memory.explainSelection(tinyLlama.totalBytes(), preference).explain());
            System.out.println("Mistral 7B");
            Selection selection = memory.explainSelection(mistral.totalBytes(), preference);
            System.out.println(selection.explain());
            System.out.println(selection.chosen().isPresent() ? "It would fit." : "It would not fit.");

            // A demand: it opens the device, or says no for every one.
            try {
                memory.initBackendWithMemoryCheck(BackendPreference.auto(), absurd);
            } catch (NoBackendException e) {
                System.out.println();
                System.out.println(
                        "An exabyte was refused, with " + e.verdicts().size() + " verdict(s).");
            }
        }
    }
}
