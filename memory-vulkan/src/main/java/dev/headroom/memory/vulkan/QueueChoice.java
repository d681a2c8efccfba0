package dev.headroom.memory.vulkan;

import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Which queues are opened: one for users' kernels and one for our copies. Pure.
 *
 * @param usersFamily the family of the users' queue, its first
 * @param oursFamily  the family of ours
 * @param oursIndex   which of that family
 */
record QueueChoice(int usersFamily, int oursFamily, int oursIndex) {

    private static final int GRAPHICS = 0x1;
    private static final int COMPUTE = 0x2;
    private static final int TRANSFER = 0x4;

    /**
     * Copies go to the copy engines where the device has queues for them alone, else to a second queue of the users' family,
     * else to the one there is.
     *
     * @param families the queues of the device
     * @return the choice, empty if the device runs no kernels
     */
    static Optional<QueueChoice> of(List<RawDevice.Family> families) {
        Optional<Integer> users = first(families, GRAPHICS | COMPUTE, 0).or(() -> first(families, COMPUTE, 0));
        return users.map(family -> first(families, TRANSFER, GRAPHICS | COMPUTE)
                .map(copies -> new QueueChoice(family, copies, 0))
                .orElseGet(() ->
                        new QueueChoice(family, family, families.get(family).count() > 1 ? 1 : 0)));
    }

    /** Whether both are one and the same queue. */
    boolean isShared() {
        return usersFamily == oursFamily && oursIndex == 0;
    }

    /** The families buffers are used in. */
    int[] families() {
        return usersFamily == oursFamily ? new int[] {usersFamily} : new int[] {usersFamily, oursFamily};
    }

    /** What a device is opened with. */
    List<VkApi.QueueCount> counts() {
        return usersFamily == oursFamily
                ? List.of(new VkApi.QueueCount(usersFamily, oursIndex + 1))
                : Stream.of(usersFamily, oursFamily)
                        .map(family -> new VkApi.QueueCount(family, 1))
                        .toList();
    }

    private static Optional<Integer> first(List<RawDevice.Family> families, int with, int without) {
        return IntStream.range(0, families.size())
                .filter(i -> families.get(i).count() > 0)
                .filter(i -> (families.get(i).flags() & with) == with)
                .filter(i -> (families.get(i).flags() & without) == 0)
                .boxed()
                .findFirst();
    }
}
