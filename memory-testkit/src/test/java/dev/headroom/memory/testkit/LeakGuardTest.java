package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDir;

class LeakGuardTest {

    private final LeakGuard guard = new LeakGuard(Duration.ofMillis(50));
    private final ExtensionContext context = (ExtensionContext) Proxy.newProxyInstance(
            LeakGuardTest.class.getClassLoader(),
            new Class<?>[] {ExtensionContext.class},
            (_, method, _) -> method.getName().equals("getDisplayName") ? "the test" : null);

    @Test
    void a_clean_test_passes() {
        SimulatedBackend backend = guard.watch(SimulatedBackend.card(1 << 20));
        guard.watch("a ledger", () -> 0);
        guard.beforeEach(context);
        backend.probe();
        assertThatCode(() -> guard.afterEach(context)).doesNotThrowAnyException();
    }

    @Test
    void a_driver_left_open_is_named() throws DriverException {
        SimulatedBackend backend = guard.watch(SimulatedBackend.card(1 << 20));
        guard.beforeEach(context);
        DeviceDriver driver = backend.open(backend.device(0).device());
        assertThatThrownBy(() -> guard.afterEach(context))
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("the test left behind")
                .hasMessageContaining("1 open drivers");
        driver.close();
        assertThatCode(() -> guard.afterEach(context)).doesNotThrowAnyException();
    }

    @Test
    void a_violation_is_named() {
        SimulatedBackend backend = guard.watch(SimulatedBackend.card(1 << 20));
        guard.beforeEach(context);
        assertThatThrownBy(() ->
                        backend.budget(SimulatedBackend.host(1 << 20).device(0).device()))
                .isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> guard.afterEach(context)).hasMessageContaining("FOREIGN_OBJECT");
    }

    @Test
    void bytes_left_in_a_ledger_are_named() {
        guard.watch("the domain", () -> 17);
        guard.beforeEach(context);
        assertThatThrownBy(() -> guard.afterEach(context)).hasMessageContaining("the domain: 17 bytes");
    }

    @Test
    void a_thread_left_running_is_named() throws InterruptedException {
        guard.beforeEach(context);
        CountDownLatch end = new CountDownLatch(1);
        Thread thread = Thread.ofPlatform()
                .name(LeakGuard.THREAD_PREFIX + "left")
                .daemon()
                .start(() -> {
                    try {
                        end.await();
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                });
        assertThatThrownBy(() -> guard.afterEach(context)).hasMessageContaining("thread headroom-left");
        end.countDown();
        thread.join();
        assertThatCode(() -> guard.afterEach(context)).doesNotThrowAnyException();
    }

    @Test
    @EnabledIf("openFilesAreVisible")
    void an_open_file_is_named(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("left-open.bin"), "x");
        guard.beforeEach(context);
        try (InputStream stream = Files.newInputStream(file)) {
            assertThat(stream.read()).isEqualTo('x');
            assertThatThrownBy(() -> guard.afterEach(context)).hasMessageContaining("left-open.bin");
        }
        assertThatCode(() -> guard.afterEach(context)).doesNotThrowAnyException();
    }

    static boolean openFilesAreVisible() {
        return Files.isDirectory(Path.of("/proc/self/fd"));
    }
}
