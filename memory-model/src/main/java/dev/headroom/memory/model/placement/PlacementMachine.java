package dev.headroom.memory.model.placement;

import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The places there are. Each physical memory must be in it once: of a card that two backends show, one device; of an integrated
 * GPU and the host it shares its memory with, one of the two.
 *
 * @param devices the devices that compute, in the order {@link SplitMode#SEQUENTIAL} fills them; may be empty
 * @param host the host, if it may be used at all
 */
public record PlacementMachine(List<PlacementDevice> devices, Optional<PlacementDevice> host) {

    /** Refuses two places of one name. */
    public PlacementMachine {
        devices = List.copyOf(devices);
        Set<String> ids = new HashSet<>();
        Stream.concat(devices.stream(), host.stream()).forEach(device -> {
            if (!ids.add(device.id())) {
                throw new IllegalArgumentException("there are two devices " + device.id());
            }
        });
    }

    /**
     * Devices and the host.
     *
     * @param host the host
     * @param devices the devices
     * @return the machine
     */
    public static PlacementMachine of(PlacementDevice host, PlacementDevice... devices) {
        return new PlacementMachine(List.of(devices), Optional.of(host));
    }

    /**
     * Devices alone.
     *
     * @param devices the devices
     * @return the machine
     */
    public static PlacementMachine ofDevices(PlacementDevice... devices) {
        return new PlacementMachine(List.of(devices), Optional.empty());
    }
}
