/** NVIDIA GPUs, through <a href="http://www.jcuda.org">JCuda</a>. */
@NullMarked
package dev.headroom.memory.cuda;

import org.jspecify.annotations.NullMarked;
