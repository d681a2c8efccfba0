package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.logging.Level;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The file that tells why an allocation found no memory. */
class OutOfMemoryReportTest {

    @TempDir
    Path temp;

    private final PhysicalMemory one = PhysicalMemory.of(8 * GIB);
    private final SimulatedBackend cuda = backend("cuda", card("RTX", 8 * GIB).memory(one));
    private final SimulatedBackend opencl =
            backend("opencl", card("RTX", 8 * GIB).memory(one));
    private final SimulatedBackend host = SimulatedBackend.host(GIB);
    private final long[] now = {Long.MAX_VALUE - Duration.ofSeconds(30).toNanos()};

    @AfterEach
    void nothingIsLeft() {
        for (SimulatedBackend backend : List.of(cuda, opencl, host)) {
            backend.requireNoViolations();
            assertThat(backend.device(0).ledger().isEmpty()).isTrue();
        }
    }

    private Path folder() {
        return temp.resolve("not/yet/there");
    }

    private MemoryConfig.Builder config() {
        return MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .waitTimeout(Duration.ZERO)
                .outOfMemoryReport(folder());
    }

    private GpuMemory open(MemoryConfig.Builder config) {
        return GpuMemory.builder()
                .config(config.build())
                .backend(cuda)
                .backend(opencl)
                .backend(host)
                .clock(() -> now[0])
                .open();
    }

    private static GpuMemoryPool first(GpuMemory memory) {
        return memory.pool(memory.devices().getFirst());
    }

    private static DeviceOutOfMemoryException refusal(GpuMemoryPool pool, long bytes) {
        return catchThrowableOfType(DeviceOutOfMemoryException.class, () -> pool.allocate(bytes));
    }

