/**
 * The machinery behind the API, written once for all backends. Not exported.
 *
 * <p>Read {@code PoolEngine} first: it conducts, and its {@code climb} method is the ladder every shortage takes. A
 * {@code Heap} keeps the blocks of one kind of memory, with {@code Tlsf} for the arithmetic inside them and
 * {@code Accountant} for the permission to grow. {@code CopyEngine} moves bytes. {@code ProviderCatalog} and
 * {@code BackendSelector} answer where something fits.
 */
@NullMarked
package dev.headroom.memory.engine;

import org.jspecify.annotations.NullMarked;
