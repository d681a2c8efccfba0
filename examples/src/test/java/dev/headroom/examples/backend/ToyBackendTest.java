package dev.headroom.examples.backend;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.DriverContract;
import dev.headroom.memory.testkit.LeakGuard;
import dev.headroom.memory.testkit.PoolContract;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The backend of {@code docs/porting-a-backend.md} is complete, right, and the one the page shows. */
class ToyBackendTest {

    private static final Path ROOT = Path.of(System.getProperty("headroom.root", ".."));
    private static final Path SOURCES = ROOT.resolve("examples/src/main/java/dev/headroom/examples/backend");
    private static final Path TESTS = ROOT.resolve("examples/src/test/java/dev/headroom/examples/backend");

    @Nested
    @ExtendWith(LeakGuard.class)
    class ToyDriverContractTest extends DriverContract {
        @Override
        protected MemoryBackend newBackend() {
            return new ToyBackend();
        }

        @Override
        protected boolean mayExhaust() {
            return true;
        }
    }

    @Nested
    @ExtendWith(LeakGuard.class)
    class ToyPoolContractTest extends PoolContract {
        @Override
        protected MemoryBackend newBackend() {
            return new ToyBackend();
        }
    }

    @Test
    void thePageShowsThisVeryCode() throws IOException {
        String code = Files.readString(SOURCES.resolve("ToyBackend.java"))
                + Files.readString(SOURCES.resolve("ToyDriver.java"))
                + Files.readString(TESTS.resolve("ToyBackendTest.java")).replaceAll("(?m)^ {4}", "");
        Matcher block = Pattern.compile("(?ms)^```java\n(.*?)^```$")
                .matcher(Files.readString(ROOT.resolve("docs/porting-a-backend.md")));
        List<String> shown = new ArrayList<>();
        while (block.find()) {
            shown.add(block.group(1));
        }
        assertThat(shown)
                .hasSizeGreaterThan(2)
                .allSatisfy(part -> assertThat(code).contains(part));
        assertThat(shown).anyMatch(part -> part.startsWith("public final class ToyBackend implements MemoryBackend {"));
        assertThat(shown).anyMatch(part -> part.startsWith("final class ToyDriver implements DeviceDriver {"));
    }

    @Test
    void thePageHasARuleForEveryMethod() throws IOException {
        String page = Files.readString(ROOT.resolve("docs/porting-a-backend.md"));
        for (Class<?> type : List.of(MemoryBackend.class, DeviceDriver.class)) {
            for (Method method : type.getDeclaredMethods()) {
                if (method.isSynthetic() || method.getName().equals("device")) {
                    continue; // device() gives what open() was given
                }
                assertThat(page).as("the rule of %s", method).containsPattern("\\|[^|\n]*`" + method.getName() + "\\(");
            }
        }
    }
}
