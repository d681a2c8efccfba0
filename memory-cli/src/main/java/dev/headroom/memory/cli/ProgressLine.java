package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Says how far something has come, how fast it goes and how long it will take: for a person on one line that overwrites
 * itself, for a pipe as a plain line now and then and one at the end. For one thread.
 */
final class ProgressLine {

    private static final long NANOS_PER_SECOND = 1_000_000_000;
    private static final long REDRAW_NANOS = NANOS_PER_SECOND / 10;
    private static final int STEP_PERCENT = 10;
    private static final String CLEAR = "\r\033[K";

    private final PrintStream err;
    private final boolean terminal;
    private final boolean quiet;
    private final LongSupplier clock;

    private String label = "";
    private long start;
    private long lastShown;
    private long lastPercent;
    private boolean finished;

    ProgressLine(CommandContext context, boolean quiet) {
        this(context.err(), context.terminal(), quiet, System::nanoTime);
    }

    ProgressLine(PrintStream err, boolean terminal, boolean quiet, LongSupplier clock) {
        this.err = err;
        this.terminal = terminal;
        this.quiet = quiet;
        this.clock = clock;
    }

    /** Begins something else where the label differs from the last one's. */
    void show(String newLabel, long done, long total) {
        if (quiet || total <= 0) {
            return;
        }
        long now = clock.getAsLong();
        if (!newLabel.equals(label)) {
            clear();
            label = newLabel;
            start = now;
            lastShown = now;
            lastPercent = 0;
            finished = false;
        }
        if (finished) {
            return;
        }
        long percent = (long) (100.0 * done / total);
        finished = done >= total;
        boolean due = terminal
                ? now - lastShown >= REDRAW_NANOS
                : now - lastShown >= NANOS_PER_SECOND && percent >= lastPercent + STEP_PERCENT;
        if (!due && !finished) {
            return;
        }
        lastShown = now;
        lastPercent = percent;
        String text = describe(percent, done, total, now - start);
        if (terminal) {
            err.print(CLEAR + (finished ? "" : text));
            err.flush();
        } else {
            err.println(text);
        }
    }

    /** Leaves no half line behind, also when what was shown has failed. */
    void clear() {
        if (terminal && !quiet && !label.isEmpty() && !finished) {
            err.print(CLEAR);
            err.flush();
        }
    }

    private String describe(long percent, long done, long total, long nanos) {
        StringBuilder text = new StringBuilder(
                "%s %d %% (%s of %s)".formatted(label, percent, ByteSize.format(done), ByteSize.format(total)));
        if (nanos > 0 && done > 0) {
            double rate = done * (double) NANOS_PER_SECOND / nanos;
            text.append(", ").append(rate(rate));
            if (done < total) {
                text.append(", ").append(duration((total - done) / rate)).append(" left");
            }
        }
        return text.toString();
    }

    /** A rate as people read it. */
    static String rate(double bytesPerSecond) {
        return ByteSize.format(Math.round(bytesPerSecond)) + "/s";
    }

    private static String duration(double seconds) {
        long whole = (long) Math.ceil(seconds);
        return whole < 60 ? whole + " s" : String.format(Locale.ROOT, "%d:%02d min", whole / 60, whole % 60);
    }
}
