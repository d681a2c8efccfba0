package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.ofClass;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DriverException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Where something fits, in which order, and what is said about it. */
class SelectionTest {

    private final SimulatedBackend host = SimulatedBackend.host(64 * GIB);

    @Test
    void classComesBeforeBackendAndBackendBeforeIndex() {
        SimulatedBackend cuda = backend("cuda", ofClass(DeviceClass.VIRTUAL, "vgpu", GIB), card("card", GIB));
        SimulatedBackend opencl = backend(
                "opencl",
                ofClass(DeviceClass.CPU, "PoCL", GIB),
                card("card", GIB),
                ofClass(DeviceClass.INTEGRATED, "iris", GIB),
                card("second card", GIB));
        SimulatedBackend vulkan = backend("vulkan", card("card", GIB), ofClass(DeviceClass.CPU, "llvmpipe", GIB));
        try (GpuMemory memory = open(MemoryConfig.defaults(), host, vulkan, opencl, cuda)) {
            assertThat(memory.devices().stream().map(GpuDevice::id))
                    .containsExactly(
                            "cuda:1",
                            "opencl:1",
                            "opencl:3",
                            "vulkan:0", // discrete
                            "cuda:0", // virtual
                            "opencl:2", // integrated
                            "opencl:0",
                            "vulkan:1", // CPUs in disguise
                            "cpu:0");
            assertThat(memory.backends().stream().map(BackendStatus::name))
                    .containsExactly("cuda", "opencl", "vulkan", "cpu");
        }
    }

    @Test
    void theOrderGivenComesFirstAndTheOthersFollow() {
        try (GpuMemory memory = open(
                MemoryConfig.defaults(),
                List.of("vulkan", "vulkan", "cpu"),
                backend("cuda", card("card", GIB)),
                backend("opencl", card("card", GIB)),
                backend("vulkan", card("card", GIB), ofClass(DeviceClass.CPU, "llvmpipe", GIB)),
                host)) {
            assertThat(memory.devices().stream().map(GpuDevice::id))
                    .as("the order decides within a class only")
                    .containsExactly("vulkan:0", "cuda:0", "opencl:0", "vulkan:1", "cpu:0");
        }
    }

    @Test
    void backendsOfEqualPriorityAreNotMixed() {
        try (GpuMemory memory = open(
                MemoryConfig.defaults(),
                backend("zeta", card("card", GIB), card("card", GIB)),
                backend("alpha", card("card", GIB), card("card", GIB)))) {
            assertThat(memory.devices().stream().map(GpuDevice::id))
                    .containsExactly("alpha:0", "alpha:1", "zeta:0", "zeta:1");
        }
    }

    @Test
    void noPriorityOverflowsIntoTheFirstPlace() {
        SimulatedBackend least = SimulatedBackend.builder("least")
                .priority(Integer.MIN_VALUE)
                .device(card("card", GIB))
                .build();
        SimulatedBackend most = SimulatedBackend.builder("most")
                .priority(Integer.MAX_VALUE)
                .device(card("card", GIB))
                .build();
        try (GpuMemory memory = open(MemoryConfig.defaults(), least, backend("cuda", card("card", GIB)), most)) {
            assertThat(memory.devices().stream().map(GpuDevice::id)).containsExactly("most:0", "cuda:0", "least:0");
        }
    }

