package dev.headroom.memory.model.placement;

import java.util.Arrays;
import java.util.Comparator;

/** A placement in the making: the device of each item of a row. */
final class Draft {

    /** Stands for the host among indices of devices. */
    static final int HOST = -1;

    /** More layers on devices first, then the output there, then fewer experts on the host, then fewer breaks. */
    static final Comparator<Draft> BEST_FIRST = Comparator.comparingInt(Draft::deviceLayers)
            .reversed()
            .thenComparing(Draft::outputOnDevice, Comparator.reverseOrder())
            .thenComparingInt(draft -> draft.items().hostExperts())
            .thenComparingInt(Draft::breaks);

    private final ItemSequence items;
    private final int[] homes;

    /** For each item of the row the index of its device, or {@link #HOST}. Not copied. */
    Draft(ItemSequence items, int[] homes) {
        this.items = items;
        this.homes = homes;
    }

    ItemSequence items() {
        return items;
    }

    /** Where an item goes. */
    int home(int item) {
        return homes[item];
    }

    /** Layers that are not on the host. */
    int deviceLayers() {
        int layers = 0;
        for (int i = 0; i < homes.length; i++) {
            layers += homes[i] == HOST ? 0 : items.item(i).layers();
        }
        return layers;
    }

    boolean outputOnDevice() {
        return items.hasOutput() && homes[homes.length - 1] != HOST;
    }

    /** Whether nothing of the row is on the host. */
    boolean allOnDevices() {
        return Arrays.stream(homes).allMatch(home -> home != HOST);
    }

    /** Whether devices get something, but no layer. */
    boolean isDeviceWithoutLayers() {
        return deviceLayers() == 0 && Arrays.stream(homes).anyMatch(home -> home != HOST);
    }

    /** Where the place changes from one layer to the next. */
    int breaks() {
        int breaks = 0;
        for (int i = 1; i < homes.length; i++) {
            breaks += homes[i] == homes[i - 1] ? 0 : 1;
        }
        return breaks;
    }

    /** Bytes on the host that are in the row or were left out of it, without what computing takes there. */
    long hostBytes() {
        PlacementModel model = items.model();
        long bytes = items.hasEmbedding() ? 0 : model.embeddingBytes();
        bytes += items.hasOutput() ? 0 : model.outputBytes();
        for (int layer = 0; layer < items.hostExperts(); layer++) {
            bytes += model.layers().get(layer).expertBytes();
        }
        for (int i = 0; i < homes.length; i++) {
            bytes += homes[i] == HOST ? items.item(i).bytes() : 0;
        }
        boolean embeddingHere = !items.hasEmbedding() || homes[0] == HOST;
        return embeddingHere && !outputOnDevice() ? bytes - model.tiedBytes() : bytes;
    }
}
