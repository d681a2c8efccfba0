package dev.headroom.memory.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryBudget.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Budgets from trees of files as kernels write them: 16 GiB of memory, 8 GiB of it available, unless said otherwise.
 */
class HostMemoryTest {

    private static final long GIB = 1L << 30;
    private static final String MACHINE =
            "MemTotal:       16777216 kB\nMemFree:         2097152 kB\nMemAvailable:    8388608 kB\n";
    private static final String GROUP = "sys/fs/cgroup/";

    @TempDir
    Path root;

    private void file(String name, String text) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
    }

    private MemoryBudget read() {
        return new HostMemory(root, () -> MemoryBudget.unknown(1, "elsewhere")).read();
    }

    private static void assertBudget(MemoryBudget budget, long totalBytes, long freeBytes, String detail) {
        assertThat(budget.totalBytes()).isEqualTo(totalBytes);
        assertThat(budget.freeBytes()).hasValue(freeBytes);
        assertThat(budget.source()).isEqualTo(Source.MEASURED);
        assertThat(budget.detail()).isEqualTo(detail);
        assertThat(budget.lagging()).isTrue();
    }

    @Test
    void aMachineWithoutGroups() throws IOException {
        file("proc/meminfo", MACHINE);
        assertBudget(read(), 16 * GIB, 8 * GIB, "MemAvailable of /proc/meminfo");
    }

    @Test
    void anOldKernelWithoutAnAvailableFigure() throws IOException {
        file("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 2097152 kB\n");
        assertBudget(read(), 16 * GIB, 2 * GIB, "MemFree of /proc/meminfo");
    }

    @Test
    void noFreeFigureAtAll() throws IOException {
        file("proc/meminfo", "MemTotal: 16777216 kB\n");
        MemoryBudget budget = read();
        assertThat(budget.totalBytes()).isEqualTo(16 * GIB);
        assertThat(budget.freeBytes()).isEqualTo(OptionalLong.empty());
        assertThat(budget.detail()).isEqualTo("MemTotal of /proc/meminfo");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "\n\n",
                "MemTotal:",
                "MemTotal: many kB",
                "MemTotal 16777216 kB",
                "MemTotal: -5 kB",
                "MemTotal: 99999999999999999999 kB"
            })
    void aMalformedFileIsNoFile(String text) throws IOException {
        file("proc/meminfo", text);
        assertThat(read().detail()).isEqualTo("elsewhere");
    }

    @Test
    void noFileMeansSomebodyElseIsAsked() throws IOException {
        MemoryBudget budget = read();
        assertThat(budget.detail()).isEqualTo("elsewhere");
        assertThat(budget.lagging()).isTrue();
    }

    @Test
    void bytesThatAreNoTextAreNoFile() throws IOException {
        Files.createDirectories(root.resolve("proc"));
        Files.write(root.resolve("proc/meminfo"), new byte[] {(byte) 0xc3, 0x28, (byte) 0xff, 0});
        assertThat(read().detail()).isEqualTo("elsewhere");
    }

    @Test
    void figuresBeyondALongAreCutToIt() throws IOException {
        file("proc/meminfo", "MemTotal: 18446744073709551615 kB\nMemFree: 7 kB\n");
        MemoryBudget budget = read();
        assertThat(budget.totalBytes()).isGreaterThan(Long.MAX_VALUE - 1024);
        assertThat(budget.freeBytes()).hasValue(7 << 10);
    }

    @Test
    void aContainerThatSeesItsGroupAsTheRoot() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "0::/\n");
        file(GROUP + "memory.max", "4294967296\n");
        file(GROUP + "memory.current", "2147483648\n");
        file(GROUP + "memory.stat", "anon 5\nfile 6\ninactive_file 1073741824\nactive_file 9\n");
        assertBudget(read(), 4 * GIB, 3 * GIB, "cgroup limit 4 GiB");
    }

    @Test
    void nestedGroupsOfWhichTheMiddleIsTightest() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "0::/slice/unit/leaf\n");
        file(GROUP + "slice/memory.max", "8589934592\n");
        file(GROUP + "slice/memory.current", "6442450944\n");
        file(GROUP + "slice/unit/memory.max", "4294967296\n");
        file(GROUP + "slice/unit/memory.current", "3221225472\n");
        file(GROUP + "slice/unit/leaf/memory.max", "max\n");
        file(GROUP + "slice/unit/leaf/memory.current", "1\n");
        assertBudget(read(), 4 * GIB, GIB, "cgroup limit 4 GiB");
    }

    @Test
    void theLowestTotalAndTheLowestFreeMayBeDifferentGroups() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "0::/slice/unit\n");
        file(GROUP + "slice/memory.max", "8589934592\n");
        file(GROUP + "slice/memory.current", "7516192768\n");
        file(GROUP + "slice/unit/memory.max", "4294967296\n");
        file(GROUP + "slice/unit/memory.current", "0\n");
        assertBudget(read(), 4 * GIB, GIB, "cgroup limit 8 GiB");
    }

    @Test
    void theMachineMayHaveLessLeftThanTheGroup() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "0::/g\n");
        file(GROUP + "g/memory.max", "12884901888\n");
        file(GROUP + "g/memory.current", "1073741824\n");
        assertBudget(read(), 12 * GIB, 8 * GIB, "MemAvailable of /proc/meminfo, within cgroup limit 12 GiB");
    }

    @Test
    void aGroupThatIsFullHasNothingFree() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "0::/g\n");
        file(GROUP + "g/memory.max", "1073741824\n");
        file(GROUP + "g/memory.current", "1073750000\n");
        assertBudget(read(), GIB, 0, "cgroup limit 1 GiB");
    }

    @Test
    void aGroupWithoutUsageFilesStillLimits() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "0::/g\n");
        file(GROUP + "g/memory.max", "1073741824\n");
        assertBudget(read(), GIB, GIB, "cgroup limit 1 GiB");
    }

    @Test
    void versionOneBesideAnEmptyVersionTwo() throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "9:name=systemd:/\n4:hugetlb,memory:/box/one\n1:cpu:/\n0::/\n");
        file(GROUP + "memory/memory.limit_in_bytes", "9223372036854771712\n");
        file(GROUP + "memory/box/memory.limit_in_bytes", "6442450944\n");
        file(GROUP + "memory/box/memory.usage_in_bytes", "3221225472\n");
        file(GROUP + "memory/box/memory.stat", "inactive_file 5\ntotal_inactive_file 1073741824\n");
        file(GROUP + "memory/box/one/memory.limit_in_bytes", "9223372036854771712\n");
        assertBudget(read(), 6 * GIB, 4 * GIB, "cgroup limit 6 GiB");
    }

    @ParameterizedTest
    @ValueSource(strings = {"9223372036854771712", "18446744073709551615", "max", "", "lots", "-1", "17179869184"})
    void aLimitThatLimitsNothing(String limit) throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", "4:memory:/g\n");
        file(GROUP + "memory/g/memory.limit_in_bytes", limit);
        assertBudget(read(), 16 * GIB, 8 * GIB, "MemAvailable of /proc/meminfo");
    }

    @ParameterizedTest
    @CsvSource({
        "0::/docker/abc, path seen from outside",
        "0::/../../other, path out of a namespace",
        "0::/a (deleted), group removed",
        "0::, empty path",
        "0::a/b, no leading slash"
    })
    void aPathThatIsNotThereEndsAtTheMount(String line, String ignoredWhy) throws IOException {
        Files.createDirectories(root.resolve("sys/fs/other"));
        Files.writeString(root.resolve("sys/fs/other/memory.max"), "1");
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", line + "\n");
        file(GROUP + "memory.max", "2147483648\n");
        file(GROUP + "memory.current", "1073741824\n");
        assertBudget(read(), 2 * GIB, GIB, "cgroup limit 2 GiB");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "::", "0:", "nonsense", "0:x:/g", "\0:\0:\0", "4:memory", "0::/\0"})
    void malformedGroupLinesAreNoLimit(String line) throws IOException {
        file("proc/meminfo", MACHINE);
        file("proc/self/cgroup", line + "\n");
        file(GROUP + "g/memory.max", "1");
        assertBudget(read(), 16 * GIB, 8 * GIB, "MemAvailable of /proc/meminfo");
    }

    @Test
    void thisMachineAnswers() {
        MemoryBudget budget = HostMemory.ofSystem().read();
        assertThat(budget.totalBytes()).isPositive();
        assertThat(budget.lagging()).isTrue();
        assertThat(budget.detail()).isNotBlank();
    }
}
