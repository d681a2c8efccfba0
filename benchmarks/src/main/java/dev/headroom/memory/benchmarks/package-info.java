/** What Headroom costs. */
@org.jspecify.annotations.NullMarked
package dev.headroom.memory.benchmarks;
