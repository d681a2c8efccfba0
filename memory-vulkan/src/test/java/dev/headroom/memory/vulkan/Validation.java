package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.spi.UnavailableException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * What the validation layer says, where it is installed. As an extension it looks when the suite has closed everything, so
 * that what was left at the end of a device counts too.
 */
final class Validation implements AfterEachCallback {

    private static final Optional<String> MISSING = missing();

    private final List<String> messages = new ArrayList<>();

    private static Optional<String> missing() {
        List<String> heard = new ArrayList<>();
        try {
            VulkanInstance.open(
                            VulkanLibrary.ofSystem().load(), new VulkanOptions(Optional.of(heard::add), false, true))
                    .close();
            return Optional.empty();
        } catch (UnavailableException absent) {
            System.out.println("without the validation layer: " + absent.getMessage() + " ("
                    + absent.answer().hint() + ")");
            return Optional.of(String.valueOf(absent.getMessage()));
        }
    }

    /** Why it cannot be heard here, if it cannot. */
    static Optional<String> missingBecause() {
        return MISSING;
    }

    /** Switches it on, where it is installed. */
    VulkanOptions in(VulkanOptions options) {
        return MISSING.isPresent() ? options : options.withValidation(listener());
    }

    Consumer<String> listener() {
        return message -> {
            synchronized (messages) {
                messages.add(message);
            }
        };
    }

    List<String> messages() {
        synchronized (messages) {
            return List.copyOf(messages);
        }
    }

    @Override
    public void afterEach(ExtensionContext context) {
        assertThat(messages()).as("what the validation layer says").isEmpty();
    }
}
