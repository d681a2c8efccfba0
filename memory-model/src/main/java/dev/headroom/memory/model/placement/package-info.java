/**
 * Where the parts of a model go: on one device, over several, or on devices and the host.
 *
 * <p>{@link dev.headroom.memory.model.placement.PlacementPlanner} decides, from byte sizes alone; it asks no driver and
 * allocates nothing. A {@link dev.headroom.memory.model.placement.Placement} is its answer, in figures, in words and as JSON.
 * All sizes are bytes. Everything here is immutable and may be used by any thread.
 */
@org.jspecify.annotations.NullMarked
package dev.headroom.memory.model.placement;
