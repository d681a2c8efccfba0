package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.VirtualMemory;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The part of {@link DriverContract} about memory: blocks, and address ranges that blocks are put into. */
abstract class DriverBlockTests extends DriverBackendTests {

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

    private Set<Long> sizes(MemoryKind kind) {
        KindTraits traits = supported(kind);
        Set<Long> sizes = new LinkedHashSet<>();
        long granule = traits.granularity();
        for (long wanted : new long[] {1, granule + 1, 3 * granule, 64 << 10, MIB, 5 * MIB + 1}) {
            sizes.add(Math.min(roundUp(kind, wanted), traits.maxBlockBytes() / granule * granule));
        }
        return sizes;
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

    private VirtualMemory virtualMemory() {
        VirtualMemory memory =
                driver().virtualMemory().orElseGet(() -> abort(device + " has no address ranges of its own"));
        assertThat(memory.supports(MemoryKind.DEVICE)).isTrue();
        return memory;
    }
}
