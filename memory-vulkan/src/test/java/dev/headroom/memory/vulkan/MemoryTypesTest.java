package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryKind;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which memory type serves which kind, on the memory tables of known devices. */
class MemoryTypesTest {

    private static final int ALL = -1;

    private static final Map<String, RawDevice> DEVICES = Map.of(
            "small window", Cards.SMALL_WINDOW,
            "full window", Cards.FULL_WINDOW,
            "amd", Cards.AMD,
            "intel", Cards.INTEL,
            "board", Cards.BOARD,
            "apple", Cards.APPLE,
            "lavapipe", Cards.LAVAPIPE);

    private static MemoryTypes of(RawDevice raw, int allowed) {
        return new MemoryTypes(raw.heaps(), raw.types(), allowed);
    }

    /** The index, and whether the host reaches it (v) and needs no flush (c). */
    private static String text(Optional<MemoryTypes.Choice> choice) {
        return choice.map(c -> c.index() + (c.hostVisible() ? "v" : "") + (c.coherent() ? "c" : ""))
                .orElse("none");
    }

    @ParameterizedTest
    @CsvSource({
        // device,       DEVICE, UPLOAD, READBACK, UNIFIED
        "small window,   1,      2vc,    3vc,      none",
        "full window,    1,      2vc,    3vc,      4vc",
        "amd,            0,      2vc,    4vc,      none",
        "intel,          0vc,    0vc,    0vc,      0vc",
        "board,          1v,     0vc,    1v,       1v",
        "apple,          1vc,    1vc,    1vc,      1vc",
        "lavapipe,       0vc,    0vc,    0vc,      0vc"
    })
    void each_kind_gets_its_type(String device, String own, String upload, String readback, String unified) {
        MemoryTypes types = of(DEVICES.get(device), ALL);
        assertThat(text(types.choose(MemoryKind.DEVICE, false))).isEqualTo(own);
        assertThat(text(types.choose(MemoryKind.UPLOAD, false))).isEqualTo(upload);
        assertThat(text(types.choose(MemoryKind.READBACK, false))).isEqualTo(readback);
        assertThat(text(types.choose(MemoryKind.UNIFIED, false))).isEqualTo(unified);
    }

    @ParameterizedTest
    @CsvSource({"small window, 1", "full window, 1", "amd, 0", "intel, 0", "board, 0", "apple, 0", "lavapipe, 0"})
    void staged_device_memory_is_out_of_the_hosts_reach(String device, String own) {
        assertThat(text(of(DEVICES.get(device), ALL).choose(MemoryKind.DEVICE, true)))
                .isEqualTo(own);
    }

    @ParameterizedTest
    @CsvSource({"small window, 0", "full window, 0", "amd, 0", "intel, 0", "lavapipe, 0"})
    void the_main_heap_is_never_the_window(String device, int heap) {
        RawDevice raw = DEVICES.get(device);
        assertThat(MemoryTypes.mainHeap(raw.heaps())).contains(heap);
        for (boolean staged : new boolean[] {false, true}) {
            assertThat(of(raw, ALL).choose(MemoryKind.DEVICE, staged))
                    .get()
                    .extracting(MemoryTypes.Choice::heap)
                    .isEqualTo(heap);
        }
    }

    /** Whatever the order of the table, and whatever the window's size: it is not taken for the card. */
    @Test
    void no_window_is_mistaken_for_the_card() {
        for (long window : new long[] {1, 16, 224, 246, 256, 512, 4096}) {
            for (int place = 0; place < 3; place++) {
                Cards.Sketch sketch = new Cards.Sketch("card", 2);
                int[] heapOf = IntStream.of(0, 1, 2).map(i -> i).toArray();
                List<Long> sizes = IntStream.range(0, 3).mapToObj(i -> 0L).collect(Collectors.toList());
                heapOf[0] = place;
                heapOf[1] = (place + 1) % 3;
                heapOf[2] = (place + 2) % 3;
                sizes.set(heapOf[0], 8 * Cards.GIB);
                sizes.set(heapOf[1], 16 * Cards.GIB);
                sizes.set(heapOf[2], window * Cards.MIB);
                for (int i = 0; i < 3; i++) {
                    sketch.heap(sizes.get(i), i != heapOf[1]);
                }
                RawDevice raw = sketch.type(Cards.LOCAL | Cards.VISIBLE | Cards.COHERENT, heapOf[2])
                        .type(Cards.LOCAL, heapOf[0])
                        .type(Cards.VISIBLE | Cards.COHERENT, heapOf[1])
                        .done();
                MemoryTypes types = of(raw, ALL);
                assertThat(text(types.choose(MemoryKind.DEVICE, false))).isEqualTo("1");
                assertThat(text(types.choose(MemoryKind.UPLOAD, false))).isEqualTo("2vc");
                assertThat(text(types.choose(MemoryKind.READBACK, false))).isEqualTo("2vc");
                assertThat(text(types.choose(MemoryKind.UNIFIED, false))).isEqualTo("none");
            }
        }
    }

    /** A card with nothing of the host's: the window is better than nothing. */
    @Test
    void the_window_stages_where_nothing_else_does() {
        RawDevice raw = new Cards.Sketch("card", 2)
                .heap(8 * Cards.GIB, true)
                .heap(256 * Cards.MIB, true)
                .type(Cards.LOCAL, 0)
                .type(Cards.LOCAL | Cards.VISIBLE | Cards.COHERENT, 1)
                .done();
        MemoryTypes types = of(raw, ALL);
        assertThat(text(types.choose(MemoryKind.UPLOAD, false))).isEqualTo("1vc");
        assertThat(types.choose(MemoryKind.UPLOAD, false).orElseThrow().heapBytes())
                .isEqualTo(256 * Cards.MIB);
        assertThat(text(types.choose(MemoryKind.UNIFIED, false))).isEqualTo("none");
    }

    @Test
    void only_types_buffers_may_lie_in() {
        assertThat(text(of(Cards.AMD, 0b1111110).choose(MemoryKind.DEVICE, false)))
                .isEqualTo("1");
        assertThat(text(of(Cards.FULL_WINDOW, 0b01010).choose(MemoryKind.UPLOAD, false)))
                .isEqualTo("3vc");
        assertThat(text(of(Cards.FULL_WINDOW, 0).choose(MemoryKind.DEVICE, false)))
                .isEqualTo("none");
        RawDevice many = new Cards.Sketch("32 types", 2).heap(Cards.GIB, true).done();
        List<RawDevice.Type> types = IntStream.range(0, 32)
                .mapToObj(i -> new RawDevice.Type(Cards.LOCAL, 0))
                .toList();
        assertThat(text(new MemoryTypes(many.heaps(), types, 1 << 31).choose(MemoryKind.DEVICE, false)))
                .isEqualTo("31");
    }

    @Test
    void sizes_have_no_sign() {
        List<RawDevice.Heap> heaps = List.of(new RawDevice.Heap(Cards.GIB, true), new RawDevice.Heap(-1, true));
        assertThat(MemoryTypes.mainHeap(heaps)).contains(1);
        assertThat(MemoryTypes.bytes(heaps.get(1))).isEqualTo(Long.MAX_VALUE);
        assertThat(MemoryTypes.mainHeap(List.of(new RawDevice.Heap(Cards.GIB, false))))
                .isEmpty();
    }
}
