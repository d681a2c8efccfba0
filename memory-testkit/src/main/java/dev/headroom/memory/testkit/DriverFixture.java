package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;

/**
 * An open driver for each test of {@link DriverContract}, and ways to bring bytes into its blocks and out again. What a
 * backend's author overrides is described there.
 */
@SuppressWarnings("NullAway.Init") // the fields are set before each test
abstract class DriverFixture {

    /** How long work may take before it counts as stuck. */
    protected static final Duration PATIENCE = Duration.ofSeconds(30);

    static final long MIB = 1 << 20;

    final List<DriverBlock> blocks = new ArrayList<>();
    final List<DriverBlock> ranges = new ArrayList<>();
    MemoryBackend backend;
    GpuDevice device;

    @Nullable
    DeviceDriver opened;

    private final List<DriverQueue> queues = new ArrayList<>();
    private Arena arena;

    // The hooks. DriverContract says what each is and opens them to authors.

    abstract MemoryBackend newBackend();

    abstract GpuDevice choose(List<GpuDevice> devices);

    abstract Optional<String> reasonToSkip(String test);

    abstract Optional<NativeQueue> userQueue(DeviceDriver driver);

    abstract boolean mayExhaust();

    abstract List<Ledger> ledgers();

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

    final boolean submit(DriverQueue queue, TransferCommand command) throws DriverException {
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

    final void finish(DriverQueue queue) throws DriverException {
        assertThat(driver().await(queue, driver().signal(queue), PATIENCE))
                .as("the queue gets on")
                .isTrue();
    }

    final void require(DriverBlock block, long byteOffset, BytePattern pattern, long byteSize) throws DriverException {
        pattern.requireIn(read(block, byteOffset, byteSize));
    }

    final void roundTrip(DriverBlock block, BytePattern pattern) throws DriverException {
        write(block, 0, pattern, block.byteSize());
        require(block, 0, pattern, block.byteSize());
    }

    final DriverBlock allocateBytes(MemoryKind kind, long byteSize, long byteAlignment) throws DriverException {
        DriverBlock block = driver().allocate(new BlockRequest(byteSize, byteAlignment, kind, "contract"));
        blocks.add(block);
        return block;
    }

    final BlockRequest request(MemoryKind kind, long byteSize) {
        return new BlockRequest(roundUp(kind, byteSize), traits(kind).baseAlignment(), kind, "contract");
    }

    final void free(DriverBlock block) {
        assertThat(blocks.remove(block)).isTrue();
        assertThat(driver().free(block).failure()).isEmpty();
    }

    final long roundUp(MemoryKind kind, long byteSize) {
        long granule = traits(kind).granularity();
        return (byteSize + granule - 1) & -granule;
    }

    final KindTraits traits(MemoryKind kind) {
        return driver().traits(kind);
    }

    final KindTraits supported(MemoryKind kind) {
        KindTraits traits = traits(kind);
        assumeTrue(traits.supported(), () -> device + " has no " + kind.label() + " memory");
        return traits;
    }

    private static void skip(String reason) {
        System.out.println(reason);
        abort(reason);
    }
}
