package dev.headroom.memory;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The answer to "where does this fit": a device, or none, with a verdict for every device considered. A snapshot; free
 * memory may change afterwards, unless it is {@linkplain #reserve reserved}.
 */
public final class Selection {

    private final GpuMemory memory;
    private final long requiredBytes;
    private final BackendPreference preference;
    private final List<Verdict> verdicts;
    private final Optional<GpuDevice> chosen;
    private final @Nullable String obstacle;

    /** Made by {@link GpuMemory} only; the obstacle is what kept it from looking at all. */
    Selection(
            GpuMemory memory,
            long requiredBytes,
            BackendPreference preference,
            List<Verdict> verdicts,
            Optional<GpuDevice> chosen,
            @Nullable String obstacle) {
        this.memory = memory;
        this.requiredBytes = requiredBytes;
        this.preference = preference;
        this.verdicts = List.copyOf(verdicts);
        this.chosen = chosen;
        this.obstacle = obstacle;
    }

    /**
     * What was asked for.
     *
     * @return bytes
     */
    public long requiredBytes() {
        return requiredBytes;
    }

    /**
     * The device chosen.
     *
     * @return the device, empty if none fits
     */
    public Optional<GpuDevice> chosen() {
        return chosen;
    }

    /**
     * The device chosen.
     *
     * @return the device
     * @throws NoBackendException if none fits
     */
    public GpuDevice device() {
        return chosen.orElseThrow(() -> new NoBackendException(explain(), verdicts));
    }

    /**
     * The verdict on every device considered, in the order of preference, and on every backend that is absent.
     *
     * @return the verdicts
     */
    public List<Verdict> verdicts() {
        return verdicts;
    }

    /**
     * The pool of the device chosen, opened on first use.
     *
     * @return the pool, owned by the {@link GpuMemory}
     * @throws NoBackendException if none fits
     */
    public GpuMemoryPool pool() {
        return memory.pool(device());
    }

    /**
     * Sets the bytes aside, so that nobody else in this process is granted them.
     *
     * @return the reservation, to be closed by the caller
     * @throws NoBackendException         if none fits
     * @throws DeviceOutOfMemoryException if the room has gone since
     */
    public Reservation reserve() {
        return memory.reserve(Map.of(device(), requiredBytes));
    }

    /**
     * The answer in words: what was chosen, and a line per verdict.
     *
     * @return some lines, without a line end
     */
    public String explain() {
        if (obstacle != null) {
            return obstacle;
        }
        String head = chosen.map(device -> ByteSize.format(requiredBytes) + " go to " + device)
                .orElseGet(() -> String.format(
                        Locale.ROOT, "%s: %.2f GiB required", nothing(), requiredBytes / (double) (1L << 30)));
        return verdicts.stream()
                .map(verdict -> "  " + verdict)
                .collect(Collectors.joining("\n", head + "\n", ""))
                .stripTrailing();
    }

    @Override
    public String toString() {
        return explain();
    }

    /** Why nothing was chosen; said of what was asked for. */
    private String nothing() {
        boolean asked = verdicts.stream().anyMatch(verdict -> verdict.device().isPresent());
        if (preference.isAuto()) {
            return asked ? "no backend has enough memory" : "no backend is available";
        }
        return asked ? preference + " has not enough memory" : preference + " is not available";
    }
}
