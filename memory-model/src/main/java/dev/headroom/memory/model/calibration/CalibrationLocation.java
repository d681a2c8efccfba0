package dev.headroom.memory.model.calibration;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;

/**
 * Where the user's file is. First that is set wins: the property {@code headroom.calibration} or the variable
 * {@code HEADROOM_CALIBRATION}, which are a path or {@code off}; {@code XDG_DATA_HOME} if it is an absolute path, as its
 * specification demands; and what the platform has: {@code ~/Library/Application Support} on macOS,
 * {@code LOCALAPPDATA} or {@code ~/AppData/Local} on Windows, elsewhere {@code ~/.local/share}.
 */
final class CalibrationLocation {

    static final String PROPERTY = "headroom.calibration";
    static final String VARIABLE = "HEADROOM_CALIBRATION";

    private static final String OFF = "off";
    private static final String FOLDER = "headroom";
    private static final String FILE = "calibration.tsv";

    private CalibrationLocation() {}

    /** The file, or empty if the user wants none or has no folder. */
    static Optional<Path> find(
            Function<String, Optional<String>> properties, Function<String, Optional<String>> environment) {
        Optional<String> chosen = set(properties, PROPERTY).or(() -> set(environment, VARIABLE));
        if (chosen.isPresent()) {
            return chosen.filter(text -> !text.equalsIgnoreCase(OFF)).flatMap(CalibrationLocation::path);
        }
        return set(environment, "XDG_DATA_HOME")
                .flatMap(CalibrationLocation::path)
                .filter(Path::isAbsolute)
                .or(() -> platform(properties, environment))
                .map(folder -> folder.resolve(FOLDER).resolve(FILE));
    }

    private static Optional<Path> platform(
            Function<String, Optional<String>> properties, Function<String, Optional<String>> environment) {
        String system = set(properties, "os.name").orElse("").toLowerCase(Locale.ROOT);
        Optional<Path> home =
                set(properties, "user.home").flatMap(CalibrationLocation::path).filter(Path::isAbsolute);
        if (system.startsWith("mac")) {
            return home.map(folder -> folder.resolve("Library").resolve("Application Support"));
        }
        if (system.startsWith("windows")) {
            return set(environment, "LOCALAPPDATA")
                    .flatMap(CalibrationLocation::path)
                    .or(() -> home.map(folder -> folder.resolve("AppData").resolve("Local")));
        }
        return home.map(folder -> folder.resolve(".local").resolve("share"));
    }

    private static Optional<String> set(Function<String, Optional<String>> source, String name) {
        return source.apply(name).filter(text -> !text.isBlank());
    }

    private static Optional<Path> path(String text) {
        try {
            return Optional.of(Path.of(text));
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }
}
