/**
 * Matrix products in pooled memory: what a program that has kernels of its own does with Headroom. Read {@link
 * dev.headroom.examples.matmul.HybridScheduler} first, then the kernels of the backend you know.
 */
@NullMarked
package dev.headroom.examples.matmul;

import org.jspecify.annotations.NullMarked;
