package dev.headroom.memory.cli;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.Selection;
import java.util.function.ToLongFunction;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Asks where something fits on behalf of a command. */
final class Choices {

    private Choices() {}

    /** Judges the devices; a backend or device there is not is wrong usage. */
    static Selection explain(GpuMemory memory, long bytes, BackendPreference preference, CommandSpec spec) {
        return explain(memory, bytes, _ -> 0, preference, spec);
    }

    /** The same, with what is needed besides on each device. */
    static Selection explain(
            GpuMemory memory,
            long bytes,
            ToLongFunction<GpuDevice> extraBytes,
            BackendPreference preference,
            CommandSpec spec) {
        try {
            return memory.explainSelection(bytes, preference, extraBytes);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
    }
}
