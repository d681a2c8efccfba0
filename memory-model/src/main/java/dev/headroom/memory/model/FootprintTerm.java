package dev.headroom.memory.model;

import java.util.Locale;

/**
 * One part of what a model needs.
 *
 * @param kind what the part is
 * @param bytes the most likely figure
 * @param lowBytes the least it can be as far as is known
 * @param highBytes the most it can be as far as is known; totals use this
 * @param certainty how sure the figure is
 * @param reason why it is that sure, and what it was made from
 */
public record FootprintTerm(Kind kind, long bytes, long lowBytes, long highBytes, Certainty certainty, String reason) {

    /** What a part is, and whether it lies on the device or in host memory. */
    public enum Kind {
        /** Weights on the device. */
        WEIGHTS("weights", false),
        /** Weights the engine keeps in host memory. */
        HOST_WEIGHTS("hostWeights", true),
        /** Keys and values of past tokens, on the device. */
        KV_CACHE("kvCache", false),
        /** Keys and values of the layers in host memory. */
        HOST_KV_CACHE("hostKvCache", true),
        /** State of recurrent layers, on the device. */
        STATE("state", false),
        /** State of the recurrent layers in host memory. */
        HOST_STATE("hostState", true),
        /** Intermediate results on the device. */
        COMPUTE("compute", false),
        /** Inputs and masks in host memory, pinned for the device. */
        HOST_COMPUTE("hostCompute", true),
        /** Logits handed to the program. */
        OUTPUT("output", false),
        /** What the driver takes for its context and kernels. */
        OVERHEAD("overhead", false),
        /** Room left on purpose. */
        MARGIN("margin", false),
        /** What earlier loads of the model took beyond what was predicted, such as the unused ends of blocks. */
        LEARNED("learned", false);

        private final String label;
        private final boolean onHost;

        Kind(String label, boolean onHost) {
            this.label = label;
            this.onHost = onHost;
        }

        /**
         * The name in reports, for example {@code kvCache}.
         *
         * @return the label
         */
        public String label() {
            return label;
        }

        /**
         * Whether the part lies in host memory beside the device, and so is not part of the device's total.
         *
         * @return true if it does
         */
        public boolean onHost() {
            return onHost;
        }
    }

    /** How sure a figure is. */
    public enum Certainty {
        /** It follows from the file and the options, byte for byte. */
        EXACT,
        /** It lies between two figures that follow from them. */
        BOUNDED,
        /** It depends on what is not known here. */
        GUESSED;

        /**
         * The name in reports.
         *
         * @return the name in lower case
         */
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Checks that the figure lies between its bounds. */
    public FootprintTerm {
        if (lowBytes < 0 || lowBytes > bytes || bytes > highBytes) {
            throw new IllegalArgumentException(
                    kind + " must lie between its bounds, but is " + bytes + " of " + lowBytes + " to " + highBytes);
        }
        if (bytes == Long.MAX_VALUE && certainty == Certainty.EXACT) { // sums and products are cut off there
            certainty = Certainty.BOUNDED;
            reason = "more than can be counted; " + reason;
        }
    }

    static FootprintTerm exact(Kind kind, long bytes, String reason) {
        return new FootprintTerm(kind, bytes, bytes, bytes, Certainty.EXACT, reason);
    }
}
