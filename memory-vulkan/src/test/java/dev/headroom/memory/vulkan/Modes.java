package dev.headroom.memory.vulkan;

import java.util.Optional;
import java.util.function.UnaryOperator;

/** Ways to use a device that lavapipe, with its one type of memory, would not show. */
enum Modes {
    /** As it is. */
    AS_IT_IS,
    /** Every byte through staging memory, as on a card. */
    STAGED,
    /** The same without timeline semaphores. */
    STAGED_WITH_FENCES,
    /** Memory that has to be flushed. */
    NOT_COHERENT;

    private static final int HOST_COHERENT = 0x4;

    VulkanOptions options() {
        return new VulkanOptions(
                Optional.empty(), this == STAGED || this == STAGED_WITH_FENCES, this != STAGED_WITH_FENCES);
    }

    /** What a device says of itself in this mode. */
    UnaryOperator<RawDevice> disguise() {
        return raw -> this == NOT_COHERENT
                ? Disguise.types(
                        raw,
                        raw.types().stream()
                                .map(type -> new RawDevice.Type(type.flags() & ~HOST_COHERENT, type.heap()))
                                .toList())
                : raw;
    }
}
