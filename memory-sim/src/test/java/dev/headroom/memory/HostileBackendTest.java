package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.HostileBackends.Broken;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.MemoryBackend;
import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Backends that break the contract in every way a jar can: isolated, reported, and the others work. */
class HostileBackendTest {

    private static final String BLAME = "; report this to the backend's author, or take its jar off the class path";

    static Stream<Arguments> fixtures() {
        return Stream.of(
                fixture(
                        HostileBackends.ThrowsInName::new,
                        "the backend is broken: java.lang.IllegalStateException: name"),
                fixture(HostileBackends.NullName::new, "the backend is broken: its name is 'null'"),
                fixture(HostileBackends.UnaskableName::new, "the backend is broken: its name is 'Not A Name'"),
                fixture(
                        HostileBackends.ErrorInPriority::new,
                        "the backend is broken: java.lang.AssertionError: priority"),
                fixture(HostileBackends.NullProbe::new, "the backend is broken: its probe gave nothing"),
                fixture(
                        HostileBackends.ThrowsInProbe::new,
                        "the backend is broken: java.lang.IllegalStateException: probe"),
                fixture(
                        HostileBackends.LinkageErrorInProbe::new,
                        "the backend is broken: java.lang.NoClassDefFoundError: jcuda/driver/JCudaDriver"),
                fixture(HostileBackends.ErrorInProbe::new, "the backend is broken: java.lang.Error: probe"),
                fixture(HostileBackends.EndlessProbe::new, "the backend is broken: java.lang.StackOverflowError"),
                fixture(
                        HostileBackends.ForeignDevice::new,
                        "the backend is broken: it claims the device cpu:0 (not mine)"),
                fixture(
                        HostileBackends.TwiceTheSameDevice::new,
                        "the backend is broken: it has more than one device hostile:0"));
    }

