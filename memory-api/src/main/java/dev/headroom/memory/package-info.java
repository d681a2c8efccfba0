/**
 * GPU memory the JVM can trust.
 *
 * <p>{@link dev.headroom.memory.GpuMemory} finds every device through every driver on the machine, says which one a model
 * fits on and why, and opens a {@link dev.headroom.memory.GpuMemoryPool} there. A pool hands out
 * {@link dev.headroom.memory.DeviceBuffer}s, tells how full the device is, and falls back to host memory by itself where
 * the caller allows it.
 *
 * {@snippet :
 * try (GpuMemory memory = GpuMemory.open()) {
 *     Selection selection = memory.selectBackendForModel(4L << 30);
 *     try (FallbackBuffer weights = selection.pool().allocateWithFallback(64L << 20)) {
 *         weights.write(0, MemorySegment.ofArray(new float[1 << 20]));
 *     }
 * }
 * }
 *
 * <p>Sizes and offsets are bytes in {@code long}s. No parameter and no return value is ever null unless it is marked
 * {@link org.jspecify.annotations.Nullable}; passing null throws {@link java.lang.NullPointerException}. Bad arguments
 * throw {@link java.lang.IllegalArgumentException} before any driver is called.
 */
@NullMarked
package dev.headroom.memory;

import org.jspecify.annotations.NullMarked;
