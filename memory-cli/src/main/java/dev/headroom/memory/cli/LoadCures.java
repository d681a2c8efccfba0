package dev.headroom.memory.cli;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What would make a model fit, in the options of {@code headroom load}: the library names settings of a program, which nobody
 * can reach from here. A limit stands for all of them, because fraction and minimum do not apply beside one.
 */
final class LoadCures {

    private static final Map<String, String> OPTIONS = options();

    private LoadCures() {}

    /** A text of the library with its settings named as options. */
    static String inOptions(String text) {
        String said = text;
        for (Map.Entry<String, String> option : OPTIONS.entrySet()) {
            said = said.replace(option.getKey(), option.getValue());
        }
        return said;
    }

    private static Map<String, String> options() {
        Map<String, String> options = new LinkedHashMap<>();
        options.put("raise limitBytes", "raise --limit");
        options.put("set limitBytes", "set --limit");
        options.put("raise gpuMemoryFraction", "set --limit, which may be more than that share");
        options.put("lower minFreeBytes", "set --limit, which keeps nothing free");
        options.put("cpuFallbackEnabled is false", "--no-fallback forbids it");
        return options;
    }
}
