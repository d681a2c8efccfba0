package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.MemoryBudget;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Shows how full the devices are, again and again: for a person in place, for a pipe one block after the other with an empty
 * line between. For one thread.
 */
final class DeviceWatch {

    /** The time between two looks. */
    @FunctionalInterface
    interface Pause {
        /**
         * Waits.
         *
         * @throws InterruptedException if nobody wants to see more
         */
        void take() throws InterruptedException;
    }

    private final GpuMemory memory;
    private final PrintStream out;
    private final boolean terminal;
    private final Pause pause;

    DeviceWatch(GpuMemory memory, PrintStream out, boolean terminal, Pause pause) {
        this.memory = memory;
        this.out = out;
        this.terminal = terminal;
        this.pause = pause;
    }

    /** Looks so many times, or until nobody reads it, or it is interrupted; the interrupt is what was waited for and does not stay set. */
    void run(OptionalInt times) {
        int drawn = 0;
        for (int round = 0; times.isEmpty() || round < times.getAsInt(); round++) {
            if (round > 0) {
                try {
                    pause.take();
                } catch (InterruptedException e) {
                    return;
                }
                out.print(terminal ? upAndClear(drawn) : System.lineSeparator());
            }
            List<String> lines = look();
            lines.forEach(out::println);
            if (out.checkError()) {
                return; // nobody reads it any more
            }
            drawn = lines.size();
        }
    }

    /** Upwards over what was drawn last, and away with what stands there. */
    private static String upAndClear(int lines) {
        return "\033[" + lines + "A\r\033[J";
    }

    private List<String> look() {
        List<String> lines = new ArrayList<>();
        for (GpuDevice device : memory.devices()) {
            lines.add(device.id() + "  " + device.name() + "  " + figures(device));
        }
        return lines.isEmpty() ? List.of("no devices; headroom devices says why") : lines;
    }

    private String figures(GpuDevice device) {
        try {
            MemoryBudget budget = memory.budget(device);
            String free = budget.freeBytes().isPresent()
                    ? ByteSize.format(budget.freeBytes().getAsLong()) + " free"
                    : "free unknown";
            return "%s total, %s, %s held by us, pressure %s (%s: %s)"
                    .formatted(
                            ByteSize.format(budget.totalBytes()),
                            free,
                            ByteSize.format(memory.heldBytes(device)),
                            memory.pressure(device),
                            budget.source().label(),
                            budget.detail());
        } catch (GpuMemoryException e) {
            return String.valueOf(e.getMessage());
        }
    }
}
