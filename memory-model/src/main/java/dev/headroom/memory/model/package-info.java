/**
 * Model files.
 *
 * <p>{@link dev.headroom.memory.model.ModelFile} reads a model in any format known here and says what it needs, as a
 * {@link dev.headroom.memory.model.ModelFootprint}: term by term, each with how sure it is.
 *
 * <p>{@link dev.headroom.memory.model.SafetensorsFile} reads the headers of safetensors models, whole or sharded.
 * {@link dev.headroom.memory.model.GgufFile} reads what a GGUF file says about itself: its metadata and the exact
 * place and size of every tensor. It reads the header only, through one small buffer, and trusts no number in it.
 * {@link dev.headroom.memory.model.GgufWriter} writes such files, and
 * {@link dev.headroom.memory.model.GgufSynthesizer} makes files with the true shapes of known models
 * ({@link dev.headroom.memory.model.ModelShape}) where the real ones cannot be had.
 *
 * <p>A file that is damaged, hostile or of another format is refused with a
 * {@link dev.headroom.memory.model.ModelFileException}, which names file, byte position and expectation. Any other
 * {@link java.io.IOException} means that the file could not be read at all.
 */
@org.jspecify.annotations.NullMarked
package dev.headroom.memory.model;
