package dev.headroom.memory.engine;

import dev.headroom.memory.HostView;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.PinnedRange;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** What the model knows about a buffer: where it lies, what must be in it, and what holds it. */
final class ModelBuffer {

    /** Bytes that are watched at either end of a buffer. */
    static final int WINDOW = 48;

    private static final long LARGEST_SMALL = 64 << 10;

    final int number;
    final PoolEngine pool;
    final MemoryBuffer handle;
    final EngineBuffer core;
    final MemoryKind kind;
    final long address;
    /** What is in the first and the last bytes; null where that is unknown. */
    final byte[] @Nullable [] contents;

    final List<PinnedRange> pins = new ArrayList<>();
    /** Kernels and stages that must end before the memory is anybody else's. */
    final List<BooleanSupplier> uses = new ArrayList<>();

    @Nullable
    HostView view;

    boolean closed;
    private int generation;

    ModelBuffer(int number, PoolEngine pool, MemoryBuffer handle, EngineBuffer core, long address) {
        this.number = number;
        this.pool = pool;
        this.handle = handle;
        this.core = core;
        this.kind = core.kind();
        this.address = address;
        this.contents = new byte[core.byteSize() >= 2 * WINDOW ? 2 : 1][];
    }

    long byteSize() {
        return core.byteSize();
    }

    /** What the pool takes for it. */
    long grantedBytes() {
        return GrowthPolicy.roundUp(byteSize(), Tlsf.DEFAULT_GRANULE);
    }

    /** Whether all of its bytes may be touched: that is slow for others. */
    boolean isSmall() {
        return byteSize() <= LARGEST_SMALL;
    }

    int windows() {
        return contents.length;
    }

    long windowOffset(int window) {
        return window == 0 ? 0 : byteSize() - WINDOW;
    }

    int windowSize() {
        return (int) Math.min(byteSize(), WINDOW);
    }

    /** Bytes no other buffer and no other moment of this one has. */
    byte[] nextPattern(int size) {
        long state = ((long) number << 32) + ++generation;
        byte[] pattern = new byte[size];
        for (int i = 0; i < size; i++) {
            state = state * 6364136223846793005L + 1442695040888963407L;
            pattern[i] = (byte) (state >>> 56);
        }
        return pattern;
    }

    /** Notes what a window holds from a place on. */
    void put(int window, int from, byte[] bytes) {
        byte[] old = contents[window];
        if (old != null) {
            byte[] changed = old.clone();
            System.arraycopy(bytes, 0, changed, from, bytes.length);
            contents[window] = changed;
        } else if (bytes.length == windowSize()) {
            contents[window] = bytes.clone();
        }
    }

    /** Whether something keeps the memory in place although it is closed. */
    boolean held() {
        return view != null || !pins.isEmpty();
    }

    /** Whether calls on it are allowed: nobody writes through a view meanwhile. */
    boolean plain() {
        return view == null;
    }

    /** Whether all that was declared to use the memory has ended. */
    boolean usesEnded() {
        uses.removeIf(BooleanSupplier::getAsBoolean);
        return uses.isEmpty();
    }

    @Override
    public String toString() {
        return "#" + number + " (" + byteSize() + " bytes of " + kind.label() + " in " + core.pool() + ")";
    }
}
