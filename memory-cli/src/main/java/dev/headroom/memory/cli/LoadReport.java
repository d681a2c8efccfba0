package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.model.LoadStats;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.calibration.Correction;
import dev.headroom.memory.model.placement.Placement;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/**
 * What loading came to.
 *
 * @param device    where the tensors went, or the first of several devices
 * @param load      what went there
 * @param places    what lies on each device, in the order of the file
 * @param main      the figures of the first device's pool
 * @param placement the plan that was carried out, if there was one
 * @param learned   what earlier loads taught about this one, if it was on one device
 */
record LoadReport(
        GpuDevice device,
        LoadStats load,
        Map<GpuDevice, Place> places,
        MemoryStats main,
        Optional<Placement> placement,
        Optional<Correction> learned) {

    /**
     * What lies on one device.
     *
     * @param tensors how many tensors
     * @param bytes   their bytes
     * @param pool    the figures of the pool they lie in, with the model loaded
     */
    record Place(int tensors, long bytes, MemoryStats pool) {
        Place plus(Place other) {
            return new Place(tensors + other.tensors, bytes + other.bytes, pool);
        }
    }

    static LoadReport of(LoadedModel model, Optional<Placement> placement, Optional<Correction> learned) {
        Map<GpuDevice, Place> places = new LinkedHashMap<>();
        Map<GpuMemoryPool, MemoryStats> stats = new LinkedHashMap<>();
        for (FallbackBuffer buffer : model.buffers().values()) {
            GpuMemoryPool pool = buffer.asGpu().or(buffer::asCpu).orElseThrow().pool();
            MemoryStats figures = stats.computeIfAbsent(pool, GpuMemoryPool::stats);
            places.merge(pool.device(), new Place(1, buffer.byteSize(), figures), Place::plus);
        }
        return new LoadReport(
                model.pool().device(), model.stats(), places, model.pool().stats(), placement, learned);
    }

    /** What the host took because devices were full: by plan, or when they turned out to be. */
    private Place onHost() {
        return places.entrySet().stream()
                .filter(entry ->
                        entry.getKey().deviceClass() == DeviceClass.HOST && device.deviceClass() != DeviceClass.HOST)
                .map(Map.Entry::getValue)
                .reduce(new Place(0, 0, main), Place::plus);
    }

    /** In words, without a final line end. */
    String describe() {
        StringBuilder text = new StringBuilder(String.format(
                Locale.ROOT,
                "loaded %s, %s, onto %s in %.3f s (%s)",
                Counted.of(load.tensors(), "tensor"),
                ByteSize.format(load.bytes()),
                device,
                seconds(),
                ProgressLine.rate(load.bytesPerSecond())));
        if (placement.isPresent()) {
            places.forEach((place, part) -> text.append("\non %s: %s, %s"
                    .formatted(place, Counted.of(part.tensors(), "tensor"), ByteSize.format(part.bytes()))));
        }
        Place onHost = onHost();
        if (onHost.tensors() > 0) {
            boolean planned = placement.isPresent() && load.fallbackBuffers() == 0;
            text.append((planned
                            ? "\nby plan %d of these tensors, %s, %s on the host"
                            : "\nfallback: %d of these tensors, %s, %s on the host because the device is full")
                    .formatted(
                            onHost.tensors(), ByteSize.format(onHost.bytes()), onHost.tensors() == 1 ? "lies" : "lie"));
        }
        if (load.verified()) {
            text.append("\nverified: every byte was read back and equals the file");
        }
        if (places.size() <= 1) {
            return text.append("\npool: ").append(main).toString();
        }
        places.forEach((place, part) ->
                text.append("\npool of ").append(place.id()).append(": ").append(part.pool()));
        return text.toString();
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
        json.writeNumberProperty("threads", load.threads());
        json.writeNumberProperty("fallbackBuffers", onHost().tensors());
        json.writeNumberProperty("fallbackBytes", onHost().bytes());
        json.writeNumberProperty("unplannedFallbacks", load.fallbackBuffers());
        json.writeBooleanProperty("verified", load.verified());
        Json.array(json, "devices", places.entrySet(), entry -> {
            json.writeStringProperty("device", entry.getKey().id());
            json.writeNumberProperty("tensors", entry.getValue().tensors());
            json.writeNumberProperty("bytes", entry.getValue().bytes());
            write(json, entry.getValue().pool());
        });
        json.writeName("placement");
        json.writeRawValue(placement.map(Placement::toJson).orElse("null"));
        Json.object(json, "learned", learned, correction -> {
            json.writeNumberProperty("bytes", correction.bytes());
            json.writeNumberProperty("lowBytes", correction.lowBytes());
            json.writeNumberProperty("highBytes", correction.highBytes());
            json.writeNumberProperty("loads", correction.measurements());
            json.writeStringProperty("reason", correction.reason());
        });
        write(json, main);
    }

    private static void write(JsonGenerator json, MemoryStats pool) {
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
