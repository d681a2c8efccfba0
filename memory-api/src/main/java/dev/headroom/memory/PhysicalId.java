package dev.headroom.memory;

import java.util.Locale;
import java.util.Optional;

/**
 * Which piece of hardware a device is, as far as its driver tells. Two devices of different backends with the same
 * identity share one {@link MemoryDomain}. A driver that tells nothing gives {@link #unknown()}, and its device stands
 * alone.
 *
 * @param uuid       the device's UUID in lower case, as the vendor reports it
 * @param pciAddress the PCI address in lower case, {@code domain:bus:device.function}
 * @param host       whether the device's memory is the host's own DRAM
 */
public record PhysicalId(Optional<String> uuid, Optional<String> pciAddress, boolean host) {

    private static final PhysicalId HOST = new PhysicalId(Optional.empty(), Optional.empty(), true);
    private static final PhysicalId UNKNOWN = new PhysicalId(Optional.empty(), Optional.empty(), false);

    /** Folds both texts to lower case, so that identities of different drivers compare equal; a blank text says nothing. */
    public PhysicalId {
        uuid = uuid.map(PhysicalId::fold).filter(text -> !text.isEmpty());
        pciAddress = pciAddress.map(PhysicalId::fold).filter(text -> !text.isEmpty());
    }

    /**
     * The host's DRAM: the host device itself, integrated GPUs, and CPUs that pose as GPUs.
     *
     * @return the host's identity
     */
    public static PhysicalId ofHost() {
        return HOST;
    }

    /**
     * A device its driver says nothing about.
     *
     * @return the identity that equals no other device's memory
     */
    public static PhysicalId unknown() {
        return UNKNOWN;
    }

    /**
     * A device known by its UUID.
     *
     * @param uuid the UUID, any case
     * @return the identity
     */
    public static PhysicalId ofUuid(String uuid) {
        return new PhysicalId(Optional.of(uuid), Optional.empty(), false);
    }

    /**
     * A device known by its place on the PCI bus.
     *
     * @param pciAddress the address, {@code domain:bus:device.function}, any case
     * @return the identity
     */
    public static PhysicalId ofPci(String pciAddress) {
        return new PhysicalId(Optional.empty(), Optional.of(pciAddress), false);
    }

    /**
     * A device known by both.
     *
     * @param uuid       the UUID, any case
     * @param pciAddress the PCI address, any case
     * @return the identity
     */
    public static PhysicalId of(String uuid, String pciAddress) {
        return new PhysicalId(Optional.of(uuid), Optional.of(pciAddress), false);
    }

    /**
     * Whether this is a slice of a partitioned card (MIG). Slices share a PCI address, so only the UUID tells them apart.
     *
     * @return true for a slice
     */
    public boolean isSlice() {
        return uuid.filter(u -> u.startsWith("mig-")).isPresent();
    }

    /**
     * Whether both identities name the same memory: both are the host, or the UUIDs agree, or (when one of the UUIDs is
     * missing and neither is a slice) the PCI addresses agree.
     *
     * @param other the other identity
     * @return true if the memory is the same; false also when nothing is known
     */
    public boolean sameMemoryAs(PhysicalId other) {
        if (host || other.host) {
            return host && other.host;
        }
        if (uuid.isPresent() && other.uuid.isPresent()) {
            return uuid.equals(other.uuid);
        }
        return pciAddress.isPresent() && pciAddress.equals(other.pciAddress) && !isSlice() && !other.isSlice();
    }

    /**
     * The form used in reports: {@code host}, {@code uuid:...}, {@code pci:...}, or empty when nothing is known.
     *
     * @return the text, if anything is known
     */
    public Optional<String> label() {
        return host ? Optional.of("host") : uuid.map(u -> "uuid:" + u).or(() -> pciAddress.map(p -> "pci:" + p));
    }

    private static String fold(String text) {
        return text.strip().toLowerCase(Locale.ROOT);
    }
}