    private static Arguments fixture(Supplier<MemoryBackend> backend, String reason) {
        return Arguments.of(backend, reason);
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void isIsolatedAndReported(Supplier<MemoryBackend> hostile, String reason) {
        MemoryBackend backend = hostile.get();
        SimulatedBackend good = Machine.backend("cuda", Machine.card("card", 8 * GIB));
        SimulatedBackend host = SimulatedBackend.host(GIB);
        try (GpuMemory memory = open(Machine.whole(), backend, good, host)) {
            assertThat(memory.selectBackendForModel(GIB).device().id()).isEqualTo("cuda:0");
            assertThat(memory.backends())
                    .filteredOn(status -> !status.available())
                    .singleElement()
                    .satisfies(status -> assertThat(status.reason()).contains(reason));
            Verdict verdict = memory.explainSelection(GIB).verdicts().getLast();
            assertThat(verdict.fits()).isFalse();
            assertThat(verdict.reason()).isEqualTo("unavailable, because " + reason + BLAME);
            assertThat(memory.summary()).contains(": " + reason + BLAME);
            memory.pool(memory.devices().getFirst()).allocate(1024).close();
        }
        good.requireNoViolations();
        host.requireNoViolations();
    }

    @Test
    void anotherVersionOfTheContractIsRefusedWithAHint() {
        SimulatedBackend old = SimulatedBackend.builder("cuda")
                .spiVersion(MemoryBackend.SPI_VERSION + 1)
                .device(Machine.card("card", GIB))
                .build();
        try (GpuMemory memory = open(Machine.whole(), old, SimulatedBackend.host(GIB))) {
            assertThat(memory.backends().getFirst())
                    .isEqualTo(new BackendStatus(
                            "cuda",
                            List.of(),
                            Optional.of("it speaks version 2 of the contract, this Headroom speaks 1"),
                            Optional.of("use the same version of all Headroom artifacts; the BOM sees to it")));
            assertThat(memory.devices()).extracting(GpuDevice::id).containsExactly("cpu:0");
        }
        assertThat(old.faults().calls("probe")).as("it is not even asked").isZero();
    }

    @Test
    void aSecondBackendOfTheSameNameIsIgnored() {
        SimulatedBackend first = Machine.backend("cuda", Machine.card("first", GIB));
        SimulatedBackend second = Machine.backend("cuda", Machine.card("second", 8 * GIB));
        try (GpuMemory memory = open(Machine.whole(), first, second)) {
            assertThat(memory.devices()).extracting(GpuDevice::name).containsExactly("first");
            assertThat(memory.backends().getLast().reason())
                    .contains("a second backend of this name was ignored: " + SimulatedBackend.class.getName());
            assertThat(memory.explainSelection(2 * GIB).chosen()).isEmpty();
        }
        assertThat(second.faults().calls()).isZero();
    }

    @Test
    void aSlowBackendIsWaitedForAndTheOthersWork() {
        MemoryBackend slow = new HostileBackends.Slow();
        try (GpuMemory memory = open(Machine.whole(), slow, Machine.backend("cuda", Machine.card("card", GIB)))) {
            assertThat(memory.devices()).extracting(GpuDevice::id).containsExactly("cuda:0", "hostile:0");
        }
    }

    @Test
    void aBackendThatHangsIsLeftAloneAndTheOthersWork() throws InterruptedException {
        HostileBackends.Hanging hanging = new HostileBackends.Hanging();
        SimulatedBackend good = Machine.backend("cuda", Machine.card("card", 8 * GIB));
        String reason = "it did not answer within 1 s";
        String hint = "look into its driver's own log, or raise GpuMemory.Builder.probeTimeout";
        try (GpuMemory memory = GpuMemory.builder()
                .config(Machine.whole())
                .backend(hanging)
                .backend(good)
                .probeTimeout(Duration.ofSeconds(1))
                .open()) {
            assertThat(memory.backends())
                    .filteredOn(status -> !status.available())
                    .containsExactly(new BackendStatus("hostile", List.of(), Optional.of(reason), Optional.of(hint)));
            assertThat(memory.explainSelection(GIB).verdicts().getLast())
                    .hasToString("hostile: unavailable, because " + reason + "; " + hint);
            memory.pool(memory.selectBackendForModel(GIB).device())
                    .allocate(1024)
                    .close();
        }
        assertThat(hanging.closed.getCount())
                .as("not closed under its own feet")
                .isEqualTo(1);
        hanging.letGo.countDown();
        hanging.closed.await(); // and closed when it comes back
        good.requireNoViolations();
    }

    @ParameterizedTest
    @ValueSource(strings = {"PT0S", "PT-1S", "P2D"})
    void aProbeTimeoutThatIsNoneIsRefused(Duration timeout) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GpuMemory.builder().probeTimeout(timeout))
                .withMessage("probeTimeout is " + timeout + ": must be above 0, up to 1 day");
    }

    @ParameterizedTest
    @MethodSource("mutes")
    void aBudgetThatIsNoneIsAVerdict(Broken backend, String reason) {
        try (GpuMemory memory = open(Machine.whole(), backend, SimulatedBackend.host(GIB))) {
            Selection selection = memory.explainSelection(GIB);
            assertThat(selection.chosen().orElseThrow().id()).isEqualTo("cpu:0");
            assertThat(selection.verdicts().getFirst().reason())
                    .isEqualTo("unavailable, because its driver does not say how much memory there is: budget failed: "
                            + reason + " (code 0)");
            GpuDevice device = memory.devices().getFirst();
            assertThatExceptionOfType(DriverFailedException.class).isThrownBy(() -> memory.budget(device));
            assertThat(memory.summary()).contains(reason);
        }
    }

    static Stream<Arguments> mutes() {
        return Stream.of(
                Arguments.of(new HostileBackends.NullBudget(), "the backend is broken: it gave nothing"),
                Arguments.of(new HostileBackends.ErrorInBudget(), "java.lang.UnsatisfiedLinkError: nvmlInit_v2"));
    }

    @ParameterizedTest
    @MethodSource("stuck")
    void aDeviceThatCannotBeOpenedIsATypedFailure(Broken backend, String reason) {
        try (GpuMemory memory = open(Machine.whole(), backend)) {
            GpuDevice device = memory.devices().getFirst();
            assertThatExceptionOfType(DriverFailedException.class)
                    .isThrownBy(() -> memory.pool(device))
                    .withMessage("hostile:0 (hostile) cannot be opened: " + reason + " (code 0)");
        }
    }

    static Stream<Arguments> stuck() {
        return Stream.of(
                Arguments.of(new HostileBackends.NullDriver(), "open failed: the backend is broken: it gave nothing"),
                Arguments.of(new HostileBackends.ThrowsInOpen(), "open failed: java.lang.IllegalStateException: open"),
                Arguments.of(
                        new HostileBackends.NullPool(), "openPool failed: the backend is broken: it gave nothing"));
    }

    @Test
    void aBackendThatFailsToCloseDoesNotKeepTheOthersOpen() {
        try (LogCapture log = new LogCapture()) {
            SimulatedBackend good = Machine.backend("cuda", Machine.card("card", GIB));
            open(Machine.whole(), new HostileBackends.ThrowsInClose(), good).close();
            assertThat(good.faults().calls("closeBackend")).isEqualTo(1);
            assertThat(log.messages(java.util.logging.Level.WARNING)).containsExactly("a backend failed to close");
        }
    }

    /** The real thing: a class path of its own, with files under META-INF/services. The words of the JDK are starred out. */
    @Test
    void discoverySurvivesEveryProviderOnTheClassPath(@TempDir Path jar) throws Exception {
        services(
                jar,
                HostileBackends.ThrowsInConstructor.class.getName(),
                "dev.headroom.memory.NoSuchBackend",
                Machine.class.getName(),
                HostileBackends.NoUsableConstructor.class.getName(),
                HostileBackends.ThrowsInInitialiser.class.getName(),
                HostileBackends.ThrowsInProbe.class.getName(),
                HostileBackends.Good.class.getName());
        assertThat(discover(jar)).isEqualTo("""
                good:0
                - hostile: the backend is broken: java.lang.IllegalStateException: probe
                + good
                - dev.headroom.memory.HostileBackends$ThrowsInConstructor: the backend cannot be loaded: *: java.lang.IllegalStateException: constructor
                - dev.headroom.memory.NoSuchBackend: the backend cannot be loaded: *
                - dev.headroom.memory.Machine: the backend cannot be loaded: *
                - dev.headroom.memory.HostileBackends$NoUsableConstructor: the backend cannot be loaded: *: java.lang.NoSuchMethodException: dev.headroom.memory.HostileBackends$NoUsableConstructor.<init>()
                - dev.headroom.memory.HostileBackends$ThrowsInInitialiser: the backend cannot be loaded: *: java.lang.ExceptionInInitializerError
                chosen: good:0""");
    }

    @Test
    void aGarbledServicesFileIsReported(@TempDir Path jar) throws Exception {
        services(jar, "<<<<<<< HEAD");
        assertThat(discover(jar))
                .startsWith("\n- a provider: the backend cannot be loaded: *")
                .endsWith("chosen: none");
    }

    private static void services(Path jar, String... lines) throws IOException {
        Path folder = Files.createDirectories(jar.resolve("META-INF/services"));
        Files.write(folder.resolve(MemoryBackend.class.getName()), List.of(lines));
    }

    /** What Headroom finds on a class path of its own classes, ours, and the given folder. */
    private static String discover(Path jar) throws Exception {
        List<URL> path = new java.util.ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            path.add(Path.of(entry).toUri().toURL());
        }
        path.add(jar.toUri().toURL());
        try (URLClassLoader apart =
                new URLClassLoader(path.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
            return (String) apart.loadClass(HostileBackends.Discovery.class.getName())
                    .getMethod("run")
                    .invoke(null);
        }
    }
}
