package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

/** Which queues are opened, on the families of known devices. */
class QueueChoiceTest {

    @Test
    void copies_go_to_the_copy_engine() {
        QueueChoice nvidia = QueueChoice.of(Cards.SMALL_WINDOW.families()).orElseThrow();
        assertThat(nvidia).isEqualTo(new QueueChoice(0, 1, 0));
        assertThat(nvidia.isShared()).isFalse();
        assertThat(nvidia.families()).containsExactly(0, 1);
        assertThat(nvidia.counts()).containsExactly(new VkApi.QueueCount(0, 1), new VkApi.QueueCount(1, 1));
        assertThat(QueueChoice.of(Cards.AMD.families())).contains(new QueueChoice(0, 2, 0));
    }

    @Test
    void a_second_queue_of_the_same_sort_serves_too() {
        QueueChoice board = QueueChoice.of(Cards.BOARD.families()).orElseThrow();
        assertThat(board).isEqualTo(new QueueChoice(0, 0, 1));
        assertThat(board.isShared()).isFalse();
        assertThat(board.families()).containsExactly(0);
        assertThat(board.counts()).containsExactly(new VkApi.QueueCount(0, 2));
    }

    @Test
    void one_queue_serves_both() {
        QueueChoice lavapipe = QueueChoice.of(Cards.LAVAPIPE.families()).orElseThrow();
        assertThat(lavapipe).isEqualTo(new QueueChoice(0, 0, 0));
        assertThat(lavapipe.isShared()).isTrue();
        assertThat(lavapipe.counts()).containsExactly(new VkApi.QueueCount(0, 1));
    }

    @Test
    void kernels_are_a_must_and_graphics_are_welcome() {
        RawDevice.Family copies = new RawDevice.Family(4, 2);
        RawDevice.Family kernels = new RawDevice.Family(2 | 4, 1);
        RawDevice.Family all = new RawDevice.Family(1 | 2 | 4, 1);
        RawDevice.Family none = new RawDevice.Family(1 | 2 | 4, 0);
        assertThat(QueueChoice.of(List.of())).isEmpty();
        assertThat(QueueChoice.of(List.of(copies))).isEmpty();
        assertThat(QueueChoice.of(List.of(copies, kernels))).contains(new QueueChoice(1, 0, 0));
        assertThat(QueueChoice.of(List.of(kernels, all))).contains(new QueueChoice(1, 1, 0));
        assertThat(QueueChoice.of(List.of(none, kernels))).contains(new QueueChoice(1, 1, 0));
    }
}
