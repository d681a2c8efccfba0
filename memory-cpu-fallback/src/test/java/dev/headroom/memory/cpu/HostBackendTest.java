package dev.headroom.memory.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BackendProbe.Available;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HostBackendTest {

    @Test
    void isFoundByServiceLoader() {
        assertThat(ServiceLoader.load(MemoryBackend.class))
                .filteredOn(backend -> backend.name().equals("cpu"))
                .singleElement()
                .isInstanceOf(HostBackend.class);
    }

    @Test
    void isOneHostDeviceInLastPlace() throws Exception {
        try (MemoryBackend backend = new HostBackend()) {
            assertThat(backend.priority()).isZero();
            assertThat(backend.spiVersion()).isEqualTo(MemoryBackend.SPI_VERSION);
            BackendProbe probe = backend.probe();
            assertThat(probe).isEqualTo(backend.probe()).isInstanceOf(Available.class);
            GpuDevice device = ((Available) probe).devices().getFirst();
            assertThat(((Available) probe).devices()).hasSize(1);
            assertThat(device.id()).isEqualTo("cpu:0");
            assertThat(device.name()).isEqualTo("Host memory");
            assertThat(device.deviceClass()).isEqualTo(DeviceClass.HOST);
            assertThat(device.physicalId()).isEqualTo(PhysicalId.ofHost());
            assertThat(device.unifiedMemory()).isTrue();
            assertThat(backend.budget(device).totalBytes()).isPositive();
            try (DeviceDriver driver = backend.open(device)) {
                assertThat(driver.device()).isEqualTo(device);
            }
        }
    }

    /**
     * What becomes of a JVM that was, or was not, given permission for native calls. Printing anything counts as
     * failing.
     */
    @ParameterizedTest
    @CsvSource({
        "--enable-native-access=ALL-UNNAMED, true",
        "--illegal-native-access=warn, false",
        "--illegal-native-access=deny, false"
    })
    void asksForNoPermissionAndPrintsNothing(String option, boolean ranges) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                option,
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-cp",
                System.getProperty("java.class.path"),
                OpenAndTell.class.getName()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        boolean expected = ranges && LinuxLibrary.find().isPresent();
        assertThat(output).isEqualToIgnoringNewLines("ranges: " + expected);
    }

    /** The child's program. */
    static final class OpenAndTell {
        public static void main(String[] arguments) throws Exception {
            try (MemoryBackend backend = new HostBackend()) {
                GpuDevice device = ((Available) backend.probe()).devices().getFirst();
                backend.budget(device);
                try (DeviceDriver driver = backend.open(device)) {
                    System.out.println("ranges: " + driver.virtualMemory().isPresent());
                }
            }
        }
    }
}
