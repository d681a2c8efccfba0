package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a pool reports about itself is true, complete, and of a form that is published. */
class PoolReportTest {

    private static final long KIB = 1024;

    private final List<SimulatedBackend> used = new ArrayList<>();
    private final long[] now = {0};

    @AfterEach
    void nothingIsLeft() {
        for (SimulatedBackend backend : used) {
            backend.requireNoViolations();
            assertThat(backend.device(0).ledger().isEmpty()).isTrue();
        }
    }

    private SimulatedBackend machine(SimulatedDevice.Builder card) {
        SimulatedBackend backend = backend("cuda", card);
        used.add(backend);
        return backend;
    }

    private GpuMemory memory(MemoryConfig config, SimulatedBackend... backends) {
        GpuMemory.Builder builder = GpuMemory.builder().config(config).clock(() -> now[0]);
        for (SimulatedBackend backend : backends) {
            builder.backend(backend);
        }
        return builder.open();
    }

    private static GpuMemoryPool first(GpuMemory memory) {
        return memory.pool(memory.devices().getFirst());
    }

    private static HeapReport deviceHeap(PoolReport report) {
        return report.heaps().stream()
                .filter(heap -> heap.kind() == MemoryKind.DEVICE)
                .findFirst()
                .orElseThrow();
    }

    /** One block of 32 MiB: 4 MiB used, 4 free, 2 used, 22 free. */
    private static List<DeviceBuffer> workload(GpuMemoryPool pool) {
        DeviceBuffer weights = pool.allocate(AllocationRequest.of(4 * MIB).tagged("weights"));
        DeviceBuffer gap = pool.allocate(4 * MIB);
        DeviceBuffer cache = pool.allocate(AllocationRequest.of(2 * MIB).tagged("kv \"cache\" \u00e9"));
        gap.close();
        return List.of(weights, cache);
    }

    private static MemoryConfig tracked() {
        return whole().toBuilder().limitBytes(GIB).tracking(true).build();
    }

