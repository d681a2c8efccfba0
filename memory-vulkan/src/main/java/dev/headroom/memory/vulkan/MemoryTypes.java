package dev.headroom.memory.vulkan;

import dev.headroom.memory.MemoryKind;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * Which memory type serves which kind. Pure: the same table gives the same answer.
 *
 * <p>The device's own memory is its largest DEVICE_LOCAL heap. Many cards show a second such heap of 256 MiB that the host
 * can write into; that window is never taken for the card's memory, nor is memory for UNIFIED taken from it. Where nothing
 * else reaches the host it serves as staging memory.
 */
final class MemoryTypes {

    private static final int DEVICE_LOCAL = 0x1;
    private static final int HOST_VISIBLE = 0x2;
    private static final int HOST_COHERENT = 0x4;
    private static final int HOST_CACHED = 0x8;

    /** Lazily allocated, protected, and AMD's memory without a cache: nothing of it holds a user's data well. */
    private static final int STRANGE = 0x10 | 0x20 | 0x40 | 0x80;

    /**
     * A memory type, chosen.
     *
     * @param index       its index
     * @param heap        the index of its heap
     * @param heapBytes   the size of its heap
     * @param deviceLocal whether it is the device's own memory
     * @param hostVisible whether the host reaches it
     * @param coherent    whether the host's writes need no flush
     */
    record Choice(int index, int heap, long heapBytes, boolean deviceLocal, boolean hostVisible, boolean coherent) {}

    private final List<RawDevice.Heap> heaps;
    private final List<RawDevice.Type> types;
    private final int allowed;

    /**
     * The types of a device.
     *
     * @param heaps   its heaps
     * @param types   its types
     * @param allowed one bit for each type our buffers may lie in
     */
    MemoryTypes(List<RawDevice.Heap> heaps, List<RawDevice.Type> types, int allowed) {
        this.heaps = heaps;
        this.types = types;
        this.allowed = allowed;
    }

    /** The heap that is the device's own memory, if it has one. */
    static Optional<Integer> mainHeap(List<RawDevice.Heap> heaps) {
        return IntStream.range(0, heaps.size())
                .filter(i -> heaps.get(i).deviceLocal())
                .boxed()
                .max(Comparator.comparingLong((Integer i) -> bytes(heaps.get(i)))
                        .thenComparing(Comparator.reverseOrder()));
    }

    /** The size of a heap; one above all that can be counted is cut. */
    static long bytes(RawDevice.Heap heap) {
        return unsigned(heap.byteSize());
    }

    /** A number without a sign, cut where it cannot be counted. */
    static long unsigned(long value) {
        return value < 0 ? Long.MAX_VALUE : value;
    }

    /**
     * The type for a kind.
     *
     * @param kind   the kind
     * @param staged whether device memory is not to be written by the host even where it could
     * @return the best type, if the device has memory of the kind
     */
    Optional<Choice> choose(MemoryKind kind, boolean staged) {
        return switch (kind) {
            case DEVICE -> device(staged);
            case UPLOAD -> first(this::visible, upload());
            case READBACK -> first(this::visible, readback());
            case UNIFIED -> first(i -> visible(i) && isMain(i), cachedFirst());
        };
    }

    /**
     * Host-visible only where the host can read it at speed: through a card's window it reads at a hundredth of the speed
     * of a copy.
     */
    private Optional<Choice> device(boolean staged) {
        Optional<Choice> reachable =
                staged ? Optional.empty() : first(i -> isMain(i) && visible(i) && has(i, HOST_CACHED), cachedFirst());
        return reachable.or(() -> first(this::isMain, prefer(i -> !visible(i)))
                .map(choice -> new Choice(
                        choice.index(), choice.heap(), choice.heapBytes(), choice.deviceLocal(), false, false)));
    }

    /** Write-combined memory of the host takes a stream of writes best; a window into the card only if there is nothing else. */
    private Comparator<Integer> upload() {
        return prefer(i -> !has(i, DEVICE_LOCAL))
                .thenComparing(prefer(this::isMain))
                .thenComparing(prefer(i -> has(i, HOST_COHERENT)))
                .thenComparing(prefer(i -> !has(i, HOST_CACHED)));
    }

    private Comparator<Integer> readback() {
        return prefer(i -> has(i, HOST_CACHED))
                .thenComparing(prefer(i -> !has(i, DEVICE_LOCAL)))
                .thenComparing(prefer(this::isMain))
                .thenComparing(prefer(i -> has(i, HOST_COHERENT)));
    }

    private Comparator<Integer> cachedFirst() {
        return prefer(i -> has(i, HOST_CACHED)).thenComparing(prefer(i -> has(i, HOST_COHERENT)));
    }

    /** The best of those that qualify; among equals the first, because drivers list the faster one first. */
    private Optional<Choice> first(IntPredicate qualifies, Comparator<Integer> order) {
        return IntStream.range(0, types.size())
                .filter(i -> (allowed & 1 << i) != 0 && !has(i, STRANGE) && qualifies.test(i))
                .boxed()
                .min(order.thenComparing(Comparator.naturalOrder()))
                .map(this::choice);
    }

    private Choice choice(int index) {
        int heap = types.get(index).heap();
        return new Choice(
                index,
                heap,
                bytes(heaps.get(heap)),
                heaps.get(heap).deviceLocal(),
                visible(index),
                has(index, HOST_COHERENT));
    }

    private boolean isMain(int type) {
        return has(type, DEVICE_LOCAL)
                && mainHeap(heaps)
                        .filter(heap -> heap == types.get(type).heap())
                        .isPresent();
    }

    private boolean visible(int type) {
        return has(type, HOST_VISIBLE);
    }

    private boolean has(int type, int flag) {
        return (types.get(type).flags() & flag) != 0;
    }

    private static Comparator<Integer> prefer(IntPredicate wish) {
        return Comparator.comparing(i -> !wish.test(i));
    }
}
