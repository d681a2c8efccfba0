package dev.headroom.memory;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes a {@link PoolReport} in the form {@code docs/pool-report.schema.json} describes. */
final class PoolReportJson {

    /** Decimals of a share; more would be noise. */
    private static final double SHARE_UNIT = 1e4;

    private static final double NANOS_PER_SECOND = 1e9;

    private PoolReportJson() {}

    static String of(PoolReport report) {
        return JsonText.object(json -> json.field("schema", PoolReport.SCHEMA)
                .field("device", device -> write(device, report.device()))
                .field("domain", report.domain().map(MemoryDomain::id))
                .field("profile", profile -> write(profile, report))
                .field("stats", stats -> write(stats, report.stats()))
                .field("room", room -> write(room, report.room()))
                .objects("heaps", report.heaps(), PoolReportJson::write)
                .field("rungs", rungs -> report.rungs().forEach(rungs::field))
                .field("fallbacks", fallbacks -> write(fallbacks, report.fallbacks()))
                .field("quarantine", quarantine -> write(quarantine, report.quarantine()))
                .field("pending", pending -> write(pending, report.pending()))
                .field("idle", idle -> write(idle, report.idle()))
                .field("tracking", tracking -> write(tracking, report.tracking())));
    }

    private static void write(JsonText json, GpuDevice device) {
        json.field("backend", device.backend())
                .field("index", device.index())
                .field("name", device.name())
                .field("kind", device.deviceClass().label())
                .field("physicalId", device.physicalId().label());
    }

    private static void write(JsonText json, PoolReport report) {
        if (report.profile() instanceof PoolProfile.BlockClasses classes) {
            json.field("name", "blockClasses")
                    .field("maxPoolBytes", classes.maxPoolBytes())
                    .field("capBytes", classes.capBytes(report.room().budget().totalBytes()))
                    .field("shares", "4:2:1");
        } else {
            json.field("name", "engine");
        }
    }

    private static void write(JsonText json, MemoryStats stats) {
        json.field("totalAllocatedBytes", stats.totalAllocatedBytes())
                .field("inUseBytes", stats.inUseBytes())
                .field("pooledBytes", stats.pooledBytes())
                .field("peakBytes", stats.peakBytes())
                .field("poolHits", stats.poolHits())
                .field("poolMisses", stats.poolMisses())
                .field("cpuFallbacks", stats.cpuFallbacks())
                .field("activeBuffers", stats.activeBuffers());
    }

    private static void write(JsonText json, PoolReport.Room room) {
        json.field("totalBytes", room.budget().totalBytes())
                .field("freeBytes", room.budget().freeBytes())
                .field("freeSource", room.budget().source().label())
                .field("freeDetail", room.budget().detail())
                .field("freeLags", room.budget().lagging())
                .field("pressure", room.pressure().name().toLowerCase(Locale.ROOT))
                .field("usableBytes", room.usableBytes())
                .field("limitBytes", room.limitBytes())
                .field("terms", room.terms());
    }

    private static void write(JsonText json, HeapReport heap) {
        json.field("kind", heap.kind().label())
                .field("blocks", heap.blocks())
                .field("blockBytes", heap.blockBytes())
                .field("buffers", heap.buffers())
                .field("bufferBytes", heap.bufferBytes())
                .field("freeBytes", heap.freeBytes())
                .field("largestFreeBytes", heap.largestFreeBytes())
                .field("asideBytes", heap.asideBytes())
                .field("idleBytes", heap.idleBytes())
                .field("freeRanges", heap.freeRanges())
                .field("externalFragmentation", share(heap.externalFragmentation()))
                .field("unusedShare", share(heap.unusedShare()))
                .field("unusedShareWarning", heap.warnsOfUnused())
                .objects("sizeClasses", heap.sizeClasses(), PoolReportJson::write)
                .objects("blockClasses", heap.blockClasses(), PoolReportJson::write);
    }

    private static void write(JsonText json, HeapReport.SizeClass sizes) {
        json.field("fromBytes", sizes.fromBytes())
                .field("buffers", sizes.buffers())
                .field("bufferBytes", sizes.bufferBytes())
                .field("freeRanges", sizes.freeRanges())
                .field("freeBytes", sizes.freeBytes());
    }

    private static void write(JsonText json, HeapReport.BlockClass blocks) {
        json.field("id", blocks.id())
                .field("blockSize", blocks.blockSize())
                .field("totalBlocks", blocks.totalBlocks())
                .field("allocatedBlocks", blocks.allocatedBlocks())
                .field("freeBlocks", blocks.freeBlocks())
                .field("reservedBytes", blocks.reservedBytes());
    }

    private static void write(JsonText json, PoolReport.Count count) {
        json.field("count", count.count()).field("bytes", count.bytes());
    }

    private static void write(JsonText json, PoolReport.Idle idle) {
        json.field("bytes", idle.bytes());
        if (idle.longest().isPresent()) {
            json.field("longestSeconds", idle.longest().get().toNanos() / NANOS_PER_SECOND);
        } else {
            json.raw("longestSeconds", "null");
        }
    }

    private static void write(JsonText json, PoolReport.Tracking tracking) {
        json.field("level", tracking.level().name().toLowerCase(Locale.ROOT))
                .field("tracked", tracked -> write(tracked, tracking.tracked()))
                .objects("tags", List.copyOf(tracking.tags().entrySet()), PoolReportJson::write);
    }

    private static void write(JsonText json, Map.Entry<String, PoolReport.Count> tag) {
        json.field("tag", tag.getKey());
        write(json, tag.getValue());
    }

    private static double share(double value) {
        return Math.round(value * SHARE_UNIT) / SHARE_UNIT;
    }
}
