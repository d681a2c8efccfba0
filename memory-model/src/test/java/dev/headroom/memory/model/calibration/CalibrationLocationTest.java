package dev.headroom.memory.model.calibration;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class CalibrationLocationTest {

    private final Map<String, String> properties = new HashMap<>(Map.of("os.name", "Linux", "user.home", "/home/me"));
    private final Map<String, String> environment = new HashMap<>();

    private Optional<Path> find() {
        return CalibrationLocation.find(
                name -> Optional.ofNullable(properties.get(name)), name -> Optional.ofNullable(environment.get(name)));
    }

    @Test
    void eachPlatformHasItsFolder() {
        assertThat(find()).contains(Path.of("/home/me/.local/share/headroom/calibration.tsv"));
        properties.put("os.name", "Mac OS X");
        assertThat(find()).contains(Path.of("/home/me/Library/Application Support/headroom/calibration.tsv"));
        properties.put("os.name", "Windows 11");
        assertThat(find()).contains(Path.of("/home/me/AppData/Local/headroom/calibration.tsv"));
        environment.put("LOCALAPPDATA", "/data/local");
        assertThat(find()).contains(Path.of("/data/local/headroom/calibration.tsv"));
    }

    @Test
    void xdgDataHomeCountsIfItIsAbsolute() {
        environment.put("XDG_DATA_HOME", "/data");
        assertThat(find()).contains(Path.of("/data/headroom/calibration.tsv"));
        environment.put("XDG_DATA_HOME", "data");
        assertThat(find()).contains(Path.of("/home/me/.local/share/headroom/calibration.tsv"));
        environment.put("XDG_DATA_HOME", " ");
        assertThat(find()).contains(Path.of("/home/me/.local/share/headroom/calibration.tsv"));
    }

    @Test
    void theUserCanChooseOrRefuse() {
        environment.put(CalibrationLocation.VARIABLE, "/elsewhere/file");
        assertThat(find()).contains(Path.of("/elsewhere/file"));
        properties.put(CalibrationLocation.PROPERTY, "OFF");
        assertThat(find()).as("the property comes first").isEmpty();
        properties.put(CalibrationLocation.PROPERTY, "/own/file");
        assertThat(find()).contains(Path.of("/own/file"));
        properties.put(CalibrationLocation.PROPERTY, "no\0path");
        assertThat(find()).isEmpty();
    }

    @Test
    void whoHasNoFolderHasNoFile() {
        properties.put("user.home", "?");
        assertThat(find()).isEmpty();
        properties.remove("user.home");
        assertThat(find()).isEmpty();
    }
}