    private List<Path> files() throws IOException {
        if (!Files.isDirectory(folder())) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder())) {
            return files.toList();
        }
    }

    @Test
    void theReportSaysWhatWasAskedAndWhatThereWas() throws IOException {
        cuda.device(0).occupy(GIB);
        try (GpuMemory memory = open(config().tracking(true))) {
            GpuMemoryPool pool = first(memory);
            GpuMemoryPool sibling = memory.pool(memory.devices().get(1));
            DeviceBuffer theirs = sibling.allocate(3 * GIB);
            DeviceBuffer mine = pool.allocate(AllocationRequest.of(2 * GIB).tagged("weights"));
            AllocationRequest request = AllocationRequest.of(4 * GIB)
                    .aligned(4096)
                    .tagged("kv cache")
                    .zeroed();
            DeviceOutOfMemoryException refusal =
                    catchThrowableOfType(DeviceOutOfMemoryException.class, () -> pool.allocate(request));
            assertThat(files()).hasSize(1);
            Path file = files().getFirst();
            assertThat(file.getFileName().toString())
                    .matches("headroom-oom-cuda-0-\\d{8}-\\d{6}-"
                            + ProcessHandle.current().pid() + "-1\\.json");
            assertThat(refusal)
                    .hasMessageStartingWith("cuda:0 (RTX): 4 GiB wanted, but only 2 GiB more can be had")
                    .hasMessageEndingWith(". Report: " + file.toAbsolutePath());
            assertThat(refusal.figures().requestedBytes()).isEqualTo(4 * GIB);
            Map<String, Object> json = ParsedJson.of(Files.readString(file));
            assertThat(json)
                    .containsOnlyKeys(
                            "schema",
                            "writtenAt",
                            "processId",
                            "thread",
                            "request",
                            "message",
                            "stack",
                            "pool",
                            "siblings")
                    .containsEntry("schema", 1L)
                    .containsEntry("processId", ProcessHandle.current().pid())
                    .containsEntry("thread", Thread.currentThread().getName());
            assertThat(json.get("request"))
                    .isEqualTo(Map.of(
                            "byteSize",
                            4 * GIB,
                            "byteAlignment",
                            4096L,
                            "kind",
                            "device",
                            "zero",
                            true,
                            "fallbackAllowed",
                            true,
                            "tag",
                            "kv cache"));
            assertThat(refusal.getMessage()).startsWith((String) json.get("message"));
            assertThat(((List<?>) json.get("stack")).toString())
                    .contains("OutOfMemoryReportTest.theReportSaysWhatWasAskedAndWhatThereWas");
            assertThat(refusal.getStackTrace()[0].toString()).isEqualTo(ParsedJson.at(json, "stack", 0));
            Map<String, Object> schema = ParsedJson.of(Files.readString(
                    Path.of(System.getProperty("headroom.root", "..")).resolve("docs/pool-report.schema.json")));
            assertThat(SchemaCheck.complaints(schema, json.get("pool"))).isEmpty();
            assertThat(ParsedJson.at(json, "pool", "device", "backend")).isEqualTo("cuda");
            assertThat(ParsedJson.at(json, "pool", "tracking", "tags", 0, "tag"))
                    .isEqualTo("weights");
            assertThat((List<?>) json.get("siblings")).hasSize(1);
            assertThat(SchemaCheck.complaints(schema, ParsedJson.at(json, "siblings", 0)))
                    .isEmpty();
            assertThat(ParsedJson.at(json, "siblings", 0, "device", "backend")).isEqualTo("opencl");
            assertThat(ParsedJson.at(json, "siblings", 0, "stats", "inUseBytes"))
                    .isEqualTo(3 * GIB);
            mine.close();
            theirs.close();
        }
    }

    @Test
    void onlyAFinalFailureIsReported() throws IOException {
        try (GpuMemory memory = open(config().limitBytes(4 * MIB));
                LogCapture _ = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            DeviceBuffer open = pool.allocate(4 * MIB);
            pool.allocateWithFallback(3 * MIB).close();
            assertThat(catchThrowableOfType(AllocationTooLargeException.class, () -> pool.allocate(GIB)))
                    .hasMessageNotContaining("Report");
            assertThat(files())
                    .as("the host stood in, and what can never fit is no shortage")
                    .isEmpty();
            DeviceOutOfMemoryException refusal = catchThrowableOfType(
                    DeviceOutOfMemoryException.class,
                    () -> pool.allocateWithFallback(AllocationRequest.of(MIB).withoutFallback()));
            assertThat(refusal)
                    .hasMessageContaining("Host memory did not stand in: the request forbids it. Report: ")
                    .hasMessageEndingWith("-1.json");
            assertThat(files()).hasSize(1);
            open.close();
        }
    }

    @Test
    void aStormOfFailuresIsAFewFiles() throws IOException {
        try (GpuMemory memory = open(config().limitBytes(MIB))) {
            GpuMemoryPool pool = first(memory);
            DeviceBuffer open = pool.allocate(MIB);
            assertThat(refusal(pool, MIB)).hasMessageContaining("Report: ");
            for (int i = 0; i < 50; i++) {
                assertThat(refusal(pool, MIB)).hasMessageNotContaining("Report");
            }
            now[0] += Duration.ofMinutes(1).toNanos() - 1; // over the wrap of the clock
            assertThat(refusal(pool, MIB)).hasMessageNotContaining("Report");
            now[0]++;
            assertThat(refusal(pool, MIB)).hasMessageContaining("Report: ");
            assertThat(files()).hasSize(2);
            for (int i = 0; i < 50; i++) {
                now[0] += Duration.ofHours(1).toNanos();
                refusal(pool, MIB);
            }
            assertThat(files()).hasSize(10).allMatch(file -> file.toString().endsWith(".json"));
            open.close();
        }
    }

    @Test
    void threadsThatFailTogetherWriteOneFile() throws Exception {
        try (GpuMemory memory = open(config().limitBytes(MIB))) {
            GpuMemoryPool pool = first(memory);
            DeviceBuffer open = pool.allocate(MIB);
            CountDownLatch start = new CountDownLatch(1);
            ConcurrentLinkedQueue<String> messages = new ConcurrentLinkedQueue<>();
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                threads.add(Thread.ofPlatform().start(() -> {
                    try {
                        start.await();
                    } catch (InterruptedException e) {
                        throw new AssertionError(e);
                    }
                    messages.add(refusal(pool, MIB).getMessage());
                }));
            }
            start.countDown();
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(messages)
                    .hasSize(8)
                    .filteredOn(message -> message.contains("Report: "))
                    .hasSize(1);
            assertThat(files()).hasSize(1);
            open.close();
        }
    }

    @Test
    void aReportThatCannotBeWrittenHidesNothing() throws IOException {
        Path file = Files.writeString(temp.resolve("a file"), "");
        try (GpuMemory memory = open(config().limitBytes(MIB).outOfMemoryReport(file));
                LogCapture log = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            DeviceBuffer open = pool.allocate(MIB);
            assertThat(refusal(pool, MIB)).hasMessageEndingWith("or raise limitBytes by 1 MiB");
            assertThat(log.messages(Level.WARNING))
                    .containsExactly("cuda:0 (RTX): no report on the failed allocation could be written");
            open.close();
        }
        assertThat(file).hasContent("");
        try (Stream<Path> left = Files.list(temp)) {
            assertThat(left).containsExactly(file);
        }
    }

    @Test
    void aDriverThatDoesNotAnswerHidesNothing() throws IOException {
        try (GpuMemory memory = open(config().limitBytes(MIB));
                LogCapture log = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            DeviceBuffer open = pool.allocate(MIB);
            refusal(pool, MIB);
            now[0] += Duration.ofMinutes(1).toNanos();
            cuda.faults().resetCalls();
            refusal(pool, MIB);
            long asked = cuda.faults().calls("budget");
            now[0] += Duration.ofMinutes(1).toNanos();
            cuda.faults().add(FaultRule.on("budget").nth(asked).failing(DriverException.Kind.UNEXPECTED, 5));
            assertThat(refusal(pool, MIB)).hasMessageEndingWith("or raise limitBytes by 1 MiB");
            assertThat(cuda.faults().fired()).isEqualTo(1);
            assertThat(log.messages(Level.WARNING)).hasSize(1);
            assertThat(files()).hasSize(2);
            open.close();
        }
    }

    @Test
    void theCauseIsKept() {
        try (GpuMemory memory = open(config())) {
            GpuMemoryPool pool = first(memory);
            cuda.faults().add(FaultRule.on("allocate").failing(DriverException.Kind.OUT_OF_MEMORY, 2));
            assertThat(refusal(pool, MIB))
                    .hasMessageContaining("but the driver refused")
                    .hasMessageContaining("Report: ")
                    .hasCauseInstanceOf(DriverException.class);
        }
    }

    @Test
    void whatCannotBeTakenInAdvanceIsReportedToo() throws IOException {
        try (GpuMemory memory = open(config().preAllocation(List.of(6 * GIB, 6 * GIB)))) {
            assertThat(catchThrowableOfType(DeviceOutOfMemoryException.class, () -> first(memory)))
                    .hasMessageContaining("6 GiB wanted")
                    .hasMessageContaining("Report: ");
            assertThat(files()).hasSize(1);
        }
    }
}
