package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.model.LoadStats;
import dev.headroom.memory.model.LoadedModel;
import java.util.Locale;
import tools.jackson.core.JsonGenerator;

/**
 * What loading came to.
 *
 * @param device where the tensors went
 * @param load   what went there
 * @param pool   the pool's figures while the model was loaded
 */
record LoadReport(GpuDevice device, LoadStats load, MemoryStats pool) {

    static LoadReport of(LoadedModel model) {
        return new LoadReport(model.pool().device(), model.stats(), model.pool().stats());
    }

    /** In words, without a final line end. */
    String describe() {
        StringBuilder text = new StringBuilder(String.format(
                Locale.ROOT,
                "loaded %d tensors, %s, onto %s in %.3f s (%s)",
                load.tensors(),
                ByteSize.format(load.bytes()),
                device,
                seconds(),
                ProgressLine.rate(load.bytesPerSecond())));
        if (load.fallbackBuffers() > 0) {
            text.append("\nfallback: %d of these tensors, %s, lie on the host because the device is full"
                    .formatted(load.fallbackBuffers(), ByteSize.format(load.fallbackBytes())));
        }
        if (load.verified()) {
            text.append("\nverified: every byte was read back and equals the file");
        }
        return text.append("\npool: ").append(pool).toString();
    }

    String json() {
        return Json.object(this::write);
    }

    private void write(JsonGenerator json) {
        json.writeNumberProperty("schema", 1);
        json.writeStringProperty("backend", device.backend());
        json.writeNumberProperty("device", device.index());
        json.writeStringProperty("name", device.name());
        json.writeNumberProperty("tensors", load.tensors());
        json.writeNumberProperty("bytes", load.bytes());
        json.writeNumberProperty("seconds", seconds());
        json.writeNumberProperty("bytesPerSecond", Math.round(load.bytesPerSecond()));
        json.writeNumberProperty("fallbackBuffers", load.fallbackBuffers());
        json.writeNumberProperty("fallbackBytes", load.fallbackBytes());
        json.writeBooleanProperty("verified", load.verified());
        json.writeObjectPropertyStart("stats");
        json.writeNumberProperty("totalAllocatedBytes", pool.totalAllocatedBytes());
        json.writeNumberProperty("inUseBytes", pool.inUseBytes());
        json.writeNumberProperty("pooledBytes", pool.pooledBytes());
        json.writeNumberProperty("peakBytes", pool.peakBytes());
        json.writeNumberProperty("poolHits", pool.poolHits());
        json.writeNumberProperty("poolMisses", pool.poolMisses());
        json.writeNumberProperty("cpuFallbacks", pool.cpuFallbacks());
        json.writeNumberProperty("activeBuffers", pool.activeBuffers());
        json.writeEndObject();
    }

    private double seconds() {
        return load.elapsed().toNanos() / 1e9;
    }
}
