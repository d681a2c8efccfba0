package dev.headroom.memory.engine;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import java.util.OptionalLong;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * What a pool needs from outside.
 *
 * @param config   how much it may take and how it behaves
 * @param limit    an absolute limit on its device memory
 * @param siblings fills in a free figure another API measures for the same memory
 * @param fallback the pool that stands in when the device is full, null if there is none
 * @param clock    nanoseconds, monotonic
 */
public record PoolSetting(
        MemoryConfig config,
        OptionalLong limit,
        UnaryOperator<MemoryBudget> siblings,
        Supplier<@Nullable GpuMemoryPool> fallback,
        LongSupplier clock) {}
