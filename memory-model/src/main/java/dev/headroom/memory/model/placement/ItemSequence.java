package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.List;

/**
 * A model as a row of things that cannot be divided: the embedding if it goes to a device, groups of layers and single
 * layers, and the output if it goes to a device. Bytes of a stretch in constant time.
 */
final class ItemSequence {

    /** Something that cannot be divided; without layers it is the embedding or the output. */
    record Item(int firstLayer, int layers, long bytes) {}

    private final PlacementModel model;
    private final int hostExperts;
    private final boolean embedding;
    private final boolean output;
    private final List<Item> items;
    private final long[] bytesBefore;
    private final int[] layersBefore;

    private ItemSequence(PlacementModel model, int hostExperts, boolean embedding, boolean output, List<Item> items) {
        this.model = model;
        this.hostExperts = hostExperts;
        this.embedding = embedding;
        this.output = output;
        this.items = items;
        this.bytesBefore = new long[items.size() + 1];
        this.layersBefore = new int[items.size() + 1];
        for (int i = 0; i < items.size(); i++) {
            bytesBefore[i + 1] =
                    bytesBefore[i] + items.get(i).bytes(); // the model has seen to it that this cannot wrap
            layersBefore[i + 1] = layersBefore[i] + items.get(i).layers();
        }
    }

    /** The row of a model, with the experts of its first {@code hostExperts} layers left out. */
    static ItemSequence of(PlacementModel model, int hostExperts, boolean embedding, boolean output) {
        List<Item> items = new ArrayList<>();
        if (embedding) {
            items.add(new Item(0, 0, model.embeddingBytes()));
        }
        int groupsSeen = 0;
        for (int layer = 0; layer < model.layers().size(); ) {
            int last = layer;
            if (groupsSeen < model.groups().size()
                    && model.groups().get(groupsSeen).first() == layer) {
                last = model.groups().get(groupsSeen++).last();
            }
            long bytes = 0;
            for (int i = layer; i <= last; i++) {
                LayerBytes one = model.layers().get(i);
                bytes += i < hostExperts ? one.totalBytes() - one.expertBytes() : one.totalBytes();
            }
            items.add(new Item(layer, last - layer + 1, bytes));
            layer = last + 1;
        }
        if (output) {
            items.add(new Item(model.layers().size(), 0, model.outputBytes()));
        }
        return new ItemSequence(model, hostExperts, embedding, output, items);
    }

    PlacementModel model() {
        return model;
    }

    /** How many layers, from the first on, keep their experts on the host. */
    int hostExperts() {
        return hostExperts;
    }

    /** Whether the first item is the embedding. */
    boolean hasEmbedding() {
        return embedding;
    }

    /** Whether the last item is the output. */
    boolean hasOutput() {
        return output;
    }

    int size() {
        return items.size();
    }

    Item item(int index) {
        return items.get(index);
    }

    long totalBytes() {
        return bytesBefore[size()];
    }

    /** Bytes of all items if they are together. */
    long wholeBytes() {
        return totalBytes() - (embedding && output ? model.tiedBytes() : 0);
    }

    /** Bytes of the items from one up to, but not including, another. */
    long bytes(int from, int to) {
        return bytesBefore[to] - bytesBefore[from];
    }

    /** Layers in the items from one to the end. */
    int layersFrom(int from) {
        return layersBefore[size()] - layersBefore[from];
    }

    /** The last item that can be reached from {@code from} with so many bytes, plus one. */
    int forward(int from, long room) {
        int low = from;
        int high = size();
        while (low < high) {
            int middle = (low + high + 1) >>> 1;
            if (bytes(from, middle) <= room) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    /**
     * The first item of the longest stretch that ends before {@code to}, needs no more than so many bytes, and does not begin
     * before {@code floor}.
     */
    int backward(int to, long room, int floor) {
        int low = Math.min(floor, to);
        int high = to;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (bytes(middle, to) <= room) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }
}
