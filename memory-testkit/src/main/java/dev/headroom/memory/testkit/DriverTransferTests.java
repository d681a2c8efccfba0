package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The part of {@link DriverContract} about bytes: transfers, and mappings through which the host reaches them. */
abstract class DriverTransferTests extends DriverBlockTests {

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
}