    @Test
    void anOrderThatNamesNothingIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> open(MemoryConfig.defaults(), List.of("coda"), host))
                .withMessage("there is no backend 'coda'; valid names are [cpu, cuda, opencl, vulkan]");
    }

    @Test
    void theFirstThatFitsWinsNotTheBest() {
        try (GpuMemory memory = open(
                whole(), backend("cuda", card("small", GIB), card("huge", 80 * GIB), card("fitting", 4 * GIB)), host)) {
            assertThat(memory.selectBackendForModel(GIB).device().id()).isEqualTo("cuda:0");
            assertThat(memory.selectBackendForModel(GIB + 1).device().id()).isEqualTo("cuda:1");
            assertThat(memory.selectBackendForModel(80 * GIB).device().id()).isEqualTo("cuda:1");
        }
    }

    @ParameterizedTest
    @CsvSource({"cuda:0, 1073741824", "opencl:0, 2147483648", "vulkan:0, 3221225472", "cpu:0, 68719476736"})
    void backendsAreTriedInTheOrderOfTheSeed(String expected, long bytes) {
        try (GpuMemory memory = open(
                whole(),
                backend("vulkan", card("card", 3 * GIB)),
                backend("cuda", card("card", GIB)),
                backend("opencl", card("card", 2 * GIB)),
                host)) {
            assertThat(memory.selectBackendForModel(bytes).device().id()).isEqualTo(expected);
        }
    }

    @Test
    void theHostIsLastAndMustFitToo() {
        try (GpuMemory memory = open(whole(), backend("cuda", card("card", GIB)), SimulatedBackend.host(2 * GIB))) {
            assertThat(memory.selectBackendForModel(2 * GIB).device().deviceClass())
                    .isEqualTo(DeviceClass.HOST);
            assertThat(memory.explainSelection(2 * GIB + 1).chosen()).isEmpty();
        }
    }

    @Test
    void aCpuInDisguiseNeverOutranksHardware() {
        try (GpuMemory memory = open(
                whole(),
                List.of("opencl"),
                backend("opencl", ofClass(DeviceClass.CPU, "PoCL", 64 * GIB)),
                backend("vulkan", ofClass(DeviceClass.INTEGRATED, "iris", 4 * GIB)))) {
            assertThat(memory.selectBackendForModel(GIB).device().id()).isEqualTo("vulkan:0");
        }
    }

    @Test
    void theBudgetNotTheRawFreeFigureDecides() {
        // 8 GiB free, but 0.9 of the total is the most that may be taken.
        try (GpuMemory memory = open(MemoryConfig.defaults(), backend("cuda", card("card", 8 * GIB)))) {
            long most = (long) (0.9 * 8 * GIB);
            assertThat(memory.usableBytes(memory.devices().getFirst())).isEqualTo(most);
            assertThat(memory.explainSelection(most).chosen()).isPresent();
            assertThat(memory.explainSelection(most + 1).chosen()).isEmpty();
        }
        // 2 GiB: 0.9 of it is 1.8 GiB, but 512 MiB stay free.
        try (GpuMemory memory = open(MemoryConfig.defaults(), backend("cuda", card("card", 2 * GIB)))) {
            assertThat(memory.explainSelection(1536 * MIB).chosen()).isPresent();
            assertThat(memory.explainSelection(1536 * MIB + 1).chosen()).isEmpty();
        }
    }

    @Test
    void aDeviceSmallerThanWhatStaysFreeOffersNothing() {
        try (GpuMemory memory = open(MemoryConfig.defaults(), backend("cuda", card("card", 256 * MIB)))) {
            assertThat(memory.usableBytes(memory.devices().getFirst())).isZero();
            assertThat(memory.recommended()).isEmpty();
        }
    }

    @Test
    void aSelectionThatFitsSaysWhere() {
        try (GpuMemory memory = open(MemoryConfig.defaults(), backend("cuda", card("RTX", 8 * GIB)), host)) {
            Selection selection = memory.selectBackendForModel(4 * GIB);
            assertThat(selection.requiredBytes()).isEqualTo(4 * GIB);
            assertThat(selection.chosen()).contains(memory.devices().getFirst());
            assertThat(selection.explain()).isEqualTo("""
                    4 GiB go to cuda:0 (RTX)
                      cuda:0 (RTX): fits with 3.20 GiB to spare: 7.20 GiB usable (8 GiB x 0.90 less 0 B held by this process; 8 GiB free, measured, less 512 MiB kept free)
                      cpu:0 (simulated host): fits with 53.60 GiB to spare: 57.60 GiB usable (64 GiB x 0.90 less 0 B held by this process; 64 GiB free, measured, less 512 MiB kept free)""");
            assertThat(selection).hasToString(selection.explain());
        }
    }

    @Test
    void aRefusalCarriesEveryVerdictAndEveryMargin() {
        SimulatedBackend cuda = backend("cuda", card("small", GIB), card("busy", 8 * GIB));
        cuda.device(1).occupy(7 * GIB);
        SimulatedBackend opencl = backend("opencl", card("mute", 8 * GIB).freeFigure(FreeFigure.unknown()));
        SimulatedBackend vulkan = SimulatedBackend.builder("vulkan")
                .priority(200)
                .unavailable("no loader: libvulkan.so.1 was not found", "install the Vulkan loader")
                .build();
        try (GpuMemory memory = open(MemoryConfig.defaults(), cuda, opencl, vulkan, SimulatedBackend.host(8 * GIB))) {
            assertThatExceptionOfType(NoBackendException.class)
                    .isThrownBy(() -> memory.selectBackendForModel(7680 * MIB))
                    .withMessage("""
                            no backend has enough memory: 7.50 GiB required
                              cuda:0 (small): short by 7 GiB: 512 MiB usable (1 GiB x 0.90 less 0 B held by this process; 1 GiB free, measured, less 512 MiB kept free); the device is too small
                              cuda:1 (busy): short by 7 GiB: 512 MiB usable (8 GiB x 0.90 less 0 B held by this process; 1 GiB free, measured, less 512 MiB kept free); to make it fit, free 7 GiB on the device or lower minFreeBytes
                              opencl:0 (mute): short by 1.10 GiB: 6.40 GiB usable (8 GiB x 0.80 less 0 B held by this process; nothing tells how much is free); to make it fit, set limitBytes, because nothing tells how much is free
                              cpu:0 (simulated host): short by 307.20 MiB: 7.20 GiB usable (8 GiB x 0.90 less 0 B held by this process; 8 GiB free, measured, less 512 MiB kept free); to make it fit, raise gpuMemoryFraction
                              vulkan: unavailable, because no loader: libvulkan.so.1 was not found; install the Vulkan loader""")
                    .satisfies(refusal -> assertThat(refusal.verdicts())
                            .extracting(Verdict::target)
                            .containsExactly("cuda:0", "cuda:1", "opencl:0", "cpu:0", "vulkan"))
                    .satisfies(refusal -> assertThat(refusal.verdicts().get(1)).satisfies(busy -> {
                        assertThat(busy.fits()).isFalse();
                        assertThat(busy.requiredBytes()).isEqualTo(7680 * MIB);
                        assertThat(busy.usableBytes()).isEqualTo(512 * MIB);
                        assertThat(busy.shortBytes()).isEqualTo(7 * GIB);
                        assertThat(busy.budget().orElseThrow().freeBytes()).hasValue(GIB);
                    }));
        }
    }

    @Test
    void whatGpuMemoryAdvisesHelps() {
        SimulatedBackend cuda = backend("cuda", card("card", 8 * GIB));
        try (GpuMemory memory = open(whole().toBuilder().limitBytes(4 * GIB).build(), cuda)) {
            assertThat(memory.explainSelection(5 * GIB).verdicts().getFirst().reason())
                    .isEqualTo(
                            "short by 1 GiB: 4 GiB usable (limit 4 GiB less 0 B held by this pool; 8 GiB free, measured);"
                                    + " to make it fit, raise limitBytes by 1 GiB");
        }
        try (GpuMemory memory = open(whole().toBuilder().limitBytes(5 * GIB).build(), cuda)) {
            assertThat(memory.explainSelection(5 * GIB).chosen()).isPresent();
        }
        cuda.device(0).occupy(6 * GIB);
        try (GpuMemory memory = open(whole().toBuilder().limitBytes(5 * GIB).build(), cuda)) {
            assertThat(memory.explainSelection(5 * GIB).verdicts().getFirst().reason())
                    .endsWith("to make it fit, free 3 GiB on the device");
        }
    }

    @Test
    void aDriverThatDoesNotAnswerIsAVerdict() {
        SimulatedBackend cuda = backend("cuda", card("card", 8 * GIB));
        cuda.faults().add(FaultRule.on("budget").failing(DriverException.Kind.UNEXPECTED, 999));
        try (GpuMemory memory = open(MemoryConfig.defaults(), cuda, host)) {
            Selection selection = memory.explainSelection(GIB);
            assertThat(selection.chosen().orElseThrow().id()).isEqualTo("cpu:0");
            Verdict verdict = selection.verdicts().getFirst();
            assertThat(verdict)
                    .hasToString("cuda:0 (card): unavailable, because its driver does not say how much memory"
                            + " there is: budget failed: injected (code 999)");
            assertThat(verdict.budget()).isEmpty();
            assertThat(verdict.shortBytes()).isEqualTo(GIB);
            assertThatExceptionOfType(DriverFailedException.class)
                    .isThrownBy(() -> memory.usableBytes(memory.devices().getFirst()))
                    .withMessage(
                            "cuda:0 (card) does not say how much memory it has: budget failed: injected (code 999)");
        }
    }

    @Test
    void anOpenPoolsDriverThatDoesNotAnswerIsAVerdictToo() {
        SimulatedBackend cuda = backend("cuda", card("card", 8 * GIB));
        try (GpuMemory memory = open(MemoryConfig.defaults(), cuda)) {
            memory.pool(memory.devices().getFirst());
            cuda.faults().add(FaultRule.on("budget").throwing(() -> new IllegalStateException("torn")));
            assertThat(memory.explainSelection(1).verdicts().getFirst().reason())
                    .isEqualTo("unavailable, because its driver does not say how much memory there is:"
                            + " java.lang.IllegalStateException: torn");
            cuda.faults().clear();
            cuda.device(0).lose();
            assertThat(memory.explainSelection(1).verdicts().getFirst().reason())
                    .isEqualTo("unavailable, because its driver does not say how much memory there is:"
                            + " budget failed: the simulated device is lost (code 0)");
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE})
    void thereIsNoModelWithoutBytes(long bytes) {
        try (GpuMemory memory = open(MemoryConfig.defaults(), host)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.explainSelection(bytes))
                    .withMessage("bytes is " + bytes + ": must be above 0");
            assertThatIllegalArgumentException().isThrownBy(() -> memory.selectBackendForModel(bytes));
        }
    }

    @Test
    void noModelIsTooLargeToAskFor() {
        try (GpuMemory memory = open(MemoryConfig.defaults(), host)) {
            Verdict verdict = memory.explainSelection(Long.MAX_VALUE).verdicts().getFirst();
            assertThat(verdict.shortBytes()).isEqualTo(Long.MAX_VALUE - verdict.usableBytes());
            assertThat(verdict.reason()).endsWith("the device is too small");
        }
    }

    // What a preference does.

    @Test
    void aPreferenceNarrowsTheChoice() {
        try (GpuMemory memory = open(
                whole(), backend("cuda", card("a", GIB), card("b", GIB)), backend("opencl", card("c", GIB)), host)) {
            assertThat(chosen(memory, "opencl")).isEqualTo("opencl:0");
            assertThat(chosen(memory, "CUDA:1")).isEqualTo("cuda:1");
            assertThat(chosen(memory, "cpu")).isEqualTo("cpu:0");
            assertThat(memory.explainSelection(GIB, BackendPreference.parse("cuda"))
                            .verdicts())
                    .extracting(Verdict::target)
                    .containsExactly("cuda:0", "cuda:1");
        }
    }

    @Test
    void thereIsNoSilentSecondChoice() {
        try (GpuMemory memory =
                open(whole(), backend("cuda", card("RTX", GIB)), backend("opencl", card("c", 8 * GIB)))) {
            assertThatExceptionOfType(NoBackendException.class)
                    .isThrownBy(() -> memory.selectBackendForModel(2 * GIB, BackendPreference.parse("cuda:0")))
                    .withMessage("""
                            cuda:0 has not enough memory: 2.00 GiB required
                              cuda:0 (RTX): short by 1 GiB: 1 GiB usable (1 GiB x 1.00 less 0 B held by this process; 1 GiB free, measured, less 0 B kept free); the device is too small""");
        }
    }

    @Test
    void anAbsentBackendAskedForGivesItsOwnReason() {
        SimulatedBackend cuda = SimulatedBackend.builder("cuda")
                .unavailable("no driver: libcuda.so.1 was not found", "install the NVIDIA driver")
                .build();
        try (GpuMemory memory = open(whole(), cuda, host)) {
            assertThatExceptionOfType(NoBackendException.class)
                    .isThrownBy(() -> memory.initBackendWithMemoryCheck(BackendPreference.parse("cuda"), GIB))
                    .withMessage("""
                            cuda is not available: 1.00 GiB required
                              cuda: unavailable, because no driver: libcuda.so.1 was not found; install the NVIDIA driver""");
        }
    }

    @Test
    void aMisspeltBackendListsTheValidNames() {
        try (GpuMemory memory = open(whole(), backend("sim", card("card", GIB)), host)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.explainSelection(1, BackendPreference.parse("coda")))
                    .withMessage("there is no backend 'coda'; valid names are [cpu, cuda, opencl, sim, vulkan]");
        }
    }

    @Test
    void aKnownButAbsentBackendNamesTheArtifact() {
        try (GpuMemory memory = open(whole(), host)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.selectBackendForModel(1, BackendPreference.parse("vulkan")))
                    .withMessage(
                            "backend 'vulkan' is not on the class path: add the artifact dev.headroom:memory-vulkan."
                                    + " Present are [cpu]");
        }
    }

    @Test
    void aDeviceThatIsNotThereListsThoseThatAre() {
        try (GpuMemory memory = open(whole(), backend("cuda", card("a", GIB), card("b", GIB)))) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.explainSelection(1, BackendPreference.parse("cuda:2")))
                    .withMessage("there is no device 'cuda:2'; cuda has [cuda:0, cuda:1]");
        }
    }

    @Test
    void initialisingOpensWhatWasSelected() {
        try (GpuMemory memory =
                open(whole(), backend("cuda", card("small", GIB)), backend("opencl", card("c", 8 * GIB)))) {
            GpuMemoryPool pool = memory.initBackendWithMemoryCheck(BackendPreference.auto(), 2 * GIB);
            assertThat(pool.device().id()).isEqualTo("opencl:0");
            assertThat(pool).isSameAs(memory.pool(pool.device()));
            assertThatExceptionOfType(NoBackendException.class)
                    .isThrownBy(() -> memory.initBackendWithMemoryCheck(BackendPreference.parse("cuda"), 2 * GIB))
                    .withMessageContaining("cuda:0 (small): short by 1 GiB: 1 GiB usable");
        }
    }

    @Test
    void theHostAskedForByNameIsAlwaysOpened() {
        try (GpuMemory memory = open(whole(), SimulatedBackend.host(GIB))) {
            assertThatExceptionOfType(NoBackendException.class)
                    .as("by itself it must fit")
                    .isThrownBy(() -> memory.initBackendWithMemoryCheck(BackendPreference.auto(), 2 * GIB));
            assertThat(memory.initBackendWithMemoryCheck(BackendPreference.parse("cpu"), 2 * GIB)
                            .backendName())
                    .isEqualTo("cpu");
        }
    }

    // Nothing there at all.

    @Test
    void withoutAnyBackendTheMessageSaysWhatToAdd() {
        // Nothing on this class path offers a backend, and none is given.
        try (GpuMemory memory = GpuMemory.open()) {
            String advice =
                    "no backend is on the class path: add the artifact dev.headroom:memory-cpu-fallback for host"
                            + " memory, or memory-cuda, memory-opencl or memory-vulkan for a GPU";
            assertThat(memory.devices()).isEmpty();
            assertThat(memory.backends()).isEmpty();
            assertThat(memory.explainSelection(GIB).explain()).isEqualTo(advice);
            assertThatExceptionOfType(NoBackendException.class)
                    .isThrownBy(() -> memory.selectBackendForModel(GIB))
                    .withMessage(advice)
                    .satisfies(refusal -> assertThat(refusal.verdicts()).isEmpty());
            assertThat(memory.summary()).isEqualTo("GPU memory backends\n  recommended: none; " + advice);
        }
    }

    @Test
    void withoutAnyDriverTheMessageSaysWhatIsMissing() {
        SimulatedBackend cuda = SimulatedBackend.builder("cuda")
                .unavailable("no driver: libcuda.so.1 was not found", "install the NVIDIA driver")
                .build();
        try (GpuMemory memory = open(whole(), cuda)) {
            assertThat(memory.explainSelection(GIB).explain()).isEqualTo("""
                    no backend is available: 1.00 GiB required
                      cuda: unavailable, because no driver: libcuda.so.1 was not found; install the NVIDIA driver""");
        }
    }

    // The summary.

    @Test
    void theSummaryListsBackendsDevicesAndTheRecommendation() {
        SimulatedBackend cuda = backend("cuda", card("RTX 4090", 24 * GIB), card("broken", GIB));
        cuda.device(0).occupy(10 * GIB);
        cuda.faults().add(FaultRule.on("budget").onDevice(1).failing(DriverException.Kind.UNEXPECTED, 4));
        SimulatedBackend opencl =
                backend("opencl", ofClass(DeviceClass.CPU, "PoCL", 16 * GIB).freeFigure(FreeFigure.unknown()));
        SimulatedBackend vulkan = SimulatedBackend.builder("vulkan")
                .priority(200)
                .unavailable("no loader: libvulkan.so.1 was not found", "install the Vulkan loader")
                .build();
        try (GpuMemory memory = open(MemoryConfig.defaults(), cuda, opencl, vulkan)) {
            assertThat(memory.summary()).isEqualTo("""
                    GPU memory backends
                      + cuda
                          cuda:0 RTX 4090 [discrete] 24.00 GiB total, 14.00 GiB free
                          cuda:1 broken [discrete] cuda:1 (broken) does not say how much memory it has: budget failed: injected (code 4)
                      + opencl
                          opencl:0 PoCL [cpu] 16.00 GiB total, free unknown
                      - vulkan: no loader: libvulkan.so.1 was not found; install the Vulkan loader
                      recommended: cuda:0 (RTX 4090)""");
        }
    }

    @Test
    void whereNothingHasRoomNothingIsRecommended() {
        try (GpuMemory memory = open(MemoryConfig.defaults(), backend("cuda", card("tiny", 512 * MIB)))) {
            assertThat(memory.summary()).endsWith("\n  recommended: none");
        }
    }

    private static String chosen(GpuMemory memory, String preference) {
        return memory.selectBackendForModel(GIB, BackendPreference.parse(preference))
                .device()
                .id();
    }

    /** One card needs more for the same thing, and so the other one gets it. */
    @Test
    void eachDeviceIsJudgedByWhatItNeeds() {
        try (GpuMemory memory = open(
                whole(), backend("cuda", card("small", GIB), card("large", 2 * GIB)), SimulatedBackend.host(4 * GIB))) {
            assertThat(memory.explainSelection(GIB).chosen().orElseThrow().id()).isEqualTo("cuda:0");
            Selection careful = memory.explainSelection(
                    GIB, BackendPreference.auto(), device -> device.name().equals("small") ? 1 : MIB);
            assertThat(careful.chosen().orElseThrow().id()).isEqualTo("cuda:1");
            assertThat(careful.requiredBytes()).isEqualTo(GIB + MIB);
            assertThat(careful.verdicts().getFirst().requiredBytes()).isEqualTo(GIB + 1);
            assertThat(careful.verdicts().getFirst().shortBytes()).isEqualTo(1);
            assertThat(careful.explain()).startsWith("1.00 GiB go to cuda:1 (large)");
            Selection none =
                    memory.explainSelection(GIB, BackendPreference.auto(), device -> Long.MAX_VALUE - device.index());
            assertThat(none.chosen()).isEmpty();
            assertThat(none.requiredBytes()).isEqualTo(Long.MAX_VALUE);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.explainSelection(GIB, BackendPreference.auto(), _ -> -1))
                    .withMessage("extraBytes is -1: must be 0 or more");
        }
    }
}
