import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.InferenceMemoryEstimate;
import dev.headroom.memory.Selection;
import java.lang.foreign.MemorySegment;

public class FirstLook {
    public static void main(String[] args) {
        try (GpuMemory memory = GpuMemory.open()) {
            long bytes = InferenceMemoryEstimate.of(2048, 5632, 22, 32000, 32, 4, 2048, 2).totalBytes();   // TinyLlama 1.1B, 16 bit
            Selection selection = memory.selectBackendForModel(bytes);
            System.out.println(selection.explain());
            GpuMemoryPool pool = selection.pool();
            try (FallbackBuffer weights = pool.allocateWithFallback(64L << 20)) {
                weights.write(0, MemorySegment.ofArray(new float[1 << 20]));
                System.out.println(weights.location() + " " + pool.pressure());
            }
            System.out.println(pool.stats());
        }
    }
}
