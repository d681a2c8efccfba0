/** Whether CUDA works on this machine as it should, and how fast: for machines with a GPU, and for the double without one. */
@NullMarked
package dev.headroom.memory.gpucheck;

import org.jspecify.annotations.NullMarked;
