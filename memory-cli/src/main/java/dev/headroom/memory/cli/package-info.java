/** The {@code headroom} command: one class per subcommand, and what they share. */
@NullMarked
package dev.headroom.memory.cli;

import org.jspecify.annotations.NullMarked;
