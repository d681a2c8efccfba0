package dev.headroom.memory.gpucheck;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What is asked for.
 *
 * @param device    the number of the device, as the driver counts
 * @param suites    whether to run the contract suites
 * @param figures   whether to measure
 * @param mebibytes how much a transfer moves
 * @param layers    how many layers the model has that is loaded
 * @param rounds    how often each thing is measured; the median counts
 * @param json      where the report goes
 */
record Options(
        int device, boolean suites, boolean figures, int mebibytes, int layers, int rounds, Optional<Path> json) {

    static final String USAGE = """
            usage: gpu-check [--device N] [--mib N] [--layers N] [--rounds N] [--no-suites] [--no-figures] [--json FILE]

              --device N     which GPU, 0 unless said
              --mib N        bytes of one measured transfer, 256 MiB unless said
              --layers N     layers of the invented mistral-7b (Q4_0) that is loaded, 4 unless said: about 0.6 GiB
              --rounds N     how often each thing is measured; the median counts. 7 unless said
              --no-suites    leaves the contract suites out
              --no-figures   leaves the measurements out
              --json FILE    writes the report there too""";

    private static final int MOST_LAYERS = 32;
    private static final int MOST_MEBIBYTES = 2047;
    private static final int MOST_ROUNDS = 1000;
    private static final int MOST_DEVICES = 64;

    /** Reads the command line; {@code IllegalArgumentException} if it makes no sense. */
    static Options of(String... arguments) {
        int device = 0;
        boolean suites = true;
        boolean figures = true;
        int mebibytes = 256;
        int layers = 4;
        int rounds = 7;
        Optional<Path> json = Optional.empty();
        List<String> words = List.of(arguments);
        for (int i = 0; i < words.size(); i++) {
            switch (words.get(i)) {
                case "--no-suites" -> suites = false;
                case "--no-figures" -> figures = false;
                case "--device" -> device = number(words, ++i, 0, MOST_DEVICES);
                case "--mib" -> mebibytes = number(words, ++i, 1, MOST_MEBIBYTES);
                case "--layers" -> layers = number(words, ++i, 1, MOST_LAYERS);
                case "--rounds" -> rounds = number(words, ++i, 1, MOST_ROUNDS);
                case "--json" -> json = Optional.of(Path.of(value(words, ++i)));
                default -> throw new IllegalArgumentException("unknown option " + words.get(i));
            }
        }
        return new Options(device, suites, figures, mebibytes, layers, rounds, json);
    }

    private static String value(List<String> words, int at) {
        if (at >= words.size()) {
            throw new IllegalArgumentException(words.get(at - 1) + " wants a value");
        }
        return words.get(at);
    }

    private static int number(List<String> words, int at, int least, int most) {
        String text = value(words, at);
        try {
            int value = Integer.parseInt(text);
            if (value >= least && value <= most) {
                return value;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new IllegalArgumentException(
                "%s wants a number from %d to %d, not %s".formatted(words.get(at - 1), least, most, text));
    }
}
