package dev.headroom.memory.gpucheck;

import java.io.PrintStream;
import java.util.List;

/**
 * What became of the contract suites.
 *
 * @param passed  how many tests passed
 * @param skipped those that were not run, with reasons
 * @param failed  those that failed, with what they found
 */
record SuiteResult(int passed, List<String> skipped, List<String> failed) {

    /** Not asked for. */
    static final SuiteResult NONE = new SuiteResult(0, List.of(), List.of());

    boolean isFine() {
        return failed.isEmpty();
    }

    void print(PrintStream out) {
        skipped.forEach(line -> out.println("skipped  " + line));
        failed.forEach(line -> out.println("FAILED   " + line));
        out.printf("suites   %d passed, %d skipped, %d failed%n", passed, skipped.size(), failed.size());
    }
}
