/**
 * Suites for JUnit 5 that say whether a backend and a pool are right.
 *
 * <ul>
 * <li>{@link dev.headroom.memory.testkit.DriverContract}: the drivers of a backend, call by call.
 * <li>{@link dev.headroom.memory.testkit.PoolContract}: pools over a backend, as users see them.
 * <li>{@link dev.headroom.memory.testkit.LeakGuard}: nothing is left behind after a test.
 * <li>{@link dev.headroom.memory.testkit.BytePattern}: contents that show whose bytes they are.
 * </ul>
 *
 * <p>A backend's own test extends a suite, gives it the backend, and is done:
 *
 * {@snippet :
 * class FancyDriverContractTest extends DriverContract {
 *     @Override
 *     protected MemoryBackend newBackend() {
 *         return new FancyBackend();
 *     }
 * }
 * }
 */
@NullMarked
package dev.headroom.memory.testkit;

import org.jspecify.annotations.NullMarked;
