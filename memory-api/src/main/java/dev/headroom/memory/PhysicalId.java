package dev.headroom.memory;

import java.util.HexFormat;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Which piece of hardware a device is, as far as its driver tells. Two devices of different backends with the same
 * identity share one {@link MemoryDomain}. A driver that tells nothing gives {@link #unknown()}, and its device stands
 * alone.
 *
 * <p>APIs write the same identity in different ways. Both texts are brought to one form: lower case; a UUID of 32 hexadecimal
 * digits as 8-4-4-4-12 without the {@code GPU-} some put before it, while {@code MIG-} stays; an address as {@code
 * 0000:65:00.0}. A text of another form is kept as it is, and equals only itself.
 *
 * @param uuid       the device's UUID
 * @param pciAddress the PCI address, {@code domain:bus:device.function}
 * @param host       whether the device's memory is the host's own DRAM
 */
public record PhysicalId(Optional<String> uuid, Optional<String> pciAddress, boolean host) {

    private static final PhysicalId HOST = new PhysicalId(Optional.empty(), Optional.empty(), true);
    private static final PhysicalId UNKNOWN = new PhysicalId(Optional.empty(), Optional.empty(), false);

    private static final String SLICE = "mig-";

    private static final Pattern UUID_TEXT = Pattern.compile(
            "(?:gpu-|(mig-))?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})");
    private static final Pattern PCI_TEXT =
            Pattern.compile("(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\\.([0-7]))?");

    /** What drivers give that know no UUID. */
    private static final String NO_UUID = "00000000-0000-0000-0000-000000000000";

    /** The first root of the bus: what drivers give that know no address. No graphics card is there. */
    private static final String NO_ADDRESS = "0000:00:00.0";

    private static final int UUID_BYTES = 16;

    /**
     * Brings both texts to one form, so that identities of different drivers compare equal. A blank text, a UUID of zeros only
     * and the address {@code 0000:00:00.0} say nothing.
     */
    public PhysicalId {
        uuid = uuid.map(PhysicalId::uuidForm).filter(text -> !text.isEmpty() && !text.equals(NO_UUID));
        pciAddress = pciAddress.map(PhysicalId::pciForm).filter(text -> !text.isEmpty() && !text.equals(NO_ADDRESS));
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
     * The text of a UUID that an API gives as bytes, as OpenCL and Vulkan do.
     *
     * @param bytes the 16 bytes in the order the API gives them
     * @return the text, such as {@code 7b0d2c5a-...}
     * @throws IllegalArgumentException if there are not 16
     */
    public static String uuidOf(byte[] bytes) {
        if (bytes.length != UUID_BYTES) {
            throw new IllegalArgumentException("a UUID of " + bytes.length + " bytes: must be " + UUID_BYTES);
        }
        return uuidForm(HexFormat.of().formatHex(bytes));
    }

    /**
     * Whether this is a slice of a partitioned card (MIG). Slices share a PCI address, so only the UUID tells them apart.
     *
     * @return true for a slice
     */
    public boolean isSlice() {
        return uuid.filter(u -> u.startsWith(SLICE)).isPresent();
    }

    /**
     * Whether both identities name the same memory: both are the host, or the UUIDs agree, or (when one of the UUIDs is
     * missing and neither is a slice) the PCI addresses agree. A slice that one API marks as such is still the same under its
     * bare UUID.
     *
     * @param other the other identity
     * @return true if the memory is the same; false also when nothing is known
     */
    public boolean sameMemoryAs(PhysicalId other) {
        if (host || other.host) {
            return host && other.host;
        }
        if (uuid.isPresent() && other.uuid.isPresent()) {
            return bareUuid().equals(other.bareUuid());
        }
        return pciAddress.isPresent() && pciAddress.equals(other.pciAddress) && !isSlice() && !other.isSlice();
    }

    /**
     * Whether both say enough to tell if they are one memory: both have a UUID, or both an address (which tells nothing where
     * a slice is at the same one), or one of them is the host.
     *
     * @param other the other identity
     * @return false if {@link #sameMemoryAs} can only guess, and then says no
     */
    public boolean comparableWith(PhysicalId other) {
        if (other.host || host || (uuid.isPresent() && other.uuid.isPresent())) {
            return true;
        }
        boolean placed = pciAddress.isPresent() && other.pciAddress.isPresent();
        return placed && (!pciAddress.equals(other.pciAddress) || (!isSlice() && !other.isSlice()));
    }

    /**
     * The UUID without the mark of a slice, as APIs give it that do not know of slices.
     *
     * @return the UUID, if it is known
     */
    public Optional<String> bareUuid() {
        return uuid.map(text -> text.startsWith(SLICE) ? text.substring(SLICE.length()) : text);
    }

    /**
     * The form used in reports: {@code host}, {@code uuid:...}, {@code pci:...}, or empty when nothing is known.
     *
     * @return the text, if anything is known
     */
    public Optional<String> label() {
        return host ? Optional.of("host") : uuid.map(u -> "uuid:" + u).or(() -> pciAddress.map(p -> "pci:" + p));
    }

    private static String uuidForm(String text) {
        String folded = fold(text);
        Matcher parts = UUID_TEXT.matcher(folded);
        if (!parts.matches()) {
            return folded;
        }
        String mark = parts.group(1) == null ? "" : SLICE;
        return mark + String.join("-", parts.group(2), parts.group(3), parts.group(4), parts.group(5), parts.group(6));
    }

    private static String pciForm(String text) {
        String folded = fold(text);
        Matcher parts = PCI_TEXT.matcher(folded);
        if (!parts.matches()) {
            return folded;
        }
        return "%04x:%02x:%02x.%s"
                .formatted(
                        number(parts.group(1)),
                        number(parts.group(2)),
                        number(parts.group(3)),
                        parts.group(4) == null ? "0" : parts.group(4));
    }

    private static long number(@Nullable String digits) {
        return digits == null ? 0 : HexFormat.fromHexDigitsToLong(digits);
    }

    private static String fold(String text) {
        return text.strip().toLowerCase(Locale.ROOT);
    }
}
