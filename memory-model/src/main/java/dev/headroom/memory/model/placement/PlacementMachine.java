package dev.headroom.memory.model.placement;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.Selection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;

/**
 * The places there are. Each physical memory must be in it once: of a card that two backends show, one device; of an integrated
 * GPU and the host it shares its memory with, one of the two. {@link #of(GpuMemory, Selection)} sees to that.
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
     * The devices a selection judged, each physical memory once, and the host beside them even if it was not asked for.
     *
     * <ul>
     *   <li>Of devices that show the same memory the preferred one stands for all, if its driver answers; else the next.
     *   <li>A device that lives in the host's memory never stands beside the host. Where there are others, or where its driver
     *       does not answer, the host is there instead of it; where there are none, it stands for the host too.
     * </ul>
     *
     * @param memory the memory the selection was made with
     * @param selection what was judged; what is usable is taken from its verdicts
     * @return the machine; without overhead and margin, as verdicts have their own
     */
    public static PlacementMachine of(GpuMemory memory, Selection selection) {
        return of(memory, selection, device -> 0);
    }

    /**
     * As {@link #of(GpuMemory, Selection)}, with bytes each device loses to something else, such as what loads have taught.
     *
     * @param memory the memory the selection was made with
     * @param selection what was judged; what is usable is taken from its verdicts
     * @param overhead bytes of a device that are not usable for the model, 0 or more
     * @return the machine; without a margin, as verdicts have their own
     */
    public static PlacementMachine of(GpuMemory memory, Selection selection, ToLongFunction<GpuDevice> overhead) {
        return new JudgedPlaces(memory, selection, overhead).machine();
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
