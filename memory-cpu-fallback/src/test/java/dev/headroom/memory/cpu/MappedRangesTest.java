package dev.headroom.memory.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MappedRangesTest {

    private static final long PIECE = 2L << 20;

    private static MappedRanges over(LinuxMemory memory) {
        return new MappedRanges(memory, new MappedBlocks(memory));
    }

    /** A reserved range of two pieces, mapped by call 1; call 2 cuts its end, call 3 asks for large pages. */
    private static HostBlock reserved(MappedRanges ranges) throws DriverException {
        return (HostBlock) ranges.reserve(2 * PIECE, MemoryKind.DEVICE);
    }

    @Nested
    class Calls {

        private final ScriptedMemory memory = new ScriptedMemory();
        private final MappedRanges ranges = over(memory);

        @Test
        void goThroughALife() throws DriverException {
            HostBlock range = reserved(ranges);
            ranges.commit(range, PIECE, PIECE);
            assertThat(ranges.decommit(range, PIECE, PIECE).isFreed()).isTrue();
            assertThat(ranges.release(range).isFreed()).isTrue();
            assertThat(memory.calls)
                    .containsExactly(
                            "map 1535 prot 0 flags 0x4022",
                            "unmap 1024+511",
                            "advise 0+1024 14",
                            "protect 512+512 3",
                            "advise 512+512 4",
                            "unmap 0+1024");
            assertThat(memory.mappedPages()).isZero();
        }

        @ParameterizedTest
        @EnumSource(MemoryKind.class)
        void serveAllKinds(MemoryKind kind) throws DriverException {
            assertThat(ranges.supports(kind)).isTrue();
            assertThat(ranges.reserve(PIECE, kind).kind()).isEqualTo(kind);
        }
    }

    @Nested
    class Failures {

        @Test
        void aRefusedReservationKeepsNothing() {
            ScriptedMemory memory = new ScriptedMemory().fail(1, LinuxMemory.ENOMEM);
            DriverException failure = catchThrowableOfType(DriverException.class, () -> reserved(over(memory)));
            assertThat(failure.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
            assertThat(memory.calls).hasSize(1);
        }

        @Test
        void aKernelWithoutLargePagesIsAsGood() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory().fail(3, LinuxMemory.EINVAL);
            MappedRanges ranges = over(memory);
            HostBlock range = reserved(ranges);
            ranges.commit(range, 0, PIECE);
            assertThat(memory.protection(range.address())).isEqualTo(LinuxMemory.PROT_READ_WRITE);
            assertThat(ranges.release(range).isFreed()).isTrue();
            assertThat(memory.mappedPages()).isZero();
        }

        @Test
        void aCommitThatFailsHalfWayIsTakenBack() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory().fail(4, LinuxMemory.ENOMEM);
            MappedRanges ranges = over(memory);
            HostBlock range = reserved(ranges);
            DriverException failure = catchThrowableOfType(DriverException.class, () -> ranges.commit(range, 0, PIECE));
            assertThat(failure.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
            assertThat(failure.call()).isEqualTo("mprotect");
            assertThat(memory.calls.subList(3, memory.calls.size()))
                    .containsExactly("protect 0+512 3", "protect 0+512 0");
            assertThat(memory.protection(range.address())).isEqualTo(LinuxMemory.PROT_NONE);
        }

        @Test
        void aCommitThatCannotBeTakenBackSaysBoth() throws DriverException {
            ScriptedMemory memory =
                    new ScriptedMemory().fail(4, LinuxMemory.ENOMEM).fail(5, LinuxMemory.EINVAL);
            MappedRanges ranges = over(memory);
            HostBlock range = reserved(ranges);
            DriverException failure = catchThrowableOfType(DriverException.class, () -> ranges.commit(range, 0, PIECE));
            assertThat(failure.nativeCode()).isEqualTo(LinuxMemory.ENOMEM);
            assertThat(failure.getSuppressed()).hasSize(1);
        }

        @Test
        void aDecommitThatCannotDropLeavesThePieceAsItWas() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory().fail(5, LinuxMemory.EINVAL);
            MappedRanges ranges = over(memory);
            HostBlock range = reserved(ranges);
            ranges.commit(range, 0, PIECE);
            FreeOutcome outcome = ranges.decommit(range, 0, PIECE);
            assertThat(outcome.failure()).map(DriverException::call).hasValue("madvise");
            assertThat(memory.calls.subList(4, memory.calls.size())).containsExactly("advise 0+512 4");
            assertThat(memory.dropped(range.address())).isFalse();
            assertThat(memory.protection(range.address())).isEqualTo(LinuxMemory.PROT_READ_WRITE);
        }

        @Test
        void aRangeTheKernelKeepsIsReported() throws DriverException {
            ScriptedMemory memory = new ScriptedMemory().fail(4, LinuxMemory.ENOMEM);
            MappedRanges ranges = over(memory);
            FreeOutcome outcome = ranges.release(reserved(ranges));
            assertThat(outcome.failure()).map(DriverException::call).hasValue("munmap");
        }

        /**
         * Fails each call of a whole life in turn: whatever the step answers, the next steps go on from a known state.
         */
        @Test
        void eachCallOfALifeMayFail() throws DriverException {
            int failed = 0;
            for (int n = 1; n <= 6; n++) {
                ScriptedMemory memory = new ScriptedMemory(1).fail(n, LinuxMemory.ENOMEM);
                MappedRanges ranges = over(memory);
                HostBlock range;
                try {
                    range = reserved(ranges);
                } catch (DriverException refused) {
                    failed++;
                    assertThat(memory.mappedPages()).as("call %d", n).isZero();
                    continue;
                }
                try {
                    ranges.commit(range, 0, PIECE);
                    failed += ranges.decommit(range, 0, PIECE).isFreed() ? 0 : 1;
                } catch (DriverException refused) {
                    failed++;
                }
                boolean gone = ranges.release(range).isFreed();
                failed += gone ? 0 : 1;
                assertThat(memory.mappedPages()).as("call %d", n).isEqualTo(gone ? 0 : 1024);
            }
            assertThat(failed).as("all but call 4, which is only advice").isEqualTo(5);
        }
    }

    @Nested
    class OnLinux {

        private final MappedRanges ranges = over(MappedBlocksTest.linux());

        @Test
        void commitTakesMemoryAndDecommitReturnsIt() throws Exception {
            long byteSize = 64L << 20;
            HostBlock range = (HostBlock) ranges.reserve(1L << 30, MemoryKind.DEVICE);
            assertThat(range.address() % PIECE).isZero();
            assertThat(residentBytes(range)).isZero();

            ranges.commit(range, 8 * PIECE, byteSize);
            assertThat(residentBytes(range)).isZero();
            MemorySegment piece = range.segment().asSlice(8 * PIECE, byteSize);
            piece.fill((byte) 1);
            long touched = residentBytes(range);
            assertThat(touched).isGreaterThanOrEqualTo(byteSize);

            assertThat(ranges.decommit(range, 8 * PIECE, byteSize).isFreed()).isTrue();
            assertThat(touched - residentBytes(range)).isGreaterThanOrEqualTo(56L << 20);
            assertThat(piece.get(ValueLayout.JAVA_BYTE, 0))
                    .as("a stale view reads zeros")
                    .isZero();

            ranges.commit(range, 8 * PIECE, byteSize);
            assertThat(piece.get(ValueLayout.JAVA_BYTE, byteSize - 1)).isZero();
            piece.fill((byte) 2);
            assertThat(piece.get(ValueLayout.JAVA_BYTE, byteSize - 1)).isEqualTo((byte) 2);
            assertThat(ranges.release(range).isFreed()).isTrue();
        }

        @Test
        void oneDecommitCoversSeveralCommits() throws DriverException {
            HostBlock range = (HostBlock) ranges.reserve(8 * PIECE, MemoryKind.DEVICE);
            for (int i : new int[] {1, 3, 2, 4}) {
                ranges.commit(range, i * PIECE, PIECE);
                range.segment().asSlice(i * PIECE, PIECE).fill((byte) i);
            }
            for (int i = 1; i <= 4; i++) {
                assertThat(range.segment().get(ValueLayout.JAVA_BYTE, (i + 1) * PIECE - 1))
                        .isEqualTo((byte) i);
            }
            assertThat(ranges.decommit(range, 2 * PIECE, 2 * PIECE).isFreed()).isTrue();
            assertThat(range.segment().get(ValueLayout.JAVA_BYTE, PIECE)).isEqualTo((byte) 1);
            assertThat(range.segment().get(ValueLayout.JAVA_BYTE, 4 * PIECE)).isEqualTo((byte) 4);
            assertThat(ranges.release(range).isFreed()).isTrue();
        }

        @Test
        void releaseTakesWhatIsStillCommitted() throws Exception {
            HostBlock range = (HostBlock) ranges.reserve(16 * PIECE, MemoryKind.DEVICE);
            ranges.commit(range, 0, 16 * PIECE);
            range.segment().fill((byte) 3);
            assertThat(ranges.release(range).isFreed()).isTrue();
            assertThat(residentBytes(range)).isZero();
        }

        /** What of a block's addresses has memory behind it, by the kernel's account. */
        private static long residentBytes(HostBlock block) throws IOException {
            long resident = 0;
            boolean inside = false;
            for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
                String[] words = line.split("\\s+");
                if (words[0].matches("[0-9a-f]+-[0-9a-f]+")) {
                    String[] ends = words[0].split("-");
                    long from = Long.parseUnsignedLong(ends[0], 16);
                    long to = Long.parseUnsignedLong(ends[1], 16);
                    inside = from >= 0 && from < block.address() + block.byteSize() && to > block.address();
                } else if (inside && words[0].equals("Rss:")) {
                    resident += Long.parseLong(words[1]) << 10;
                }
            }
            return resident;
        }
    }
}