    @Test
    void theFiguresOfAHeap() {
        try (GpuMemory memory = memory(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool pool = first(memory);
            List<DeviceBuffer> open = workload(pool);
            PoolReport report = pool.report();
            HeapReport heap = deviceHeap(report);
            assertThat(heap.blocks()).isEqualTo(1);
            assertThat(heap.blockBytes()).isEqualTo(32 * MIB);
            assertThat(heap.buffers()).isEqualTo(2);
            assertThat(heap.bufferBytes()).isEqualTo(6 * MIB);
            assertThat(heap.freeBytes()).isEqualTo(26 * MIB);
            assertThat(heap.freeRanges()).isEqualTo(2);
            assertThat(heap.largestFreeBytes()).isEqualTo(22 * MIB);
            assertThat(heap.asideBytes()).isZero();
            assertThat(heap.idleBytes()).as("a block is given back as a whole").isZero();
            assertThat(heap.externalFragmentation()).isCloseTo(1 - 22.0 / 26, within(1e-12));
            assertThat(heap.unusedShare()).isCloseTo(1 - 6.0 / 32, within(1e-12));
            assertThat(heap.warnsOfUnused()).isTrue();
            assertThat(heap.sizeClasses())
                    .containsExactly(
                            new HeapReport.SizeClass(2 * MIB, 1, 2 * MIB, 0, 0),
                            new HeapReport.SizeClass(4 * MIB, 1, 4 * MIB, 1, 4 * MIB),
                            new HeapReport.SizeClass(16 * MIB, 0, 0, 1, 22 * MIB));
            assertThat(heap.blockClasses()).isEmpty();
            assertThat(report.stats()).isEqualTo(pool.stats());
            assertThat(report.room().budget()).isEqualTo(pool.budget());
            assertThat(report.room().pressure()).isEqualTo(pool.pressure());
            assertThat(report.room().usableBytes()).isEqualTo(pool.usableBytes());
            assertThat(report.room().limitBytes()).isEqualTo(OptionalLong.of(GIB));
            assertThat(report.room().terms())
                    .isEqualTo("limit 1 GiB less 32 MiB held by this pool; 7.97 GiB free, measured");
            assertThat(report.domain()).contains(memory.domain(pool.device()));
            assertThat(report.profile()).isEqualTo(PoolProfile.engine());
            open.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void whatIsNotFragmentedAndWhatHoldsNothing() {
        try (GpuMemory memory = memory(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool pool = first(memory);
            HeapReport empty = deviceHeap(pool.report());
            assertThat(empty.externalFragmentation()).isZero();
            assertThat(empty.unusedShare()).isZero();
            assertThat(empty.sizeClasses()).isEmpty();
            DeviceBuffer most = pool.allocate(23 * MIB);
            HeapReport heap = deviceHeap(pool.report());
            assertThat(heap.externalFragmentation()).as("one free range").isZero();
            assertThat(heap.unusedShare()).isCloseTo(9.0 / 32, within(1e-12));
            assertThat(heap.warnsOfUnused()).isFalse();
            most.close();
        }
    }

    @Test
    void theFormOfVersion1() {
        try (GpuMemory memory = memory(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool pool = first(memory);
            List<DeviceBuffer> open = workload(pool);
            now[0] += 2_500_000_000L;
            assertThat(pool.report().toJson().replaceAll("uuid:sim-[-0-9a-f]*", "uuid:X"))
                    .isEqualTo("""
                    {"schema":1,"device":{"backend":"cuda","index":0,"name":"RTX","kind":"discrete","physicalId":"uuid:X"},"domain":"uuid:X",\
                    "profile":{"name":"engine"},\
                    "stats":{"totalAllocatedBytes":33554432,"inUseBytes":6291456,"pooledBytes":27262976,"peakBytes":10485760,"poolHits":2,\
                    "poolMisses":1,"cpuFallbacks":0,"activeBuffers":2},\
                    "room":{"totalBytes":8589934592,"freeBytes":8556380160,"freeSource":"measured","freeDetail":"simulated","freeLags":false,\
                    "pressure":"low","usableBytes":1040187392,"limitBytes":1073741824,\
                    "terms":"limit 1 GiB less 32 MiB held by this pool; 7.97 GiB free, measured"},\
                    "heaps":[{"kind":"device","blocks":1,"blockBytes":33554432,"buffers":2,"bufferBytes":6291456,"freeBytes":27262976,\
                    "largestFreeBytes":23068672,"asideBytes":0,"idleBytes":0,"freeRanges":2,"externalFragmentation":0.1538,"unusedShare":0.8125,\
                    "unusedShareWarning":true,"sizeClasses":[\
                    {"fromBytes":2097152,"buffers":1,"bufferBytes":2097152,"freeRanges":0,"freeBytes":0},\
                    {"fromBytes":4194304,"buffers":1,"bufferBytes":4194304,"freeRanges":1,"freeBytes":4194304},\
                    {"fromBytes":16777216,"buffers":0,"bufferBytes":0,"freeRanges":1,"freeBytes":23068672}],"blockClasses":[]},\
                    {"kind":"upload","blocks":0,"blockBytes":0,"buffers":0,"bufferBytes":0,"freeBytes":0,"largestFreeBytes":0,"asideBytes":0,\
                    "idleBytes":0,"freeRanges":0,"externalFragmentation":0.0,"unusedShare":0.0,"unusedShareWarning":false,"sizeClasses":[],\
                    "blockClasses":[]},\
                    {"kind":"readback","blocks":0,"blockBytes":0,"buffers":0,"bufferBytes":0,"freeBytes":0,"largestFreeBytes":0,"asideBytes":0,\
                    "idleBytes":0,"freeRanges":0,"externalFragmentation":0.0,"unusedShare":0.0,"unusedShareWarning":false,"sizeClasses":[],\
                    "blockClasses":[]}],\
                    "rungs":{"collect":0,"grow":1,"siblings":0,"listeners":0,"wait":0,"retry":0,"fallback":0},\
                    "fallbacks":{"count":0,"bytes":0},"quarantine":{"count":0,"bytes":0},"pending":{"count":0,"bytes":0},\
                    "idle":{"bytes":0,"longestSeconds":null},\
                    "tracking":{"level":"full","tracked":{"count":2,"bytes":6291456},"tags":[{"tag":"weights","count":1,"bytes":4194304},\
                    {"tag":"kv \\"cache\\" \\u00e9","count":1,"bytes":2097152}]}}""");
            open.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void theReportForPeople() {
        MemoryConfig config = tracked().toBuilder()
                .profile(PoolProfile.blockClasses(64 * MIB))
                .build();
        try (GpuMemory memory = memory(config, machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool pool = first(memory);
            List<DeviceBuffer> open = new ArrayList<>(workload(pool));
            open.add(pool.allocate(1000));
            assertThat(pool.report().toString().replaceAll("uuid:sim-[-0-9a-f]*", "uuid:X"))
                    .isEqualTo("""
                    cuda:0 (RTX) pool, memory uuid:X
                      stats: allocated 32.00 MB, in use 6.00 MB, pooled 26.00 MB, peak 10.00 MB, hit rate 75.0 % (3 hits, 1 miss), \
                    0 CPU fallbacks, 3 active buffers
                      system: 8 GiB total, 7.97 GiB free (measured: simulated), pressure LOW
                      usable: 992 MiB (limit 1 GiB less 32 MiB held by this pool; 7.97 GiB free, measured)
                      block classes: 64 MiB at most, the lower of 64 MiB and a quarter of the device, shared 4 : 2 : 1
                      device memory: 32 MiB in 1 block; 6.00 MiB in 3 buffers, 24 MiB free in 2 ranges (largest 22 MiB), 2.00 MiB aside
                        external fragmentation 8.3 % (1 - largest free / free), unused share 81.2 % (1 - used / held); \
                    warning: more than 30.0 % of it is unused
                        from 1 KiB: 1 buffer (1 KiB), 0 free ranges (0 B)
                        from 2 MiB: 1 buffer (2 MiB), 1 free range (2 MiB)
                        from 4 MiB: 1 buffer (4 MiB), 0 free ranges (0 B)
                        from 16 MiB: 0 buffers (0 B), 1 free range (22 MiB)
                        class 0, 1 KiB: 1 of 37449 blocks in use, 2 MiB taken for it
                        class 1, 64 KiB: 0 of 292 blocks in use, 0 B taken for it
                        class 2, 1 MiB: 0 of 9 blocks in use, 0 B taken for it
                      idle: 0 B could be given back
                      ladder: grow 1
                      tracking: FULL, 3 of 3 open buffers recorded, 6.00 MiB
                        'weights': 1, 4 MiB
                        'kv "cache" é': 1, 2 MiB
                        no tag: 1, 1000 B""");
            open.forEach(DeviceBuffer::close);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"engine", "classes", "ranges", "mute", "empty", "trouble"})
    void everyReportKeepsToThePublishedSchema(String machine) throws IOException {
        SimulatedDevice.Builder card = card("RTX", 8 * GIB);
        MemoryConfig.Builder config = tracked().toBuilder();
        switch (machine) {
            case "classes" -> config.profile(PoolProfile.blockClasses(64 * MIB));
            case "ranges" -> card.virtualMemory(2 * MIB).granularity(2 * MIB);
            case "mute" -> card.freeFigure(FreeFigure.unknown());
            default -> {}
        }
        SimulatedBackend cuda = machine(card);
        try (GpuMemory memory = memory(config.build(), cuda, SimulatedBackend.host(GIB));
                LogCapture _ = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            List<DeviceBuffer> open = machine.equals("empty") ? List.of() : workload(pool);
            if (machine.equals("trouble")) {
                pool.allocate(512 * MIB).close();
                cuda.faults()
                        .add(FaultRule.on("free")
                                .failing(DriverException.Kind.UNEXPECTED, 1)
                                .times(1));
                pool.shrink();
                pool.allocateWithFallback(800 * MIB).close();
            }
            Map<String, Object> schema = ParsedJson.of(Files.readString(
                    Path.of(System.getProperty("headroom.root", "..")).resolve("docs/pool-report.schema.json")));
            Map<String, Object> json = ParsedJson.of(pool.report().toJson());
            assertThat(SchemaCheck.complaints(schema, json)).isEmpty();
            assertThat(json)
                    .containsOnlyKeys(
                            ((Map<?, ?>) schema.get("properties")).keySet().toArray(String[]::new));
            open.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void theCheckFindsWhatIsWrong() {
        Map<String, Object> schema = ParsedJson.of("""
                {"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/n"},"b":{"items":{"enum":["x"]}}},
                 "$defs":{"n":{"type":["integer","null"],"minimum":0}}}""");
        assertThat(SchemaCheck.complaints(schema, ParsedJson.of("{\"a\":null,\"b\":[\"x\"]}")))
                .isEmpty();
        assertThat(SchemaCheck.complaints(schema, ParsedJson.of("{\"b\":[\"y\"],\"c\":1}")))
                .containsExactly("$ lacks a", "$.b[0] is none of [x]: y", "$ has a field not described: c");
        assertThat(SchemaCheck.complaints(schema, ParsedJson.of("{\"a\":-1}"))).containsExactly("$.a is below 0: -1");
        assertThat(SchemaCheck.complaints(schema, ParsedJson.of("{\"a\":1.5}")))
                .containsExactly("$.a is no [integer, null]: 1.5");
    }

    @Test
    void tagsAreSummedAndTheLevelSaysWhatIsKnown() {
        for (TrackingLevel level : TrackingLevel.values()) {
            MemoryConfig config = tracked().toBuilder().tracking(level).build();
            try (GpuMemory memory = memory(config, machine(card("RTX", 8 * GIB)))) {
                GpuMemoryPool pool = first(memory);
                List<DeviceBuffer> open = new ArrayList<>();
                for (int i = 0; i < 128; i++) {
                    AllocationRequest request = AllocationRequest.of(1000 + i);
                    open.add(pool.allocate(i % 64 == 0 ? request.tagged("a") : request));
                }
                PoolReport.Tracking tracking = pool.report().tracking();
                assertThat(tracking.level()).isEqualTo(level);
                PoolReport.Count a = new PoolReport.Count(2, 2064);
                switch (level) {
                    case OFF, COUNT -> assertThat(tracking.tags()).isEmpty();
                    case SAMPLED -> assertThat(tracking.tags()).containsExactly(Map.entry("a", a));
                    case FULL ->
                        assertThat(tracking.tags())
                                .containsExactly(
                                        Map.entry("", new PoolReport.Count(126, 126 * 1000 + 127 * 64 - 64)),
                                        Map.entry("a", a));
                }
                assertThat(tracking.tracked())
                        .isEqualTo(new PoolReport.Count(
                                tracking.tags().values().stream()
                                        .mapToLong(PoolReport.Count::count)
                                        .sum(),
                                tracking.tags().values().stream()
                                        .mapToLong(PoolReport.Count::bytes)
                                        .sum()));
                assertThat(pool.report().stats().activeBuffers()).isEqualTo(128);
                open.forEach(DeviceBuffer::close);
            }
        }
    }

    @Test
    void rungsFallbacksPendingQuarantineAndAge() {
        SimulatedBackend cuda = machine(card("RTX", 8 * GIB));
        SimulatedBackend host = SimulatedBackend.host(GIB);
        try (GpuMemory memory = memory(
                        tracked().toBuilder()
                                .limitBytes(96 * MIB)
                                .waitTimeout(Duration.ZERO)
                                .build(),
                        cuda,
                        host);
                LogCapture _ = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            DeviceBuffer waiting = pool.allocate(40 * MIB);
            CompletableFuture<Void> stage = new CompletableFuture<>();
            waiting.closeAfter(stage);
            waiting.close();
            pool.allocate(10 * MIB).close();
            now[0] += 3_000_000_000L;
            PoolReport before = pool.report();
            assertThat(before.pending()).isEqualTo(new PoolReport.Count(1, 40 * MIB));
            assertThat(before.rungs())
                    .containsExactly(
                            Map.entry("collect", 0L),
                            Map.entry("grow", 2L),
                            Map.entry("siblings", 0L),
                            Map.entry("listeners", 0L),
                            Map.entry("wait", 0L),
                            Map.entry("retry", 0L),
                            Map.entry("fallback", 0L));
            assertThat(before.idle()).isEqualTo(new PoolReport.Idle(32 * MIB, Optional.of(Duration.ofSeconds(3))));
            FallbackBuffer onHost = pool.allocateWithFallback(80 * MIB);
            stage.complete(null);
            cuda.faults()
                    .add(FaultRule.on("free")
                            .failing(DriverException.Kind.UNEXPECTED, 1)
                            .times(1));
            assertThat(pool.shrink())
                    .as("the first block is kept by the driver")
                    .isEqualTo(32 * MIB);
            PoolReport after = pool.report();
            assertThat(after.pending()).isEqualTo(PoolReport.Count.NONE);
            assertThat(after.fallbacks()).isEqualTo(new PoolReport.Count(1, 80 * MIB));
            assertThat(after.rungs()).containsEntry("fallback", 1L);
            assertThat(after.quarantine()).isEqualTo(new PoolReport.Count(1, 40 * MIB));
            assertThat(after.idle()).isEqualTo(PoolReport.Idle.NONE);
            onHost.close();
        }
    }

    @Test
    void aReservationsViewAddsWhatIsLeftOfIt() {
        try (GpuMemory memory = memory(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuDevice device = memory.devices().getFirst();
            try (Reservation reservation = memory.reserve(Map.of(device, 256 * MIB))) {
                PoolReport whole = memory.pool(device).report();
                PoolReport view = reservation.pool(device).report();
                assertThat(whole.room().usableBytes()).isEqualTo(768 * MIB);
                assertThat(view.room().usableBytes())
                        .isEqualTo(GIB)
                        .isEqualTo(reservation.pool(device).usableBytes());
                assertThat(whole.room().terms()).endsWith("; 256 MiB reserved");
            }
        }
    }

    @Test
    void aLargePoolIsWalkedInSteps() {
        try (GpuMemory memory = memory(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool pool = first(memory);
            List<DeviceBuffer> open = new ArrayList<>();
            for (int i = 0; i < 10_000; i++) {
                open.add(pool.allocate(256 + i % 2 * 256));
            }
            for (int i = 0; i < 10_000; i += 4) {
                open.get(i).close();
            }
            HeapReport heap = deviceHeap(pool.report());
            assertThat(heap.buffers()).isEqualTo(7500);
            assertThat(heap.freeRanges()).isEqualTo(2501);
            assertThat(heap.sizeClasses().stream()
                            .mapToLong(HeapReport.SizeClass::buffers)
                            .sum())
                    .isEqualTo(7500);
            assertThat(heap.sizeClasses().stream()
                            .mapToLong(HeapReport.SizeClass::bufferBytes)
                            .sum())
                    .isEqualTo(heap.bufferBytes());
            assertThat(heap.sizeClasses().stream()
                            .mapToLong(HeapReport.SizeClass::freeBytes)
                            .sum())
                    .isEqualTo(heap.freeBytes());
            assertThat(heap.sizeClasses().getFirst())
                    .isEqualTo(new HeapReport.SizeClass(256, 2500, 2500 * 256, 2500, 2500 * 256));
            open.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void whatIsShutOffIsNoBuffer() {
        SimulatedBackend cuda = machine(card("RTX", GIB).virtualMemory(2 * MIB).granularity(2 * MIB));
        try (GpuMemory memory = memory(tracked(), cuda);
                LogCapture _ = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            pool.allocate(32 * MIB).close();
            DeviceBuffer open = pool.allocate(KIB);
            cuda.faults()
                    .add(FaultRule.on("decommit")
                            .failing(DriverException.Kind.UNEXPECTED, 1)
                            .times(1));
            assertThat(pool.shrink()).isZero();
            HeapReport heap = deviceHeap(pool.report());
            assertThat(heap.buffers()).isEqualTo(1);
            assertThat(heap.asideBytes()).isEqualTo(30 * MIB);
            assertThat(heap.blockBytes()).isEqualTo(heap.bufferBytes() + heap.freeBytes() + heap.asideBytes());
            assertThat(heap.sizeClasses().stream()
                            .mapToLong(HeapReport.SizeClass::buffers)
                            .sum())
                    .isEqualTo(1);
            open.close();
        }
    }

    @Test
    void aLostDeviceAndAClosedPoolReportNothing() {
        SimulatedBackend cuda = machine(card("RTX", 8 * GIB));
        try (GpuMemory memory = memory(tracked(), cuda);
                LogCapture _ = new LogCapture()) {
            GpuMemoryPool pool = first(memory);
            cuda.device(0).lose();
            assertThatThrownBy(pool::report).isInstanceOf(DeviceLostException.class);
            pool.close();
            assertThatThrownBy(pool::report).isInstanceOf(BufferClosedException.class);
        }
    }

    @Test
    void aPoolOfABackendsOwnTellsWhatItsFiguresSay() throws IOException {
        try (GpuMemory memory = memory(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool engine = first(memory);
            List<DeviceBuffer> open = workload(engine);
            GpuMemoryPool own = (GpuMemoryPool) Proxy.newProxyInstance(
                    getClass().getClassLoader(), new Class<?>[] {GpuMemoryPool.class}, (_, method, arguments) -> {
                        return method.invoke(engine, arguments);
                    });
            PoolReport report = PoolReport.ofFigures(own);
            assertThat(report.heaps()).isEmpty();
            assertThat(report.domain()).isEmpty();
            assertThat(report.stats()).isEqualTo(engine.stats());
            assertThat(report.room().usableBytes()).isEqualTo(engine.usableBytes());
            assertThat(report.tracking().tracked()).isEqualTo(new PoolReport.Count(2, 6 * MIB));
            Map<String, Object> schema = ParsedJson.of(Files.readString(
                    Path.of(System.getProperty("headroom.root", "..")).resolve("docs/pool-report.schema.json")));
            assertThat(SchemaCheck.complaints(schema, ParsedJson.of(report.toJson())))
                    .isEmpty();
            assertThat(report.toString()).startsWith("cuda:0 (RTX) pool\n  stats: ");
            open.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void aReportIsTakenWhileOthersAllocate() throws Exception {
        try (GpuMemory memory = open(tracked(), machine(card("RTX", 8 * GIB)))) {
            GpuMemoryPool pool = first(memory);
            Thread other = Thread.ofPlatform().start(() -> {
                for (int i = 0; i < 20_000; i++) {
                    pool.allocate(1 + i % 5000).close();
                }
            });
            while (other.isAlive()) {
                for (HeapReport heap : pool.report().heaps()) {
                    assertThat(heap.blockBytes()).isEqualTo(heap.bufferBytes() + heap.freeBytes() + heap.asideBytes());
                    assertThat(heap.largestFreeBytes()).isLessThanOrEqualTo(heap.freeBytes());
                }
            }
            other.join();
        }
    }
}
