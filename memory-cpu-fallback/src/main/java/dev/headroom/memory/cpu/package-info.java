/**
 * Host memory as a device: the smallest complete backend, and the one to read before writing another.
 *
 * <p>In reading order:
 *
 * <ol>
 * <li>{@link dev.headroom.memory.cpu.HostBackend}, what {@link java.util.ServiceLoader} finds: one device, always
 *     there.
 * <li>{@code HostDriver}, the contract call by call. Host work is done when the call returns, so its queues are
 *     counters.
 * <li>{@code BlockSource}, the two ways to get memory: {@code MappedBlocks} from Linux itself, {@code PlainBlocks} from
 *     Java wherever Linux or the permission for native calls is missing. {@code HostBlock} is what both give.
 * <li>{@code MappedRanges}, addresses that get memory piece by piece.
 * <li>{@code LinuxMemory}, the five native calls as an interface, so that a test can make any one of them fail;
 *     {@code LinuxLibrary} makes them.
 * <li>{@code HostMemory} and {@code ControlGroups}, how much memory there is and how much is free.
 * </ol>
 *
 * <p>What is missing here is missing on purpose. Arguments are right, a block is freed once, nothing is pending on
 * memory that goes away: the engine sees to it, once for all backends. A driver turns one call into one native action,
 * undoes what it did when a later step fails, and reports the native code.
 */
@NullMarked
package dev.headroom.memory.cpu;

import org.jspecify.annotations.NullMarked;
