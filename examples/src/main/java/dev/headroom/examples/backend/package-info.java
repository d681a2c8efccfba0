/** The smallest complete backend, for {@code docs/porting-a-backend.md}. It is not registered: hand it to the builder. */
@NullMarked
package dev.headroom.examples.backend;

import org.jspecify.annotations.NullMarked;
