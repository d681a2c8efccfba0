package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.MemoryBackend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;

/**
 * An open pool for each test of {@link PoolContract}, and ways to bring patterns into its buffers and out again. What a
 * backend's author overrides is described there.
 */
@SuppressWarnings("NullAway.Init") // the fields are set before each test
abstract class PoolFixture {

    /** The limit of the pool under test. */
    protected static final long LIMIT_BYTES = 64 << 20;

    static final long MIB = 1 << 20;
    static final int SEED = 20260101;

    Arena arena;
    GpuMemory memory;
    GpuMemoryPool pool;

    private final List<GpuMemory> opened = new ArrayList<>();

    // The hooks. PoolContract says what each is and opens them to authors.

    abstract MemoryBackend newBackend();

    abstract Optional<MemoryBackend> newFallback();

    abstract GpuDevice choose(List<GpuDevice> devices);

    abstract Optional<String> reasonToSkip(String test);

    abstract GpuMemory.Builder refine(GpuMemory.Builder builder);

    abstract List<Ledger> ledgers();

    abstract MemoryConfig.Builder config();

    /** Opens the pool, or skips the test and says why. */
    @BeforeEach
    void openPool(TestInfo test) {
        String name = test.getTestMethod().orElseThrow().getName();
        arena = Arena.ofShared();
        reasonToSkip(name).ifPresent(reason -> skip(name + " is skipped: " + reason));
        try (MemoryBackend backend = newBackend()) {
            if (backend.probe() instanceof BackendProbe.Unavailable(String reason, String hint)) {
                skip(backend.name() + " is not tested: " + reason + " (" + hint + ")");
            }
        }
        reopen(config().build());
    }

    /** Closes everything; what the driver still holds then is a leak. */
    @AfterEach
    void closePool() {
        opened.forEach(GpuMemory::close);
        arena.close();
        assertThat(ledgers())
                .allSatisfy(ledger ->
                        assertThat(ledger.isEmpty()).as(ledger.describe()).isTrue());
    }

    // What backends' own tests may use too.

    /**
     * The pool under test.
     *
     * @return the pool
     */
    protected final GpuMemoryPool pool() {
        return pool;
    }

    /**
     * Opens memory and pool anew; what was open before is closed first.
     *
     * @param newConfig the configuration
     */
    protected final void reopen(MemoryConfig newConfig) {
        opened.forEach(GpuMemory::close);
        opened.clear();
        MemoryBackend backend = newBackend();
        GpuMemory.Builder builder = GpuMemory.builder().config(newConfig).backend(backend);
        newFallback().ifPresent(builder::backend);
        memory = refine(builder).open();
        opened.add(memory);
        pool = memory.pool(choose(memory.devices().stream()
                .filter(device -> device.backend().equals(backend.name()))
                .toList()));
    }

    /**
     * Writes a pattern over a whole buffer and reads it back.
     *
     * @param buffer  the buffer
     * @param pattern the pattern
     */
    protected final void roundTrip(MemoryBuffer buffer, BytePattern pattern) {
        write(buffer, pattern);
        require(buffer, pattern);
    }

    final void write(MemoryBuffer buffer, BytePattern pattern) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment bytes = scratch.allocate(buffer.byteSize());
            pattern.writeTo(bytes);
            buffer.write(0, bytes);
        }
    }

    final MemorySegment read(MemoryBuffer buffer) {
        MemorySegment bytes = arena.allocate(buffer.byteSize());
        buffer.read(0, bytes);
        return bytes;
    }

    final void require(MemoryBuffer buffer, BytePattern pattern) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment bytes = scratch.allocate(buffer.byteSize());
            buffer.read(0, bytes);
            pattern.requireIn(bytes);
        }
    }

    static void assertOutOfRange(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(IndexOutOfBoundsException.class);
    }

    static void assertBadArgument(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class);
    }

    static void assertClosed(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(BufferClosedException.class);
    }

    final void requireFallback() {
        assumeTrue(
                memory.devices().stream().anyMatch(device -> device.backend().equals("cpu"))
                        && !pool.backendName().equals("cpu"),
                "there is nothing to fall back to");
    }

    final GpuMemoryPool fallbackPool() {
        requireFallback();
        return memory.pool(memory.devices().stream()
                .filter(device -> device.backend().equals("cpu"))
                .findFirst()
                .orElseThrow());
    }

    private static void skip(String reason) {
        System.out.println(reason);
        abort(reason);
    }
}
