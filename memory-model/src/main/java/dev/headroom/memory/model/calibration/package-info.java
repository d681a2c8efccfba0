/**
 * What loads of earlier days have taught: how far an estimate was off for a model, on a backend with a driver.
 *
 * <p>{@link dev.headroom.memory.model.calibration.Calibration} keeps that in a small file of the user's. It never makes a
 * load fail: whatever is wrong with the file, there is just nothing to learn from it.
 */
@org.jspecify.annotations.NullMarked
package dev.headroom.memory.model.calibration;
