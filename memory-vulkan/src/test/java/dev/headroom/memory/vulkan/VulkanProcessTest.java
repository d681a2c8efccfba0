package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.testkit.ChildProcess;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What can only be seen from outside the process. */
class VulkanProcessTest {

    @TempDir
    Path folder;

    private ChildProcess child(Map<String, String> environment, List<String> options, String... args) throws Exception {
        return ChildProcess.run(VulkanChild.class, folder, environment, options, args);
    }

    /** One line twice, nothing else anywhere. */
    private static void assertSilentlyUnavailable(ChildProcess ended, String reason) {
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2);
        assertThat(ended.out().getFirst()).startsWith(reason).contains(" | ");
        assertThat(ended.out().getLast()).isEqualTo(ended.out().getFirst());
        assertThat(ended.code()).isZero();
    }

    /** Drivers are what these say, under the name old loaders know and the name new ones do. */
    private static Map<String, String> drivers(Path... manifests) {
        String all = String.join(
                File.pathSeparator, Stream.of(manifests).map(Path::toString).toList());
        return Map.of("VK_ICD_FILENAMES", all, "VK_DRIVER_FILES", all);
    }

    @Test
    void without_any_driver() throws Exception {
        ScriptedVk.realOrSkip();
        assertSilentlyUnavailable(
                child(drivers(folder.resolve("nothing.json")), ChildProcess.ALLOWED, "probe"),
                "there is a Vulkan loader, but no driver for it to load (VK_ERROR_INCOMPATIBLE_DRIVER)");
    }

    @Test
    void with_drivers_that_cannot_be_loaded() throws Exception {
        ScriptedVk.realOrSkip();
        Files.writeString(folder.resolve("broken.so"), "this is no library");
        Path broken = manifest("broken.json", folder.resolve("broken.so"));
        Path gone = manifest("gone.json", Path.of("/nowhere/libgone.so"));
        Path empty = Files.writeString(folder.resolve("empty.json"), "");
        assertSilentlyUnavailable(
                child(drivers(broken, gone, empty), ChildProcess.ALLOWED, "probe"),
                "there is a Vulkan loader, but no driver for it to load");
    }

    private Path manifest(String name, Path library) throws IOException {
        return Files.writeString(folder.resolve(name), """
                {"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}
                """.formatted(library));
    }

    @Test
    void with_a_loader_that_cannot_be_loaded() throws Exception {
        requireLinux();
        Files.writeString(folder.resolve("libvulkan.so.1"), "this is no library");
        ChildProcess ended = child(Map.of("LD_LIBRARY_PATH", folder.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(
                ended, "no Vulkan loader: libvulkan.so.1 cannot be opened | install the Vulkan driver");
    }

    /** A library of that name, and nothing of Vulkan in it. */
    @Test
    void with_a_loader_that_is_none() throws Exception {
        requireLinux();
        Path other = Stream.of("/lib/x86_64-linux-gnu/libz.so.1", "/lib/aarch64-linux-gnu/libz.so.1")
                .map(Path::of)
                .filter(Files::exists)
                .findFirst()
                .orElse(null);
        assumeTrue(other != null, "there is no zlib to pose as a loader");
        Files.copy(other, folder.resolve("libvulkan.so.1"));
        ChildProcess ended = child(Map.of("LD_LIBRARY_PATH", folder.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(ended, "LWJGL does not start: ");
    }

    @Test
    void without_lwjgls_own_library() throws Exception {
        ScriptedVk.realOrSkip();
        String classPath = Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> !entry.contains("natives"))
                .collect(Collectors.joining(File.pathSeparator));
        ChildProcess ended = ChildProcess.start(
                        List.of("-cp", classPath, VulkanChild.class.getName()),
                        folder,
                        Map.of(),
                        ChildProcess.ALLOWED,
                        "probe")
                .end();
        assertSilentlyUnavailable(ended, "LWJGL's native library for ");
        assertThat(ended.out().getFirst()).contains("add org.lwjgl:lwjgl with the classifier natives-");
    }

    /** LWJGL finds another place for its library then. */
    @Test
    void without_a_folder_for_temporary_files() throws Exception {
        ScriptedVk.realOrSkip();
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add("-Djava.io.tmpdir=" + folder.resolve("nowhere"));
        ChildProcess ended = child(Map.of(), options, "probe");
        assertThat(ended.out()).hasSize(2);
        assertThat(ended.code()).isZero();
    }

    @Test
    void without_permission_for_native_calls() throws Exception {
        assertSilentlyUnavailable(
                child(Map.of(), List.of(), "probe"),
                "this JVM may not call native code | start Java with --enable-native-access");
    }

    @Test
    void with_a_device() throws Exception {
        ScriptedVk.realOrSkip();
        ChildProcess ended = child(Map.of(), ChildProcess.ALLOWED, "probe");
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2).allMatch(line -> line.startsWith("devices: "));
        assertThat(ended.code()).isZero();
    }

    /** With the one documented flag nothing is printed but what the program prints. */
    @ParameterizedTest
    @ValueSource(strings = {"-Dnothing=set", "-Dheadroom.vulkan.staged=true", "-Dheadroom.vulkan.timelines=false"})
    void the_console_stays_clean(String option) throws Exception {
        ScriptedVk.realOrSkip();
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add(option);
        ChildProcess ended = child(Map.of(), options, "write");
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).containsExactly("written");
        assertThat(ended.code()).isZero();
    }

    @ParameterizedTest
    @CsvSource({"-Dnothing=set, ffm", "-Dorg.lwjgl.system.memoryBackend=unsafe, unsafe"})
    void the_users_choice_of_lwjgls_memory_stands(String option, String chosen) throws Exception {
        ScriptedVk.realOrSkip();
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add(option);
        ChildProcess ended = child(Map.of(), options, "backend of memory");
        assertThat(ended.out()).hasSize(3).last().isEqualTo(chosen);
        assertThat(ended.code()).isZero();
    }

    /** As a process that was killed while it unpacked would leave it. */
    @Test
    void with_half_a_library_of_lwjgls_in_the_folder_for_temporary_files() throws Exception {
        ScriptedVk.realOrSkip();
        requireLinux();
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add("-Djava.io.tmpdir=" + temporary);
        child(Map.of(), options, "probe");
        List<Path> unpacked;
        try (Stream<Path> files = Files.walk(temporary)) {
            unpacked = files.filter(file -> file.getFileName().toString().endsWith(".so"))
                    .toList();
        }
        assertThat(unpacked).isNotEmpty();
        for (Path file : unpacked) {
            byte[] whole = Files.readAllBytes(file);
            Files.write(file, Arrays.copyOf(whole, whole.length / 3));
        }
        ChildProcess ended = child(Map.of(), options, "probe");
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2).allMatch(line -> line.startsWith("devices: "));
    }

    @ParameterizedTest
    @CsvSource({"normally, 0", "exit, 3", "uncaught, 1"})
    void the_process_ends_over_open_memory(String how, int code) throws Exception {
        ScriptedVk.realOrSkip();
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

    @Test
    void use_after_close_is_refused_before_vulkan_sees_it() {
        ScriptedVk vk = ScriptedVk.overReal();
        GpuMemory memory = GpuMemory.builder().backend(vk.backend()).open();
        DeviceBuffer buffer = memory.pool(memory.devices().getFirst()).allocate(4096);
        buffer.close();
        int calls = vk.calls();
        MemorySegment bytes = MemorySegment.ofArray(new byte[16]);
        assertThatThrownBy(() -> buffer.write(0, bytes)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> buffer.read(0, bytes)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> buffer.fill(0, 16, (byte) 1)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(buffer::map).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> VulkanBuffer.of(buffer)).isInstanceOf(BufferClosedException.class);
        buffer.close();
        assertThat(vk.calls()).isEqualTo(calls);
        memory.close();
        assertThat(vk.faults()).isEmpty();
    }

    private static void requireLinux() {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "the names of libraries are those of Linux");
    }
}
