package dev.headroom.examples.matmul;

import java.util.Optional;

/**
 * Where the products of a {@link HybridScheduler} were computed.
 *
 * @param onDevice     products launched on the device
 * @param onHost       products that stayed on the host for their size, or because there is no device (any more)
 * @param fallbacks    products meant for the device that the host has computed in its stead
 * @param deviceUsable whether the next large product goes to the device
 * @param lastFailure  what the device or its pool said last when it could not do its work
 */
public record SchedulerReport(
        long onDevice, long onHost, long fallbacks, boolean deviceUsable, Optional<String> lastFailure) {}
