package dev.headroom.memory.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MappedBlocksTest {

    private static final long PAGE = ScriptedMemory.PAGE;

    private static DriverException allocateFails(ScriptedMemory memory, long pages, long alignmentPages) {
        return catchThrowableOfType(
                DriverException.class,
                () -> new MappedBlocks(memory).allocate(pages * PAGE, alignmentPages * PAGE, MemoryKind.DEVICE));
    }

    @Nested
    class Calls {

        @Test
        void takesABlockInOneCallAndReturnsItInOne() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory();
            MappedBlocks blocks = new MappedBlocks(memory);
            HostBlock block = blocks.allocate(4 * PAGE, PAGE, MemoryKind.UPLOAD);
            assertThat(block.byteSize()).isEqualTo(4 * PAGE);
            assertThat(block.kind()).isEqualTo(MemoryKind.UPLOAD);
            assertThat(blocks.free(block).isFreed()).isTrue();
            assertThat(memory.calls).containsExactly("map 4 prot 3 flags 0x22", "unmap 0+4");
        }

        @Test
        void cutsBothEndsOfAMappingMadeForAlignment() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory(3);
            MappedBlocks blocks = new MappedBlocks(memory);
            HostBlock block = blocks.allocate(2 * PAGE, 8 * PAGE, MemoryKind.DEVICE);
            assertThat(block.address() % (8 * PAGE)).isZero();
            assertThat(memory.calls).containsExactly("map 9 prot 3 flags 0x22", "unmap 0+5", "unmap 7+2");
            assertThat(memory.mappedPages()).isEqualTo(2);
            blocks.free(block);
            assertThat(memory.mappedPages()).isZero();
        }

        @ParameterizedTest
        @CsvSource({"0, 'map 9 prot 3 flags 0x22;unmap 2+7'", "1, 'map 9 prot 3 flags 0x22;unmap 0+7'"})
        void cutsOnlyTheEndThatIsThere(long pagesOff, String expected) throws DriverException {
            ScriptedMemory memory = new ScriptedMemory(pagesOff);
            HostBlock block = new MappedBlocks(memory).allocate(2 * PAGE, 8 * PAGE, MemoryKind.DEVICE);
            assertThat(block.address() % (8 * PAGE)).isZero();
            assertThat(memory.calls).containsExactly(expected.split(";"));
        }
    }

    @Nested
    class Failures {

        @ParameterizedTest
        @CsvSource({
            "12, OUT_OF_MEMORY, ENOMEM",
            "11, OUT_OF_MEMORY, EAGAIN",
            "22, UNEXPECTED, EINVAL",
            "1, UNEXPECTED, error number 1"
        })
        void saysWhatTheKernelSaid(int error, DriverException.Kind kind, String text) {
            DriverException failure = allocateFails(new ScriptedMemory().fail(1, error), 4, 1);
            assertThat(failure.kind()).isEqualTo(kind);
            assertThat(failure.nativeCode()).isEqualTo(error);
            assertThat(failure).hasMessage("mmap failed: " + text + " (code " + error + ")");
        }

        @Test
        void givesEverythingBackWhenTheFrontCannotBeCut() {
            ScriptedMemory memory = new ScriptedMemory(3).fail(2, LinuxMemory.ENOMEM);
            DriverException failure = allocateFails(memory, 2, 8);
            assertThat(failure.call()).isEqualTo("munmap");
            assertThat(memory.calls).containsExactly("map 9 prot 3 flags 0x22", "unmap 0+5", "unmap 0+9");
            assertThat(memory.mappedPages()).isZero();
        }

        @Test
        void givesOnlyTheRestBackWhenTheEndCannotBeCut() {
            ScriptedMemory memory = new ScriptedMemory(3).fail(3, LinuxMemory.ENOMEM);
            allocateFails(memory, 2, 8);
            assertThat(memory.calls).containsExactly("map 9 prot 3 flags 0x22", "unmap 0+5", "unmap 7+2", "unmap 5+4");
            assertThat(memory.mappedPages()).isZero();
        }

        @Test
        void tellsOfASecondFailureWithTheFirst() {
            ScriptedMemory memory =
                    new ScriptedMemory(3).fail(2, LinuxMemory.ENOMEM).fail(3, LinuxMemory.EINVAL);
            assertThat(allocateFails(memory, 2, 8).getSuppressed())
                    .singleElement()
                    .satisfies(second -> assertThat(second).hasMessage("munmap failed: EINVAL (code 22)"));
        }

        @Test
        void reportsABlockTheKernelKeeps() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory().fail(2, LinuxMemory.ENOMEM);
            MappedBlocks blocks = new MappedBlocks(memory);
            HostBlock block = blocks.allocate(PAGE, PAGE, MemoryKind.DEVICE);
            FreeOutcome outcome = blocks.free(block);
            assertThat(outcome.failure()).hasValueSatisfying(failure -> {
                assertThat(failure.call()).isEqualTo("munmap");
                assertThat(failure.nativeCode()).isEqualTo(LinuxMemory.ENOMEM);
            });
            assertThatThrownBy(() -> block.segment().get(ValueLayout.JAVA_BYTE, 0))
                    .as("nobody may touch a block given back, whatever became of it")
                    .isInstanceOf(IllegalStateException.class);
        }
    }

    @Nested
    class OnLinux {

        private final MappedBlocks blocks = new MappedBlocks(linux());

        @ParameterizedTest
        @ValueSource(longs = {4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152})
        void alignsAndKeepsBlocksApart(long alignment) throws DriverException {
            List<HostBlock> all = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                HostBlock block = blocks.allocate((1 + i % 5) * blocks.granularity(), alignment, MemoryKind.DEVICE);
                assertThat(block.address() % alignment).isZero();
                block.segment().fill((byte) i);
                all.add(block);
            }
            for (int i = 0; i < all.size(); i++) {
                byte value = (byte) i;
                MemorySegment segment = all.get(i).segment();
                assertThat(segment.toArray(ValueLayout.JAVA_BYTE)).containsOnly(value);
            }
            for (HostBlock block : all) {
                assertThat(blocks.free(block).isFreed()).isTrue();
            }
        }

        @Test
        void aKeptSegmentThrowsOnceTheBlockIsGone() throws DriverException {
            HostBlock block = blocks.allocate(blocks.granularity(), blocks.granularity(), MemoryKind.DEVICE);
            MemorySegment kept = block.segment().asSlice(16, 64);
            kept.set(ValueLayout.JAVA_INT, 0, 7);
            blocks.free(block);
            assertThatThrownBy(() -> kept.get(ValueLayout.JAVA_INT, 0)).isInstanceOf(IllegalStateException.class);
        }

        @Test
        void answersOrRefusesATebibyte() {
            try {
                HostBlock block = blocks.allocate(1L << 40, blocks.granularity(), MemoryKind.DEVICE);
                assertThat(blocks.free(block).isFreed()).isTrue();
            } catch (DriverException refused) {
                assertThat(refused.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
            }
        }

        @Test
        void refusesWhatNoAddressSpaceHolds() {
            assertThatThrownBy(() -> blocks.allocate(1L << 60, 2L << 20, MemoryKind.DEVICE))
                    .isInstanceOfSatisfying(
                            DriverException.class,
                            failure -> assertThat(failure.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY));
        }
    }

    /** The real calls; skips the test where there are none. */
    static LinuxMemory linux() {
        Optional<LinuxMemory> linux = LinuxLibrary.find();
        assumeTrue(linux.isPresent(), "needs Linux and permission for native calls");
        return linux.orElseThrow();
    }
}
