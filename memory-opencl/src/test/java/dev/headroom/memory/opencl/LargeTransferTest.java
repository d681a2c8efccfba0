package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.testkit.BytePattern;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** One transfer of more bytes than an {@code int} counts: through a mapping, and through the driver. */
@Tag("long")
class LargeTransferTest {

    private static final long BYTES = (2L << 30) + (64 << 20) + 3;

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void more_than_two_gibibytes(boolean card) {
        ScriptedCl cl = card ? ScriptedCl.asCard() : ScriptedCl.overReal();
        try (GpuMemory memory = GpuMemory.builder().backend(cl.backend()).open();
                Arena arena = Arena.ofShared()) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            long largest = pool.device().maxAllocationBytes().orElse(Long.MAX_VALUE);
            assumeTrue(
                    largest > BYTES && pool.usableBytes() > 2 * BYTES,
                    () -> "the largest allocation here is " + largest + " bytes, " + pool.usableBytes()
                            + " are usable");
            MemorySegment bytes = arena.allocate(BYTES);
            BytePattern pattern = BytePattern.of(3, 1);
            pattern.writeTo(bytes);
            try (DeviceBuffer buffer = pool.allocate(BYTES)) {
                buffer.write(0, bytes);
                bytes.fill((byte) 0);
                buffer.read(0, bytes);
                pattern.requireIn(bytes);
            }
            assertThat(cl.calls(card ? "write" : "map")).isPositive();
        }
        assertThat(cl.faults()).isEmpty();
    }
}
