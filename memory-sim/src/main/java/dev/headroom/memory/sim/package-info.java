/**
 * Devices that exist only in this process: any number, of any size, on virtual time, and with faults on demand.
 *
 * <p>A {@link dev.headroom.memory.sim.SimulatedBackend} is an ordinary backend, handed to the engine instead of a real
 * one. Behind each of its {@link dev.headroom.memory.sim.SimulatedDevice}s lies real memory that costs nothing until it
 * is touched, so that bytes written are bytes read. The simulation knows what no driver tells: whether a block was
 * freed under a kernel, whether two queues raced for a range, whether anything was left behind.
 *
 * {@snippet :
 * SimulatedBackend backend = SimulatedBackend.builder("sim")
 *         .device(SimulatedDevice.builder("card").totalBytes(8L << 30))
 *         .build();
 * // ... the code under test ...
 * backend.requireNoViolations();
 * }
 *
 * <ul>
 * <li>{@link dev.headroom.memory.sim.VirtualClock}: commands take virtual time and have their effect when it is over.
 * <li>{@link dev.headroom.memory.sim.FaultPlan}: which driver calls fail, how, and when.
 * <li>{@link dev.headroom.memory.sim.Ledger}: which driver objects are alive.
 * <li>{@link dev.headroom.memory.sim.Violation}: what was done that no driver would forgive.
 * <li>{@link dev.headroom.memory.sim.SimulatedQueue} and {@link dev.headroom.memory.sim.SimulatedKernel}: work of the
 * user's.
 * </ul>
 */
@NullMarked
package dev.headroom.memory.sim;

import org.jspecify.annotations.NullMarked;
