/**
 * How much memory to work in, and how many rows to work on at a time: sizes of the workspace a quantised layer is
 * multiplied in.
 *
 * <p>{@link dev.headroom.memory.model.workspace.WorkspacePlanner} computes the sizes and asks nobody;
 * {@link dev.headroom.memory.model.workspace.Workspace} holds the memory and gives some of it back when the device fills
 * up. All sizes are bytes.
 */
@org.jspecify.annotations.NullMarked
package dev.headroom.memory.model.workspace;
