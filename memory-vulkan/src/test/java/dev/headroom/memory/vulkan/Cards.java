package dev.headroom.memory.vulkan;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/** What devices of other machines say of themselves, as their drivers report it. */
final class Cards {

    static final int LOCAL = 1;
    static final int VISIBLE = 2;
    static final int COHERENT = 4;
    static final int CACHED = 8;

    static final long MIB = 1L << 20;
    static final long GIB = 1L << 30;

    /** NVIDIA, window of 246 MiB. */
    static final RawDevice SMALL_WINDOW = new Sketch("NVIDIA GeForce RTX 3060", 2)
            .heap(12 * GIB, true)
            .heap(24 * GIB, false)
            .heap(246 * MIB, true)
            .type(0, 1)
            .type(LOCAL, 0)
            .type(VISIBLE | COHERENT, 1)
            .type(VISIBLE | COHERENT | CACHED, 1)
            .type(LOCAL | VISIBLE | COHERENT, 2)
            .family(1 | 2 | 4 | 8, 16)
            .family(4 | 8, 2)
            .family(2 | 4 | 8, 8)
            .pci("0000:01:00.0")
            .extension(RawDevice.MEMORY_BUDGET)
            .done();

    /** NVIDIA, all of the card's memory behind the window. */
    static final RawDevice FULL_WINDOW = new Sketch("NVIDIA GeForce RTX 4090", 2)
            .heap(24 * GIB, true)
            .heap(64 * GIB, false)
            .type(0, 1)
            .type(LOCAL, 0)
            .type(VISIBLE | COHERENT, 1)
            .type(VISIBLE | COHERENT | CACHED, 1)
            .type(LOCAL | VISIBLE | COHERENT, 0)
            .family(1 | 2 | 4 | 8, 16)
            .family(4 | 8, 2)
            .pci("0000:41:00.0")
            .done();

    /** AMD under RADV: the window is a heap of its own, and there are types nobody wants. */
    static final RawDevice AMD = new Sketch("AMD Radeon RX 6800 (RADV NAVI21)", 2)
            .heap(16 * GIB - 256 * MIB, true)
            .heap(16 * GIB, false)
            .heap(256 * MIB, true)
            .type(LOCAL, 0)
            .type(LOCAL, 0)
            .type(VISIBLE | COHERENT, 1)
            .type(LOCAL | VISIBLE | COHERENT, 2)
            .type(VISIBLE | COHERENT | CACHED, 1)
            .type(LOCAL | 0xC0, 0)
            .type(LOCAL | VISIBLE | COHERENT | 0xC0, 2)
            .family(1 | 2 | 4 | 8, 1)
            .family(2 | 4 | 8, 4)
            .family(4 | 8, 2)
            .pci("0000:0b:00.0")
            .extension(RawDevice.MEMORY_BUDGET)
            .done();

    /** Intel, integrated: one heap, one type for everything, another without a cache. */
    static final RawDevice INTEL = new Sketch("Intel(R) UHD Graphics 770 (ADL-S GT1)", 1)
            .heap(23 * GIB, true)
            .type(LOCAL | VISIBLE | COHERENT | CACHED, 0)
            .family(1 | 2 | 4, 1)
            .pci("0000:00:02.0")
            .done();

    /** An ARM board: cached memory there is not coherent. */
    static final RawDevice BOARD = new Sketch("Mali-G610", 1)
            .heap(8 * GIB, true)
            .type(LOCAL | VISIBLE | COHERENT, 0)
            .type(LOCAL | VISIBLE | CACHED, 0)
            .family(1 | 2 | 4, 2)
            .done();

    /** Apple through MoltenVK: no device is without a window here, and managed memory is not coherent. */
    static final RawDevice APPLE = new Sketch("Apple M2", 1)
            .heap(16 * GIB, true)
            .type(LOCAL, 0)
            .type(LOCAL | VISIBLE | COHERENT | CACHED, 0)
            .type(LOCAL | 0x10, 0)
            .family(1 | 2 | 4, 1)
            .extension(RawDevice.PORTABILITY_SUBSET)
            .done();

    /** lavapipe of Mesa 22.3. */
    static final RawDevice LAVAPIPE = new Sketch("llvmpipe (LLVM 15.0.6, 256 bits)", 4)
            .heap(2 * GIB, true)
            .type(LOCAL | VISIBLE | COHERENT | CACHED, 0)
            .family(1 | 2 | 4, 1)
            .done();

    private Cards() {}

    /** A device, piece by piece. */
    static final class Sketch {
        private final String name;
        private final int type;
        private final List<RawDevice.Heap> heaps = new ArrayList<>();
        private final List<RawDevice.Type> types = new ArrayList<>();
        private final List<RawDevice.Family> families = new ArrayList<>();
        private final Set<String> extensions = new HashSet<>();
        private Optional<String> pci = Optional.empty();
        int maxAllocations = 4096;
        long maxAllocationBytes = 4 * GIB;
        OptionalLong maxBufferBytes = OptionalLong.empty();
        int maxStorageRange = -1;
        long alignment = 16;
        long atom = 64;

        Sketch(String name, int type) {
            this.name = name;
            this.type = type;
        }

        Sketch heap(long byteSize, boolean local) {
            heaps.add(new RawDevice.Heap(byteSize, local));
            return this;
        }

        Sketch type(int flags, int heap) {
            types.add(new RawDevice.Type(flags, heap));
            return this;
        }

        Sketch family(int flags, int count) {
            families.add(new RawDevice.Family(flags, count));
            return this;
        }

        Sketch pci(String address) {
            pci = Optional.of(address);
            return this;
        }

        Sketch extension(String extension) {
            extensions.add(extension);
            return this;
        }

        RawDevice done() {
            return new RawDevice(
                    name,
                    type,
                    0x403000,
                    "driver 1",
                    "6d657361-3232-2e33-2e36-000000000000",
                    pci,
                    Set.copyOf(extensions),
                    List.copyOf(heaps),
                    List.copyOf(types),
                    List.copyOf(families),
                    maxAllocations,
                    maxAllocationBytes,
                    maxBufferBytes,
                    maxStorageRange,
                    alignment,
                    alignment,
                    atom,
                    true,
                    true);
        }
    }
}
