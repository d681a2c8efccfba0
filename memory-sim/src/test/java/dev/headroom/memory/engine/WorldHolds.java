package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;
import static dev.headroom.memory.engine.BrokenInvariant.requireContents;
import static dev.headroom.memory.engine.BrokenInvariant.requireThrown;

import dev.headroom.memory.HostView;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;

/** Steps with what keeps memory in place after its buffer was closed: views, pins, and stages that only the user ends. */
final class WorldHolds {

    private final WorldState state;
    private final List<CompletableFuture<Void>> stages = new ArrayList<>();

    WorldHolds(WorldState state) {
        this.state = state;
    }

    // Views.

    void map(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, b -> b.plain() && b.core.hostVisible() && b.isSmall());
        if (buffer == null) {
            ModelBuffer hidden = state.pickOpen(random, b -> !b.core.hostVisible());
            if (hidden != null) {
                state.tell("map %s, which cannot be", hidden);
                requireThrown(UnsupportedKindException.class, hidden.core::map);
            }
            return;
        }
        state.tell("map %s", buffer);
        buffer.view = buffer.core.map();
    }

    void unmap(SplittableRandom random) {
        List<ModelBuffer> viewed = state.present();
        viewed.removeIf(b -> b.view == null);
        if (!viewed.isEmpty()) {
            unmap(viewed.get(random.nextInt(viewed.size())));
        }
    }

    private void unmap(ModelBuffer buffer) {
        state.tell("write through the view of %s and close it", buffer);
        HostView view = Objects.requireNonNull(buffer.view);
        for (int window = 0; window < buffer.windows(); window++) {
            MemorySegment bytes = view.segment().asSlice(buffer.windowOffset(window), buffer.windowSize());
            requireContents(buffer.contents[window], bytes.toArray(ValueLayout.JAVA_BYTE), "a view of " + buffer);
            byte[] next = buffer.nextPattern(buffer.windowSize());
            bytes.copyFrom(MemorySegment.ofArray(next));
            buffer.put(window, 0, next);
        }
        view.close();
        view.close();
        buffer.view = null;
        state.letGo(buffer);
    }

    // Pins.

    void pin(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, any -> true);
        if (buffer != null) {
            state.tell("pin %s", buffer);
            buffer.pins.add(buffer.core.pin());
        }
    }

    void unpin(SplittableRandom random) {
        List<ModelBuffer> pinned = state.present();
        pinned.removeIf(b -> b.pins.isEmpty());
        if (!pinned.isEmpty()) {
            unpin(pinned.get(random.nextInt(pinned.size())));
        }
    }

    private void unpin(ModelBuffer buffer) {
        state.tell("unpin %s", buffer);
        PinnedRange pin = buffer.pins.removeLast();
        require(
                "pin",
                SimulatedDevice.addressOf(pin.block()) + pin.byteOffset() == buffer.address
                        && pin.byteSize() == buffer.byteSize(),
                () -> buffer + " moved while it was pinned");
        pin.close();
        pin.close();
        state.letGo(buffer);
    }

    /** Ends all views and pins of these buffers. */
    void letGoOf(List<ModelBuffer> buffers) {
        for (ModelBuffer buffer : buffers) {
            while (!buffer.pins.isEmpty()) {
                unpin(buffer);
            }
            if (buffer.view != null) {
                unmap(buffer);
            }
        }
    }

    // Stages.

    void addStage(SplittableRandom random) {
        ModelBuffer buffer = state.pickOpen(random, any -> true);
        if (buffer != null) {
            state.tell("hold %s back until a stage ends", buffer);
            CompletableFuture<Void> stage = new CompletableFuture<>();
            buffer.core.closeAfter(stage);
            buffer.uses.add(stage::isDone);
            stages.add(stage);
        }
    }

    void endStage(SplittableRandom random) {
        if (!stages.isEmpty()) {
            state.tell("end a stage");
            CompletableFuture<Void> stage = stages.remove(random.nextInt(stages.size()));
            if (random.nextBoolean()) {
                stage.complete(null);
            } else {
                stage.completeExceptionally(new IllegalStateException("a use that failed"));
            }
        }
    }

    void endStages() {
        stages.forEach(stage -> stage.complete(null));
        stages.clear();
    }
}
