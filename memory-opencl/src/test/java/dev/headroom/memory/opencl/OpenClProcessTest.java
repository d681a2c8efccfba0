package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.testkit.ChildProcess;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jocl.CL;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What can only be seen from outside the process. */
class OpenClProcessTest {

    @TempDir
    Path folder;

    private ChildProcess child(Map<String, String> environment, List<String> options, String... args) throws Exception {
        return ChildProcess.run(OpenClChild.class, folder, environment, options, args);
    }

    /** One line twice, nothing else anywhere. */
    private static void assertSilentlyUnavailable(ChildProcess ended, String reason) {
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2);
        assertThat(ended.out().getFirst()).startsWith(reason).contains(" | ");
        assertThat(ended.out().getLast()).isEqualTo(ended.out().getFirst());
        assertThat(ended.code()).isZero();
    }

    private void requireLoader() {
        ScriptedCl.realOrSkip();
    }

    @Test
    void without_any_driver() throws Exception {
        requireLoader();
        Path empty = Files.createDirectory(folder.resolve("vendors"));
        ChildProcess ended = child(Map.of("OCL_ICD_VENDORS", empty.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(ended, "there is an OpenCL loader, but no driver for it to load");
    }

    @Test
    void with_a_driver_that_cannot_be_loaded() throws Exception {
        requireLoader();
        Path vendors = Files.createDirectory(folder.resolve("vendors"));
        Files.writeString(vendors.resolve("broken.icd"), folder.resolve("broken.so") + "\n");
        Files.writeString(folder.resolve("broken.so"), "this is no library");
        Files.writeString(vendors.resolve("gone.icd"), "/nowhere/libgone.so\n");
        Files.writeString(vendors.resolve("empty.icd"), "");
        ChildProcess ended = child(Map.of("OCL_ICD_VENDORS", vendors.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(ended, "there is an OpenCL loader, but no driver for it to load");
    }

    @Test
    void with_a_loader_that_cannot_be_loaded() throws Exception {
        requireLinux();
        for (String name : List.of("libOpenCL.so.1", "libOpenCL.so")) {
            Files.writeString(folder.resolve(name), "this is no library");
        }
        ChildProcess ended = child(Map.of("LD_LIBRARY_PATH", folder.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(
                ended, "no OpenCL loader: libOpenCL.so.1 or libOpenCL.so cannot be opened | install the OpenCL driver");
    }

    @Test
    void with_half_a_library_of_jocls_in_the_folder_for_temporary_files() throws Exception {
        requireLoader();
        requireLinux();
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        for (String architecture : List.of("x86_64", "arm64")) {
            String name = "libJOCL_2_0_6-linux-" + architecture + ".so";
            try (InputStream whole = CL.class.getResourceAsStream("/lib/" + name)) {
                // As a process that was killed while it wrote would leave it.
                Files.write(temporary.resolve(name), whole.readNBytes(20_000));
            }
        }
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add("-Djava.io.tmpdir=" + temporary);
        Set<String> before = names(temporary);
        ChildProcess ended = child(Map.of(), options, "probe");
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2).allMatch(line -> line.startsWith("devices: "));
        assertThat(names(temporary)).isEqualTo(before);
    }

    @Test
    void without_a_folder_for_temporary_files() throws Exception {
        requireLoader();
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add("-Djava.io.tmpdir=" + folder.resolve("nowhere"));
        ChildProcess ended = child(Map.of(), options, "probe");
        assertThat(ended.out())
                .hasSize(2)
                .allMatch(line -> line.startsWith("no place to unpack JOCL's native library: "));
        assertThat(ended.code()).isZero();
    }

    private static Set<String> names(Path directory) {
        return Set.of(directory.toFile().list());
    }

    @Test
    void without_permission_for_native_calls() throws Exception {
        assertSilentlyUnavailable(
                child(Map.of(), List.of(), "probe"),
                "this JVM may not call native code | start Java with --enable-native-access");
    }

    @Test
    void with_a_device() throws Exception {
        requireLoader();
        ChildProcess ended = child(Map.of(), ChildProcess.ALLOWED, "probe");
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2).allMatch(line -> line.startsWith("devices: "));
        assertThat(ended.code()).isZero();
    }

    @ParameterizedTest
    @CsvSource({"normally, 0", "exit, 3", "uncaught, 1"})
    void the_process_ends_over_open_memory(String how, int code) throws Exception {
        requireLoader();
        for (int round = 0; round < 3; round++) {
            ChildProcess ended = child(Map.of(), ChildProcess.ALLOWED, "left open", how);
            assertThat(ended.out()).containsExactly("open");
            assertThat(ended.code()).isEqualTo(code);
            assertThat(folder.resolve("hs_err.log")).doesNotExist();
            if (!how.equals("uncaught")) {
                assertThat(ended.err()).isEmpty();
            }
        }
    }

    /** What OpenCL does with a handle released twice, and that ours does not get so far. */
    @Test
    void a_second_release_ends_the_process_so_it_is_never_made() throws Exception {
        ScriptedCl cl = ScriptedCl.overReal();
        ChildProcess ended = child(Map.of(), ChildProcess.ALLOWED, "release twice");
        assertThat(ended.code()).as("OpenCL forgives a second release").isNotZero();

        OpenClBackend backend = cl.backend();
        backend.probe();
        DeviceDriver driver = backend.open(ClDevices.list(cl.api()).getFirst().device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 4096, MemoryKind.DEVICE, "twice"));
        assertThat(driver.free(block).isFreed()).isTrue();
        assertThat(driver.free(block).failure().orElseThrow())
                .hasMessage("clReleaseMemObject failed: the block was freed before (code 0)");
        driver.close();
        assertThat(cl.calls("releaseBuffer")).isEqualTo(1);
        assertThat(cl.faults()).isEmpty();
    }

    @Test
    void use_after_close_is_refused_before_opencl_sees_it() {
        ScriptedCl cl = ScriptedCl.overReal();
        GpuMemory memory = GpuMemory.builder().backend(cl.backend()).open();
        DeviceBuffer buffer = memory.pool(memory.devices().getFirst()).allocate(4096);
        buffer.close();
        int calls = cl.calls();
        MemorySegment bytes = MemorySegment.ofArray(new byte[16]);
        assertThatThrownBy(() -> buffer.write(0, bytes)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> buffer.read(0, bytes)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> buffer.fill(0, 16, (byte) 1)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(buffer::map).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> OpenClMem.of(buffer)).isInstanceOf(BufferClosedException.class);
        buffer.close();
        assertThat(cl.calls()).isEqualTo(calls);
        memory.close();
        assertThat(cl.faults()).isEmpty();
    }

    /** A segment somebody kept of a mapping throws once its block is gone. */
    @Test
    void a_segment_outlives_its_block_as_an_exception() throws Exception {
        OpenClBackend backend = ScriptedCl.overReal().backend();
        backend.probe();
        DeviceDriver driver =
                backend.open(ClDevices.list(ScriptedCl.realOrSkip()).getFirst().device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 4096, MemoryKind.UPLOAD, "kept"));
        MemorySegment kept;
        try (HostMapping mapping = driver.map(block, 0, 4096, MapAccess.READ_WRITE)) {
            kept = mapping.segment();
        }
        driver.free(block);
        driver.close();
        assertThatThrownBy(() -> kept.fill((byte) 1)).isInstanceOf(IllegalStateException.class);
    }

    private static void requireLinux() {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "the names of libraries are those of Linux");
    }
}
