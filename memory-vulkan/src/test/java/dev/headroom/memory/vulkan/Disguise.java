package dev.headroom.memory.vulkan;

import java.util.List;

/** A device that says something else of itself in one point. */
final class Disguise {

    private Disguise() {}

    static RawDevice types(RawDevice raw, List<RawDevice.Type> types) {
        return change(raw, types, raw.maxAllocations(), raw.maxStorageRange(), raw.minStorageAlignment());
    }

    static RawDevice allocations(RawDevice raw, int most) {
        return change(raw, raw.types(), most, raw.maxStorageRange(), raw.minStorageAlignment());
    }

    static RawDevice storageRange(RawDevice raw, int range) {
        return change(raw, raw.types(), raw.maxAllocations(), range, raw.minStorageAlignment());
    }

    static RawDevice alignment(RawDevice raw, int alignment) {
        return change(raw, raw.types(), raw.maxAllocations(), raw.maxStorageRange(), alignment);
    }

    private static RawDevice change(
            RawDevice raw, List<RawDevice.Type> types, int maxAllocations, int maxStorageRange, long alignment) {
        return new RawDevice(
                raw.name(),
                raw.type(),
                raw.apiVersion(),
                raw.driver(),
                raw.uuid(),
                raw.pciAddress(),
                raw.extensions(),
                raw.heaps(),
                types,
                raw.families(),
                maxAllocations,
                raw.maxAllocationBytes(),
                raw.maxBufferBytes(),
                maxStorageRange,
                alignment,
                raw.minUniformAlignment(),
                raw.atomBytes(),
                raw.timelines(),
                raw.addresses());
    }
}
