package dev.headroom.memory;

import java.util.Objects;

/**
 * One physical memory, however many backends show it: a card's VRAM, or the host's DRAM. Everything this process takes
 * from a domain is counted once, in one ledger.
 *
 * @param id   a name unique in this process, such as {@code host} or {@code uuid:gpu-...}
 * @param host whether this is the host's DRAM
 */
public record MemoryDomain(String id, boolean host) {

    /** The host's DRAM. */
    public static final MemoryDomain HOST = new MemoryDomain("host", true);

    /** Refuses a domain without a name. */
    public MemoryDomain {
        Objects.requireNonNull(id, "id");
    }

    @Override
    public String toString() {
        return id;
    }
}
