package dev.headroom.memory.cli;

import java.text.MessageFormat;
import java.util.ResourceBundle;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the console clean: what the library logs, the command reports in its own words. Under {@code --debug} the log goes to
 * standard error. Being here at all keeps {@code java.util.logging} from starting, which is most of a short command's time.
 */
public final class SilentLoggers extends System.LoggerFinder {

    private static volatile boolean speaking;

    /** For {@link java.util.ServiceLoader}. */
    public SilentLoggers() {}

    /** Sets whether anything is shown. */
    static void speak(boolean on) {
        speaking = on;
    }

    @Override
    public System.Logger getLogger(String name, Module module) {
        return new DebugLogger(name);
    }

    /** Shows messages while {@link #speak} is on. */
    private record DebugLogger(String name) implements System.Logger {

        @Override
        public String getName() {
            return name;
        }

        @Override
        public boolean isLoggable(Level level) {
            return speaking && level != Level.OFF && level.compareTo(Level.INFO) >= 0;
        }

        @Override
        public void log(
                Level level, @Nullable ResourceBundle bundle, @Nullable String message, @Nullable Throwable thrown) {
            if (isLoggable(level)) {
                System.err.println(level + " " + name + ": " + message);
                if (thrown != null) {
                    thrown.printStackTrace(System.err);
                }
            }
        }

        @Override
        public void log(
                Level level, @Nullable ResourceBundle bundle, @Nullable String format, @Nullable Object... params) {
            if (isLoggable(level)) {
                boolean plain = format == null || params == null || params.length == 0;
                System.err.println(level + " " + name + ": " + (plain ? format : MessageFormat.format(format, params)));
            }
        }
    }
}
