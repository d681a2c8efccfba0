package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.IdAllocator;
import dev.headroom.memory.LocalCache;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

/** Random use of ids, of a cache of this thread and of buffers, against a map of what lies where. */
final class IdModel {

    private static final int VALIDATE_EVERY = 1000;

    /** An id, and where it was when it was new. */
    private record Piece(long id, int block, long offset, long byteSize) {}

    private final PoolEngine pool;
    private final IdAllocator ids;
    private final SplittableRandom random;
    private final List<Piece> open = new ArrayList<>();
    private final List<DeviceBuffer> buffers = new ArrayList<>();
    /** By block, the ends of pieces by their beginnings. */
    private final Map<Integer, TreeMap<Long, Long>> taken = new TreeMap<>();

    private LocalCache local;

    IdModel(PoolEngine pool, long seed) {
        this.pool = pool;
        this.ids = pool.ids();
        this.random = new SplittableRandom(seed);
        this.local = pool.localCache();
    }

    /** Makes so many random steps, and frees what is left. */
    void run(int steps) {
        for (int step = 0; step < steps; step++) {
            step();
            if (step % VALIDATE_EVERY == 0) {
                pool.validate();
                assertThat(pool.stats().activeBuffers()).isEqualTo(open.size() + buffers.size());
            }
        }
        while (!open.isEmpty()) {
            free(any());
        }
        buffers.forEach(DeviceBuffer::close);
        buffers.clear();
        local.close();
    }

    private void step() {
        switch (random.nextInt(40)) {
            case 0 -> {
                long ignored = pool.shrink();
            }
            case 1 -> {
                local.close();
                local = pool.localCache();
            }
            case 2 -> becomeBuffer();
            case 3, 4 -> closeBuffer();
            default -> {
                if (open.isEmpty() || random.nextInt(100) < 52) {
                    allocate();
                } else {
                    free(any());
                }
            }
        }
    }

    private void allocate() {
        IdAllocator from = random.nextBoolean() ? ids : local;
        long byteSize = random.nextInt(4) == 0
                ? 1 + random.nextLong(24L << 20)
                : (1L + random.nextInt(6)) * 4096; // sizes that come back
        try {
            enter(from.allocate(byteSize), byteSize);
        } catch (DeviceOutOfMemoryException full) {
            for (int i = 0; i < 8 && !open.isEmpty(); i++) {
                free(any());
            }
        }
    }

    private void enter(long id, long byteSize) {
        Piece piece = new Piece(id, ids.block(id), ids.offset(id), ids.byteSize(id));
        assertThat(piece.byteSize()).isGreaterThanOrEqualTo(byteSize);
        TreeMap<Long, Long> block = taken.computeIfAbsent(piece.block(), _ -> new TreeMap<>());
        Map.Entry<Long, Long> before = block.lowerEntry(piece.offset() + piece.byteSize());
        assertThat(before == null || before.getValue() <= piece.offset())
                .as("%s overlaps %s", piece, before)
                .isTrue();
        block.put(piece.offset(), piece.offset() + piece.byteSize());
        open.add(piece);
    }

    private void free(Piece piece) {
        assertThat(ids.offset(piece.id())).isEqualTo(piece.offset());
        assertThat(ids.block(piece.id())).isEqualTo(piece.block());
        leave(piece);
        (random.nextBoolean() ? ids : local).free(piece.id());
    }

    private void leave(Piece piece) {
        open.remove(piece);
        taken.get(piece.block()).remove(piece.offset());
    }

    private void becomeBuffer() {
        if (!open.isEmpty() && buffers.size() < 20) {
            Piece piece = any();
            leave(piece);
            buffers.add(ids.toBuffer(piece.id()));
        }
    }

    private void closeBuffer() {
        if (!buffers.isEmpty()) {
            buffers.remove(random.nextInt(buffers.size())).close();
        }
    }

    private Piece any() {
        return open.get(random.nextInt(open.size()));
    }
}
