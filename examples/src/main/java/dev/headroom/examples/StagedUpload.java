package dev.headroom.examples;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.MemoryKind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * Fills a large buffer in pieces, without a copy in between: the host writes the next piece straight into pinned memory while
 * the device copies the last one.
 *
 * <p>For data that already lies in memory, {@code buffer.writeAsync} does the staging by itself. This is for data that is made
 * or read on the way.
 */
final class StagedUpload {

    private static final int PIECES = 16;
    private static final long PIECE_BYTES = 1L << 20; // 1 MiB

    private StagedUpload() {}

    public static void main(String[] args) {
        try (GpuMemory memory = GpuMemory.open()) {
            GpuMemoryPool pool = memory.pool(memory.recommended().orElseThrow());
            AllocationRequest upload = AllocationRequest.of(PIECE_BYTES).ofKind(MemoryKind.UPLOAD);
            try (DeviceBuffer weights = pool.allocate(PIECES * PIECE_BYTES);
                    DeviceBuffer even = pool.allocate(upload);
                    DeviceBuffer odd = pool.allocate(upload)) {
                DeviceBuffer[] stages = {even, odd};
                List<CompletableFuture<Void>> copies = new ArrayList<>();
                for (int piece = 0; piece < PIECES; piece++) {
                    DeviceBuffer stage = stages[piece % 2];
                    // Waits until the copy out of this stage, two pieces ago, is done.
                    try (HostView view = stage.map()) {
                        view.segment().fill((byte) piece);
                    }
                    copies.add(stage.copyToAsync(0, weights, piece * PIECE_BYTES, PIECE_BYTES));
                }
                copies.forEach(CompletableFuture::join); // throws, if one of them failed
                System.out.println(PIECES + " MiB uploaded through " + stages.length
                        + " MiB of pinned memory; the last byte is " + lastByte(weights));
            }
        }
    }

    private static byte lastByte(DeviceBuffer buffer) {
        byte[] one = new byte[1];
        buffer.read(buffer.byteSize() - 1, MemorySegment.ofArray(one));
        return one[0];
    }
}
