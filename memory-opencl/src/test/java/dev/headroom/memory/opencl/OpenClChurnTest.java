package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.testkit.ChildProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A hundred thousand rounds leave the process as ten thousand did. Each runs in a JVM with a heap of fixed size, all of it
 * touched, so that what grows is not Java's.
 */
class OpenClChurnTest {

    private static final long MOST_GROWTH_BYTES = 8 << 20;
    private static final List<String> FIXED_HEAP =
            List.of("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1");

    @TempDir
    Path folder;

    @BeforeEach
    void needsOpenClAndLinux() {
        ScriptedCl.realOrSkip();
        assumeTrue(Files.exists(Path.of("/proc/self/status")), "needs /proc");
    }

    @ParameterizedTest
    @EnumSource
    void nothing_grows(OpenClChurn.Way way) throws Exception {
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.addAll(FIXED_HEAP);
        ChildProcess ended = ChildProcess.run(OpenClChurn.class, folder, Map.of(), options, way.name());
        assertThat(ended.err()).isEmpty();
        assertThat(ended.code()).isZero();
        System.out.println(way + ": " + ended.out());
        assertThat(ended.out()).hasSize(2);
        OpenClChurn.Holdings early = OpenClChurn.Holdings.parse(ended.out().getFirst());
        OpenClChurn.Holdings late = OpenClChurn.Holdings.parse(ended.out().getLast());
        assertThat(late.residentBytes()).isLessThanOrEqualTo(early.residentBytes() + MOST_GROWTH_BYTES);
        assertThat(late.files()).isEqualTo(early.files());
        assertThat(late.threads()).isEqualTo(early.threads());
    }
}
