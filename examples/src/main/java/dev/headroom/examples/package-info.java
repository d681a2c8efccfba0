/** One idea per file, each with a {@code main}; {@code examples/README.md} lists them. */
@NullMarked
package dev.headroom.examples;

import org.jspecify.annotations.NullMarked;
