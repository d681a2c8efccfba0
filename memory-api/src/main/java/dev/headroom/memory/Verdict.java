package dev.headroom.memory;

import java.util.Objects;
import java.util.Optional;

/**
 * What selection thinks of one device, or of a backend that offers none.
 *
 * @param backend       the backend's name
 * @param device        the device, empty if the backend is absent
 * @param fits          whether the bytes fit there
 * @param requiredBytes bytes asked for
 * @param budget        what the system said, empty if it said nothing
 * @param usableBytes   what this process may still take there, after every margin
 * @param shortBytes    bytes missing, 0 if it fits
 * @param reason        one line: each margin once, and what would make it fit
 */
public record Verdict(
        String backend,
        Optional<GpuDevice> device,
        boolean fits,
        long requiredBytes,
        Optional<MemoryBudget> budget,
        long usableBytes,
        long shortBytes,
        String reason) {

    /** Refuses a verdict on nothing. */
    public Verdict {
        Objects.requireNonNull(backend, "backend");
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(reason, "reason");
    }

    /**
     * The device's or the backend's short name.
     *
     * @return such as {@code cuda:0}, or {@code cuda} if it offers no device
     */
    public String target() {
        return device.map(GpuDevice::id).orElse(backend);
    }

    @Override
    public String toString() {
        String name = device.map(d -> d.id() + " (" + d.name() + ")").orElse(backend);
        return name + ": " + reason;
    }
}
