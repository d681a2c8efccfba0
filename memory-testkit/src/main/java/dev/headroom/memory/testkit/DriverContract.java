package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import dev.headroom.memory.spi.VirtualMemory;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.FutureTask;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What every driver must do, whatever lies behind it. A backend's test extends this class and gives {@link
 * #newBackend()}; the other hooks refine. Tests of what a device does not have are skipped and say why; an {@code
 * UNSUPPORTED} answer is accepted where the contract allows it. Memory in use stays below 64 MiB, except where {@link
 * #mayExhaust()} says so.
 *
 * <p>The suite keeps what the engine promises to drivers: valid arguments, no work pending on what is freed or mapped,
 * one free per block.
 */
@SuppressWarnings("NullAway.Init") // the fields are set before each test
public abstract class DriverContract {

    /** How long work may take before it counts as stuck. */
    protected static final Duration PATIENCE = Duration.ofSeconds(30);

    private static final long MIB = 1 << 20;

    private final List<DriverBlock> blocks = new ArrayList<>();
    private final List<DriverBlock> ranges = new ArrayList<>();
    private final List<DriverQueue> queues = new ArrayList<>();
    private Arena arena;
    private MemoryBackend backend;
    private GpuDevice device;
    private @Nullable DeviceDriver opened;

    /** For suites of backends. */
    protected DriverContract() {}

    /**
     * A backend under test.
     *
     * @return a new one, closed by the suite
     */
    protected abstract MemoryBackend newBackend();

    /**
     * The device under test.
     *
     * @param devices what the backend found
     * @return the first one, unless overridden
     */
    protected GpuDevice choose(List<GpuDevice> devices) {
        return devices.getFirst();
    }

    /**
     * Why a test cannot run on this backend.
     *
     * @param test the test's method
     * @return the reason, which is printed; empty to run it
     */
    protected Optional<String> reasonToSkip(String test) {
        return Optional.empty();
    }

    /**
     * A queue such as a user of this device would have.
     *
     * @param driver the driver it is used with
     * @return the queue; empty where there is none, and then user queues are not tested
     */
    protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
        return Optional.empty();
    }

    /**
     * Whether the device may be filled up. Only where that harms nobody and the driver really refuses.
     *
     * @return false unless overridden
     */
    protected boolean mayExhaust() {
        return false;
    }

    /**
     * The books of the driver, where there are some: they must be empty after each test.
     *
     * @return the books
     */
    protected List<Ledger> ledgers() {
        return List.of();
    }

    /** Opens the device, or skips the test and says why. */
    @BeforeEach
    void openDevice(TestInfo test) throws DriverException {
        String name = test.getTestMethod().orElseThrow().getName();
        arena = Arena.ofShared();
        backend = newBackend();
        reasonToSkip(name).ifPresent(reason -> skip(name + " is skipped: " + reason));
        switch (backend.probe()) {
            case BackendProbe.Unavailable(String reason, String hint) ->
                skip(backend.name() + " is not tested: " + reason + " (" + hint + ")");
            case BackendProbe.Available(List<GpuDevice> devices) -> device = choose(devices);
        }
        opened = backend.open(device);
    }

    /** Gives everything back in the order the engine keeps. */
    @AfterEach
    void closeDevice() throws DriverException {
        DeviceDriver driver = opened;
        if (driver != null) {
            assertThat(driver.awaitIdle(PATIENCE))
                    .as("work is pending at the end")
                    .isTrue();
            for (DriverBlock block : blocks) {
                assertThat(driver.free(block).failure()).isEmpty();
            }
            for (DriverBlock range : ranges) {
                assertThat(driver.virtualMemory().orElseThrow().release(range).failure())
                        .isEmpty();
            }
            queues.forEach(DriverQueue::close);
            driver.close();
        }
        backend.close();
        arena.close();
        assertThat(ledgers())
                .allSatisfy(ledger ->
                        assertThat(ledger.isEmpty()).as(ledger.describe()).isTrue());
    }

    // The backend.

    @Test
    void a_backend_knows_itself() {
        assertThat(backend.name()).isNotBlank().isEqualTo(backend.name().toLowerCase(Locale.ROOT));
        assertThat(backend.spiVersion()).isEqualTo(MemoryBackend.SPI_VERSION);
        assertThat(backend.priority()).isEqualTo(backend.priority());
    }

    @Test
    void probing_again_finds_the_same_devices() {
        assertThat(backend.probe()).isEqualTo(backend.probe());
        if (backend.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
            assertThat(devices).extracting(GpuDevice::backend).containsOnly(backend.name());
            assertThat(devices)
                    .extracting(GpuDevice::index)
                    .containsExactlyElementsOf(LongStream.range(0, devices.size())
                            .mapToObj(i -> (int) i)
                            .toList());
            assertThat(devices).allSatisfy(found -> assertThat(found.name()).isNotBlank());
        }
    }

    @Test
    void a_second_backend_beside_the_first_finds_the_same_devices() {
        MemoryBackend second = newBackend();
        try {
            if (second.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
                assertThat(devices).extracting(GpuDevice::name).contains(device.name());
            } else {
                fail("the first backend found devices, the second did not");
            }
        } finally {
            second.close();
        }
        assertThat(backend.probe()).isInstanceOf(BackendProbe.Available.class);
    }

    @Test
    void probing_prints_nothing() {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try (PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8)) {
            System.setOut(stream);
            System.setErr(stream);
            MemoryBackend second = newBackend();
            second.probe();
            second.close();
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        assertThat(printed.toString(StandardCharsets.UTF_8)).isEmpty();
    }

    @Test
    void a_budget_is_known_before_opening() throws DriverException {
        MemoryBackend second = newBackend();
        try {
            if (second.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
                for (GpuDevice found : devices) {
                    assertSane(second.budget(found));
                }
            }
        } finally {
            second.close();
        }
    }

    @Test
    void drivers_of_one_device_are_independent() throws DriverException {
        DeviceDriver second = backend.open(device);
        assertThat(second.device()).isEqualTo(device);
        DriverBlock block = allocate(MemoryKind.DEVICE, 1);
        second.close();
        roundTrip(block, BytePattern.of(1, 1));
    }

    @Test
    void a_device_can_be_opened_again() throws DriverException {
        driver().close();
        opened = null;
        opened = backend.open(device);
        roundTrip(allocate(MemoryKind.DEVICE, 1), BytePattern.of(1, 1));
    }

    // Traits and budgets.

    @Test
    void the_driver_knows_its_device() {
        assertThat(driver().device()).isEqualTo(device);
        assertThat(driver().virtualMemory()).isEqualTo(driver().virtualMemory());
    }

    @Test
    void device_memory_and_staging_are_supported() {
        assertThat(traits(MemoryKind.DEVICE).supported()).isTrue();
        for (MemoryKind staging : List.of(MemoryKind.UPLOAD, MemoryKind.READBACK)) {
            if (traits(staging).supported()) {
                assertThat(traits(staging).hostVisible()).isTrue();
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void traits_are_consistent(MemoryKind kind) {
        KindTraits traits = supported(kind);
        assertThat(driver().traits(kind)).isEqualTo(traits);
        assertThat(traits.maxBlockBytes()).isGreaterThanOrEqualTo(traits.granularity());
        device.maxAllocationBytes()
                .ifPresent(limit -> assertThat(traits.maxBlockBytes()).isLessThanOrEqualTo(limit));
        traits.bindingLimit().ifPresent(limit -> assertThat(limit).isPositive());
        if (traits.coherent()) {
            assertThat(traits.hostVisible())
                    .as("coherent, but not host-visible")
                    .isTrue();
        }
    }

    @ParameterizedTest
    @EnumSource
    void every_kind_has_a_budget(MemoryKind kind) throws DriverException {
        supported(kind);
        assertSane(driver().budget(kind));
    }

    // Blocks.

    @ParameterizedTest
    @EnumSource
    void blocks_of_all_sizes_keep_what_is_written(MemoryKind kind) throws DriverException {
        for (long byteSize : sizes(kind)) {
            DriverBlock block = allocateBytes(kind, byteSize, traits(kind).baseAlignment());
            assertThat(block.byteSize()).isEqualTo(byteSize);
            assertThat(block.kind()).isEqualTo(kind);
            roundTrip(block, BytePattern.of(byteSize, 1));
            free(block);
        }
    }

    @ParameterizedTest
    @EnumSource
    void blocks_are_aligned_as_asked(MemoryKind kind) throws DriverException {
        KindTraits traits = supported(kind);
        for (long alignment = traits.baseAlignment(); alignment <= 2 * MIB; alignment *= 2) {
            DriverBlock block = allocateBytes(kind, traits.granularity(), alignment);
            if (traits.hostVisible() && kind != MemoryKind.DEVICE) {
                try (HostMapping mapping = driver().map(block, 0, block.byteSize(), MapAccess.READ)) {
                    assertThat(mapping.segment().byteSize()).isEqualTo(block.byteSize());
                }
            }
            roundTrip(block, BytePattern.of(alignment, 1));
            free(block);
        }
    }

    @ParameterizedTest
    @EnumSource
    void live_blocks_do_not_share_bytes(MemoryKind kind) throws DriverException {
        supported(kind);
        List<DriverBlock> live = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            DriverBlock block = allocate(kind, 1 + i % 5);
            write(block, 0, BytePattern.of(i, 1), block.byteSize());
            live.add(block);
        }
        for (int i = 0; i < live.size(); i++) {
            require(live.get(i), 0, BytePattern.of(i, 1), live.get(i).byteSize());
        }
    }

    @ParameterizedTest
    @EnumSource
    void freed_memory_comes_back(MemoryKind kind) throws DriverException {
        supported(kind);
        for (int i = 0; i < 200; i++) {
            DriverBlock block =
                    allocateBytes(kind, roundUp(kind, MIB), traits(kind).baseAlignment());
            free(block);
        }
    }

    @Test
    void a_full_device_says_so_and_recovers() throws DriverException {
        assumeTrue(mayExhaust(), "the device is not to be filled up");
        KindTraits traits = traits(MemoryKind.DEVICE);
        long piece = Math.min(traits.maxBlockBytes(), roundUp(MemoryKind.DEVICE, 64 * MIB));
        DriverException refusal = null;
        while (refusal == null) {
            try {
                allocateBytes(MemoryKind.DEVICE, piece, traits.baseAlignment());
            } catch (DriverException e) {
                refusal = e;
            }
        }
        assertThat(refusal.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
        free(blocks.getLast());
        roundTrip(allocate(MemoryKind.DEVICE, 1), BytePattern.of(5, 5));
    }

    // Transfers.

    @Test
    void a_write_leaves_its_neighbours_alone() throws DriverException {
        DriverBlock block = allocate(MemoryKind.DEVICE, 4);
        BytePattern before = BytePattern.of(1, 1);
        BytePattern after = BytePattern.of(1, 2);
        for (long start : new long[] {0, 1, 3, 64, 255, 256, 1000}) {
            for (long size : new long[] {1, 2, 7, 64, 255, 256, 257, 1023}) {
                write(block, 0, before, 4096);
                write(block, start, after, size);
                MemorySegment all = read(block, 0, 4096);
                before.requireIn(all.asSlice(0, start));
                after.requireIn(all.asSlice(start, size));
                before.requireIn(all.asSlice(start + size), start + size);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void bytes_can_be_copied_to_every_kind(MemoryKind target) throws DriverException {
        supported(target);
        for (MemoryKind source : MemoryKind.values()) {
            if (traits(source).supported()) {
                DriverBlock from = allocate(source, 2);
                DriverBlock to = allocate(target, 2);
                long size = 1021;
                write(from, 0, BytePattern.of(3, 1), 2048);
                write(to, 0, BytePattern.of(4, 1), 2048);
                if (run(queue(), new Copy(new InBlock(from, 5), new InBlock(to, 11), size))) {
                    MemorySegment all = read(to, 0, 2048);
                    BytePattern.of(4, 1).requireIn(all.asSlice(0, 11));
                    BytePattern.of(3, 1).requireIn(all.asSlice(11, size), 5);
                    BytePattern.of(4, 1).requireIn(all.asSlice(11 + size), 11 + size);
                }
            }
        }
    }

    @Test
    void bytes_can_be_copied_within_a_block() throws DriverException {
        DriverBlock block = allocate(MemoryKind.DEVICE, 8);
        write(block, 0, BytePattern.of(3, 1), 1000);
        if (run(queue(), new Copy(new InBlock(block, 0), new InBlock(block, 1000), 1000))) {
            BytePattern.of(3, 1).requireIn(read(block, 1000, 1000));
        }
    }

    @Test
    void bytes_can_be_copied_between_drivers() throws DriverException {
        DeviceDriver other = backend.open(device);
        KindTraits traits = traits(MemoryKind.DEVICE);
        DriverBlock theirs = other.allocate(new BlockRequest(
                roundUp(MemoryKind.DEVICE, 4096), traits.baseAlignment(), MemoryKind.DEVICE, "contract"));
        try {
            DriverBlock ours = allocate(MemoryKind.DEVICE, 1);
            DriverBlock back = allocate(MemoryKind.DEVICE, 1);
            write(ours, 0, BytePattern.of(6, 1), 256);
            DriverQueue queue = queue();
            if (run(queue, new Copy(new InBlock(ours, 0), new InPeer(theirs, 16), 240))
                    && run(queue, new Copy(new InPeer(theirs, 16), new InBlock(back, 0), 240))) {
                BytePattern.of(6, 1).requireIn(read(back, 0, 240));
            }
        } finally {
            assertThat(other.free(theirs).failure()).isEmpty();
            other.close();
        }
    }

    @ParameterizedTest
    @EnumSource
    void ranges_can_be_filled(MemoryKind kind) throws DriverException {
        supported(kind);
        DriverBlock block = allocate(kind, 2);
        BytePattern before = BytePattern.of(1, 1);
        for (long start : new long[] {0, 1, 3, 4, 256}) {
            for (long size : new long[] {1, 3, 4, 5, 256, 1001}) {
                byte value = (byte) (start * 7 + size);
                write(block, 0, before, 2048);
                if (run(queue(), new Fill(block, start, size, value))) {
                    MemorySegment all = read(block, 0, 2048);
                    before.requireIn(all.asSlice(0, start));
                    for (long i = 0; i < size; i++) {
                        assertThat(all.get(ValueLayout.JAVA_BYTE, start + i)).isEqualTo(value);
                    }
                    before.requireIn(all.asSlice(start + size), start + size);
                }
            }
        }
    }

    // Mappings.

    @ParameterizedTest
    @EnumSource
    void host_and_device_see_each_others_writes(MemoryKind kind) throws DriverException {
        assumeTrue(supported(kind).hostVisible(), "the host cannot reach " + kind.label() + " memory");
        DriverBlock block = allocate(kind, 2);
        DriverBlock other = allocate(MemoryKind.DEVICE, 2);
        BytePattern first = BytePattern.of(1, 1);
        BytePattern second = BytePattern.of(2, 1);
        try (HostMapping mapping = driver().map(block, 0, 2048, MapAccess.WRITE_DISCARD)) {
            first.writeTo(mapping.segment());
            mapping.flush();
        }
        if (run(queue(), new Copy(new InBlock(block, 0), new InBlock(other, 0), 2048))) {
            first.requireIn(read(other, 0, 2048));
        }
        write(other, 0, second, 2048);
        if (run(queue(), new Copy(new InBlock(other, 100), new InBlock(block, 100), 900))) {
            try (HostMapping mapping = driver().map(block, 50, 1900, MapAccess.READ)) {
                mapping.invalidate();
                MemorySegment seen = mapping.segment();
                assertThat(seen.byteSize()).isEqualTo(1900);
                first.requireIn(seen.asSlice(0, 50), 50);
                second.requireIn(seen.asSlice(50, 900), 100);
                first.requireIn(seen.asSlice(950), 1000);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void parts_of_a_block_are_mapped_beside_each_other_and_beside_work(MemoryKind kind) throws DriverException {
        assumeTrue(supported(kind).hostVisible(), "the host cannot reach " + kind.label() + " memory");
        DriverBlock block = allocate(kind, 12);
        DriverBlock other = allocate(MemoryKind.DEVICE, 12);
        DriverQueue queue = queue();
        write(other, 0, BytePattern.of(3, 1), 4096);
        boolean served = submit(queue, new Copy(new InBlock(other, 0), new InBlock(block, 8192), 4096));
        try (HostMapping first = driver().map(block, 0, 4096, MapAccess.WRITE_DISCARD);
                HostMapping second = driver().map(block, 4096, 4096, MapAccess.WRITE_DISCARD)) {
            BytePattern.of(1, 1).writeTo(first.segment());
            BytePattern.of(2, 1).writeTo(second.segment());
            first.flush();
            second.flush();
        }
        finish(queue);
        BytePattern.of(1, 1).requireIn(read(block, 0, 4096));
        BytePattern.of(2, 1).requireIn(read(block, 4096, 4096));
        if (served) {
            BytePattern.of(3, 1).requireIn(read(block, 8192, 4096));
        }
    }

    // Queues.

    @Test
    void a_queue_keeps_its_order() throws DriverException {
        DriverBlock a = allocate(MemoryKind.DEVICE, 1);
        DriverBlock b = allocate(MemoryKind.DEVICE, 1);
        DriverQueue queue = queue();
        write(a, 0, BytePattern.of(1, 1), 256);
        write(b, 0, BytePattern.of(2, 1), 256);
        boolean served = true;
        for (int i = 0; i < 20 && served; i++) {
            served = submit(
                    queue, new Copy(new InBlock(i % 2 == 0 ? a : b, 0), new InBlock(i % 2 == 0 ? b : a, 0), 256));
        }
        finish(queue);
        if (served) {
            BytePattern.of(1, 1).requireIn(read(a, 0, 256));
            BytePattern.of(1, 1).requireIn(read(b, 0, 256));
        }
    }

    @Test
    void signals_rise_and_are_reached_in_order() throws DriverException {
        DriverQueue queue = queue();
        assertThat(driver().completed(queue)).isZero();
        DriverBlock block = allocate(MemoryKind.DEVICE, 64);
        long last = 0;
        long seen = 0;
        for (int i = 0; i < 50; i++) {
            submit(queue, new Fill(block, 0, block.byteSize(), (byte) i));
            long value = driver().signal(queue);
            assertThat(value).isGreaterThan(last);
            last = value;
            long now = driver().completed(queue);
            assertThat(now).isBetween(seen, last);
            seen = now;
        }
        assertThat(driver().await(queue, last, PATIENCE)).isTrue();
        assertThat(driver().completed(queue)).isEqualTo(last);
        assertThat(driver().await(queue, last, Duration.ZERO)).isTrue();
    }

    @Test
    void a_signal_without_work_is_reached() throws DriverException {
        DriverQueue queue = queue();
        long first = driver().signal(queue);
        long second = driver().signal(queue);
        assertThat(second).isGreaterThan(first);
        assertThat(driver().await(queue, first, PATIENCE)).isTrue();
        assertThat(driver().await(queue, second, PATIENCE)).isTrue();
    }

    @Test
    void waiting_ends_with_the_timeout_or_the_work() throws DriverException {
        DriverQueue queue = queue();
        DriverBlock block = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 8 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        for (int i = 0; i < 10; i++) {
            submit(queue, new Fill(block, 0, block.byteSize(), (byte) i));
        }
        long value = driver().signal(queue);
        // Whichever answer is right: it must come, and agree with what comes after.
        boolean reached = driver().await(queue, value, Duration.ZERO);
        if (reached) {
            assertThat(driver().completed(queue)).isEqualTo(value);
        }
        driver().await(queue, value, Duration.ofNanos(1));
        assertThat(driver().await(queue, value, PATIENCE)).isTrue();
    }

    @Test
    void an_interrupt_stays_set() throws DriverException {
        DriverQueue queue = queue();
        DriverBlock block = allocate(MemoryKind.DEVICE, 1);
        submit(queue, new Fill(block, 0, 16, (byte) 1));
        long value = driver().signal(queue);
        Thread.currentThread().interrupt();
        boolean kept;
        try {
            driver().await(queue, value, PATIENCE);
        } finally {
            kept = Thread.interrupted();
        }
        assertThat(kept).as("the interrupt is still set").isTrue();
        assertThat(driver().await(queue, value, PATIENCE)).isTrue();
    }

    @Test
    void a_queue_waits_for_another() throws DriverException {
        DriverBlock a = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 4 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        DriverBlock b = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 4 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        DriverBlock c = allocateBytes(
                MemoryKind.DEVICE,
                roundUp(MemoryKind.DEVICE, 4 * MIB),
                traits(MemoryKind.DEVICE).baseAlignment());
        DriverQueue first = queue();
        DriverQueue second = queue();
        for (int i = 0; i < 10; i++) {
            BytePattern pattern = BytePattern.of(7, i);
            write(a, 0, pattern, 4 * MIB);
            if (!submit(first, new Copy(new InBlock(a, 0), new InBlock(b, 0), 4 * MIB))) {
                return;
            }
            driver().waitFor(second, first, driver().signal(first));
            submit(second, new Copy(new InBlock(b, 0), new InBlock(c, 0), 4 * MIB));
            finish(second);
            pattern.requireIn(read(c, 0, 4 * MIB));
        }
    }

    @Test
    void waiting_for_what_is_over_is_harmless() throws DriverException {
        DriverQueue first = queue();
        DriverQueue second = queue();
        long value = driver().signal(first);
        assertThat(driver().await(first, value, PATIENCE)).isTrue();
        driver().waitFor(second, first, value);
        finish(second);
    }

    @Test
    void the_device_becomes_idle() throws DriverException {
        assertThat(driver().awaitIdle(PATIENCE)).isTrue();
        DriverQueue queue = queue();
        DriverBlock block = allocate(MemoryKind.DEVICE, 64);
        submit(queue, new Fill(block, 0, block.byteSize(), (byte) 1));
        long value = driver().signal(queue);
        assertThat(driver().awaitIdle(PATIENCE)).isTrue();
        assertThat(driver().await(queue, value, Duration.ZERO)).isTrue();
    }

    @Test
    void threads_work_side_by_side() throws Exception {
        List<FutureTask<Void>> tasks = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            int id = t;
            tasks.add(new FutureTask<>(() -> churn(id)));
        }
        List<Thread> threads = tasks.stream()
                .map(task -> Thread.ofPlatform().name("contract").start(task))
                .toList();
        for (Thread thread : threads) {
            thread.join();
        }
        for (FutureTask<Void> task : tasks) {
            task.get();
        }
    }

    @Test
    void virtual_threads_may_call() throws Exception {
        FutureTask<Void> task = new FutureTask<>(() -> churn(1));
        Thread.ofVirtual().start(task).join();
        task.get();
    }

    // Users' queues.

    @Test
    void fences_stand_behind_users_work() throws DriverException {
        NativeQueue theirs = userQueue(driver()).orElseGet(() -> abort("no queue of a user's to test with"));
        DriverQueue ours = queue();
        DriverBlock block = allocate(MemoryKind.DEVICE, 1);
        submit(ours, new Fill(block, 0, 256, (byte) 3));
        driver().hold(theirs, ours, driver().signal(ours));
        try (DriverFence fence = driver().record(theirs)) {
            driver().waitFor(ours, fence);
            assertThat(fence.await(PATIENCE)).isTrue();
            assertThat(fence.done()).isTrue();
            assertThat(fence.await(Duration.ZERO)).isTrue();
        }
        finish(ours);
        DriverFence early = driver().record(theirs);
        assertThatCode(early::close).doesNotThrowAnyException();
    }

    // Address ranges.

    @Test
    void pieces_of_a_range_come_and_go() throws DriverException {
        VirtualMemory memory = virtualMemory();
        long granule = memory.granularity();
        assertThat(Long.bitCount(granule)).isEqualTo(1);
        DriverBlock range = memory.reserve(8 * granule, MemoryKind.DEVICE);
        ranges.add(range);
        assertThat(range.byteSize()).isEqualTo(8 * granule);
        memory.commit(range, 0, granule);
        memory.commit(range, granule, 2 * granule);
        memory.commit(range, 5 * granule, granule);
        long size = Math.min(granule, 64 << 10);
        BytePattern low = BytePattern.of(1, 1);
        BytePattern high = BytePattern.of(2, 1);
        // Across the border of two commits.
        write(range, granule - 8, low, size);
        write(range, 5 * granule, high, size);
        low.requireIn(read(range, granule - 8, size));
        assertThat(memory.decommit(range, granule, granule).failure()).isEmpty();
        high.requireIn(read(range, 5 * granule, size));
        memory.commit(range, granule, granule);
        write(range, granule, low, size);
        low.requireIn(read(range, granule, size));
        // One call takes back what several gave.
        assertThat(memory.decommit(range, 0, 3 * granule).failure()).isEmpty();
        high.requireIn(read(range, 5 * granule, size));
    }

    @Test
    void a_stolen_granule_serves_another_range() throws DriverException {
        VirtualMemory memory = virtualMemory();
        long granule = memory.granularity();
        long size = Math.min(granule, 64 << 10);
        DriverBlock rich = memory.reserve(4 * granule, MemoryKind.DEVICE);
        DriverBlock poor = memory.reserve(4 * granule, MemoryKind.DEVICE);
        ranges.addAll(List.of(rich, poor));
        memory.commit(rich, 0, 2 * granule);
        write(rich, 0, BytePattern.of(1, 1), size);
        for (int i = 0; i < 10; i++) {
            assertThat(memory.decommit(rich, granule, granule).failure()).isEmpty();
            memory.commit(poor, 0, granule);
            write(poor, 0, BytePattern.of(2, i), size);
            BytePattern.of(2, i).requireIn(read(poor, 0, size));
            BytePattern.of(1, 1).requireIn(read(rich, 0, size));
            assertThat(memory.decommit(poor, 0, granule).failure()).isEmpty();
            memory.commit(rich, granule, granule);
        }
    }

    @Test
    void ranges_larger_than_the_memory_can_be_reserved() throws DriverException {
        VirtualMemory memory = virtualMemory();
        long granule = memory.granularity();
        for (int i = 0; i < 20; i++) {
            DriverBlock range = memory.reserve(64 * granule, MemoryKind.DEVICE);
            memory.commit(range, 63 * granule, granule);
            assertThat(memory.release(range).failure()).isEmpty();
        }
    }

    // What backends' own tests may use too.

    /**
     * The open driver.
     *
     * @return the driver
     */
    protected final DeviceDriver driver() {
        if (opened == null) {
            throw new IllegalStateException("no driver is open");
        }
        return opened;
    }

    /**
     * Allocates a block that the suite frees.
     *
     * @param kind     a supported kind
     * @param kibibytes how much at least
     * @return the block
     * @throws DriverException if the driver refuses
     */
    protected final DriverBlock allocate(MemoryKind kind, long kibibytes) throws DriverException {
        return allocateBytes(kind, roundUp(kind, kibibytes * 1024), traits(kind).baseAlignment());
    }

    /**
     * Opens a queue that the suite closes.
     *
     * @return the queue
     * @throws DriverException if the driver refuses
     */
    protected final DriverQueue queue() throws DriverException {
        DriverQueue queue = driver().openQueue();
        queues.add(queue);
        return queue;
    }

    /**
     * Brings a pattern into a block, by whichever way the driver offers.
     *
     * @param block      the block
     * @param byteOffset where in it
     * @param pattern    the pattern, from its beginning
     * @param byteSize   how much of it
     * @throws DriverException if the driver refuses
     */
    protected final void write(DriverBlock block, long byteOffset, BytePattern pattern, long byteSize)
            throws DriverException {
        DriverQueue queue = driver().openQueue();
        try (Arena scratch = Arena.ofShared()) {
            MemorySegment bytes = scratch.allocate(byteSize);
            pattern.writeTo(bytes);
            if (run(queue, new Copy(new InHost(bytes), new InBlock(block, byteOffset), byteSize))) {
                return;
            }
            if (traits(block.kind()).hostVisible()) {
                try (HostMapping mapping = driver().map(block, byteOffset, byteSize, MapAccess.WRITE_DISCARD)) {
                    mapping.segment().copyFrom(bytes);
                    mapping.flush();
                }
                return;
            }
            DriverBlock staging = driver().allocate(request(MemoryKind.UPLOAD, byteSize));
            try (HostMapping mapping = driver().map(staging, 0, byteSize, MapAccess.WRITE_DISCARD)) {
                mapping.segment().copyFrom(bytes);
                mapping.flush();
            }
            assertThat(run(queue, new Copy(new InBlock(staging, 0), new InBlock(block, byteOffset), byteSize)))
                    .as("some way leads into " + block.kind().label() + " memory")
                    .isTrue();
            assertThat(driver().free(staging).failure()).isEmpty();
        } finally {
            queue.close();
        }
    }

    /**
     * Brings bytes out of a block, by whichever way the driver offers.
     *
     * @param block      the block
     * @param byteOffset where in it
     * @param byteSize   how many
     * @return the bytes, valid until the end of the test
     * @throws DriverException if the driver refuses
     */
    protected final MemorySegment read(DriverBlock block, long byteOffset, long byteSize) throws DriverException {
        MemorySegment bytes = arena.allocate(byteSize);
        DriverQueue queue = driver().openQueue();
        try {
            if (run(queue, new Copy(new InBlock(block, byteOffset), new InHost(bytes), byteSize))) {
                return bytes;
            }
            if (traits(block.kind()).hostVisible()) {
                try (HostMapping mapping = driver().map(block, byteOffset, byteSize, MapAccess.READ)) {
                    mapping.invalidate();
                    bytes.copyFrom(mapping.segment());
                }
                return bytes;
            }
            DriverBlock staging = driver().allocate(request(MemoryKind.READBACK, byteSize));
            assertThat(run(queue, new Copy(new InBlock(block, byteOffset), new InBlock(staging, 0), byteSize)))
                    .as("some way leads out of " + block.kind().label() + " memory")
                    .isTrue();
            try (HostMapping mapping = driver().map(staging, 0, byteSize, MapAccess.READ)) {
                mapping.invalidate();
                bytes.copyFrom(mapping.segment());
            }
            assertThat(driver().free(staging).failure()).isEmpty();
            return bytes;
        } finally {
            queue.close();
        }
    }

    /**
     * Submits a command and waits for it.
     *
     * @param queue   where
     * @param command what
     * @return false if the driver does not support it
     * @throws DriverException if the driver fails otherwise
     */
    protected final boolean run(DriverQueue queue, TransferCommand command) throws DriverException {
        boolean served = submit(queue, command);
        finish(queue);
        return served;
    }

    private boolean submit(DriverQueue queue, TransferCommand command) throws DriverException {
        try {
            driver().submit(command, queue);
            return true;
        } catch (DriverException e) {
            if (e.kind() == DriverException.Kind.UNSUPPORTED) {
                return false;
            }
            throw e;
        }
    }

    private void finish(DriverQueue queue) throws DriverException {
        assertThat(driver().await(queue, driver().signal(queue), PATIENCE))
                .as("the queue gets on")
                .isTrue();
    }

    private void require(DriverBlock block, long byteOffset, BytePattern pattern, long byteSize)
            throws DriverException {
        pattern.requireIn(read(block, byteOffset, byteSize));
    }

    private void roundTrip(DriverBlock block, BytePattern pattern) throws DriverException {
        write(block, 0, pattern, block.byteSize());
        require(block, 0, pattern, block.byteSize());
    }

    private @Nullable Void churn(int id) throws DriverException {
        for (int i = 0; i < 25; i++) {
            DriverBlock block = driver().allocate(request(MemoryKind.DEVICE, 4096L << i % 4));
            BytePattern pattern = BytePattern.of(id, i);
            write(block, 0, pattern, block.byteSize());
            require(block, 0, pattern, block.byteSize());
            assertThat(driver().free(block).failure()).isEmpty();
        }
        return null;
    }

    private DriverBlock allocateBytes(MemoryKind kind, long byteSize, long byteAlignment) throws DriverException {
        DriverBlock block = driver().allocate(new BlockRequest(byteSize, byteAlignment, kind, "contract"));
        blocks.add(block);
        return block;
    }

    private BlockRequest request(MemoryKind kind, long byteSize) {
        return new BlockRequest(roundUp(kind, byteSize), traits(kind).baseAlignment(), kind, "contract");
    }

    private void free(DriverBlock block) {
        assertThat(blocks.remove(block)).isTrue();
        assertThat(driver().free(block).failure()).isEmpty();
    }

    private Set<Long> sizes(MemoryKind kind) {
        KindTraits traits = supported(kind);
        Set<Long> sizes = new LinkedHashSet<>();
        long granule = traits.granularity();
        for (long wanted : new long[] {1, granule + 1, 3 * granule, 64 << 10, MIB, 5 * MIB + 1}) {
            sizes.add(Math.min(roundUp(kind, wanted), traits.maxBlockBytes() / granule * granule));
        }
        return sizes;
    }

    private long roundUp(MemoryKind kind, long byteSize) {
        long granule = traits(kind).granularity();
        return (byteSize + granule - 1) & -granule;
    }

    private KindTraits traits(MemoryKind kind) {
        return driver().traits(kind);
    }

    private KindTraits supported(MemoryKind kind) {
        KindTraits traits = traits(kind);
        assumeTrue(traits.supported(), () -> device + " has no " + kind.label() + " memory");
        return traits;
    }

    private VirtualMemory virtualMemory() {
        VirtualMemory memory =
                driver().virtualMemory().orElseGet(() -> abort(device + " has no address ranges of its own"));
        assertThat(memory.supports(MemoryKind.DEVICE)).isTrue();
        return memory;
    }

    private static void assertSane(MemoryBudget budget) {
        assertThat(budget.totalBytes()).isPositive();
        assertThat(budget.detail()).isNotBlank();
        budget.freeBytes().ifPresent(free -> assertThat(free).isBetween(0L, budget.totalBytes()));
    }

    private static void skip(String reason) {
        System.out.println(reason);
        abort(reason);
    }
}
