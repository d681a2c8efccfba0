package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.PoolContract;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The contract of pools on the first Vulkan device of this machine, under the eyes of the validation layer. */
class VulkanPoolContractTest {

    /** As a program gets it: without a seam, and without the layer. */
    @Nested
    class AsUsersGetIt extends PoolContract {
        @Override
        protected MemoryBackend newBackend() {
            return new VulkanBackend();
        }
    }

    @Nested
    class AsItIs extends Watched {
        AsItIs() {
            super(Modes.AS_IT_IS);
        }
    }

    @Nested
    class Staged extends Watched {
        Staged() {
            super(Modes.STAGED);
        }
    }

    @Nested
    class WithFences extends Watched {
        WithFences() {
            super(Modes.STAGED_WITH_FENCES);
        }
    }

    @Nested
    class NotCoherent extends Watched {
        NotCoherent() {
            super(Modes.NOT_COHERENT);
        }
    }

    abstract static class Watched extends PoolContract {

        private final Modes mode;
        private ScriptedVk vk;

        @RegisterExtension
        final Validation validation = new Validation();

        /** Looks when the contract has closed everything. */
        @RegisterExtension
        final AfterEachCallback ledger =
                context -> assertThat(vk == null ? null : vk.faults()).isNullOrEmpty();

        Watched(Modes mode) {
            this.mode = mode;
        }

        @Override
        protected MemoryBackend newBackend() {
            if (vk == null) {
                vk = ScriptedVk.overReal().disguisedBy(mode.disguise());
            }
            return vk.backend(validation.in(mode.options()));
        }
    }
}
