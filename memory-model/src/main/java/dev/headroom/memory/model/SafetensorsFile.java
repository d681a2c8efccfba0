package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * What a safetensors model says about itself: the exact place, type and size of every tensor.
 *
 * <p>Only headers are read, so the time does not depend on the size of the data. They are judged strictly: a header of at
 * most 100 000 000 bytes that is one JSON object in UTF-8; unique names; known types; as many bytes as type and shape
 * need; and data that is covered to the last byte, without hole or overlap. Heap stays below eight times the header plus
 * small buffers.
 *
 * <p>A model split into several files is read through its index, {@code model.safetensors.index.json}. The files it
 * names must lie in its folder and hold exactly the tensors it says.
 *
 * <p>An instance holds no open file. Immutable; may be used by any thread.
 */
public final class SafetensorsFile {

    private final List<Path> files;
    private final List<FileStamp> stamps;
    private final List<SafetensorsTensor> tensors;
    private final NameIndex<SafetensorsTensor> byName;
    private final long headerBytes;
    private final long tensorBytes;

    private SafetensorsFile(List<SafetensorsHeaderReader.Header> headers) throws ModelFileException {
        this.files = headers.stream().map(SafetensorsHeaderReader.Header::path).toList();
        this.stamps =
                headers.stream().map(SafetensorsHeaderReader.Header::stamp).toList();
        List<SafetensorsTensor> all = new ArrayList<>();
        long header = 0;
        long bytes = 0;
        for (SafetensorsHeaderReader.Header file : headers) {
            all.addAll(file.tensors());
            header += file.headerBytes();
            for (SafetensorsTensor tensor : file.tensors()) {
                // Within one file the sum fits; over sparse files it need not.
                if (tensor.byteSize() > Long.MAX_VALUE - bytes) {
                    throw new ModelFileException(
                            file.path(), "tensors of less than 2^63 bytes in all files", "more with this file");
                }
                bytes += tensor.byteSize();
            }
        }
        this.tensors = Collections.unmodifiableList(all);
        this.headerBytes = header;
        this.tensorBytes = bytes;
        this.byName = new NameIndex<>(all, SafetensorsTensor::name);
        Optional<SafetensorsTensor> repeated = byName.repeated();
        if (repeated.isPresent()) {
            throw new ModelFileException(
                    files.get(repeated.get().shard()),
                    "unique tensor names",
                    ModelFileException.quote(repeated.get().name()) + " a second time");
        }
    }

    /**
     * Reads a model.
     *
     * @param path one safetensors file, or the index of a model of several
     * @return what the headers say
     * @throws ModelFileException if a file is not one that can be trusted, or a file the index names is missing
     * @throws java.nio.file.NoSuchFileException if there is no such file
     * @throws IOException if reading fails
     */
    public static SafetensorsFile read(Path path) throws IOException {
        Path name = path.getFileName();
        if (name != null && name.toString().endsWith(".json")) {
            return read(SafetensorsIndex.read(path));
        }
        return new SafetensorsFile(List.of(SafetensorsHeaderReader.read(path, 0)));
    }

    /** Reads the files of an index, which must all be there. */
    static SafetensorsFile read(SafetensorsIndex index) throws IOException {
        if (!index.isSafetensors()) {
            throw new ModelFileException(
                    index.path(),
                    "safetensors files under \"weight_map\"",
                    index.shards().isEmpty() ? "none" : "PyTorch files, which cannot be read here");
        }
        List<SafetensorsHeaderReader.Header> headers = new ArrayList<>();
        for (int i = 0; i < index.shards().size(); i++) {
            if (!Files.exists(index.shard(i))) {
                throw new ModelFileException(
                        index.path(),
                        "all " + index.shards().size() + " files in its folder",
                        "no " + index.shards().get(i),
                        "put the missing files beside the index");
            }
            headers.add(SafetensorsHeaderReader.read(index.shard(i), i));
        }
        SafetensorsFile file = new SafetensorsFile(headers);
        file.verifyAgainst(index);
        return file;
    }

    private void verifyAgainst(SafetensorsIndex index) throws ModelFileException {
        for (SafetensorsTensor tensor : tensors) {
            if (Arrays.binarySearch(index.tensors(tensor.shard()), tensor.name()) < 0) {
                throw new ModelFileException(
                        files.get(tensor.shard()),
                        "only tensors that " + index.path().getFileName() + " places in this file",
                        ModelFileException.quote(tensor.name()));
            }
        }
        if (index.tensorCount() == byName.size()) {
            return;
        }
        for (int i = 0; i < files.size(); i++) {
            for (String name : index.tensors(i)) {
                if (tensor(name).isEmpty()) {
                    throw new ModelFileException(
                            index.path(),
                            "every tensor in the file it names",
                            "no " + ModelFileException.quote(name) + " there");
                }
            }
        }
    }

    /**
     * The files of the model.
     *
     * @return one file, or those of the index in the order of their first use
     */
    public List<Path> files() {
        return files;
    }

    /**
     * All tensors in the order in which they lie in the files.
     *
     * @return an unmodifiable list
     */
    public List<SafetensorsTensor> tensors() {
        return tensors;
    }

    /**
     * Finds a tensor.
     *
     * @param name its name, for example {@code model.embed_tokens.weight}
     * @return the tensor, or empty if there is none of that name
     */
    public Optional<SafetensorsTensor> tensor(String name) {
        return byName.find(name);
    }

    /**
     * The bytes of all headers, the eight bytes of their lengths included.
     *
     * @return the bytes that were read
     */
    public long headerBytes() {
        return headerBytes;
    }

    /**
     * The bytes of all tensors, without headers.
     *
     * @return the sum of {@link SafetensorsTensor#byteSize}
     */
    public long tensorBytes() {
        return tensorBytes;
    }

    /**
     * Makes sure that the files are still those that were read; see {@link GgufFile#verifyUnchanged}.
     *
     * @throws ModelFileException if a file has changed
     * @throws IOException if a file is gone or cannot be asked
     */
    public void verifyUnchanged() throws IOException {
        for (int i = 0; i < stamps.size(); i++) {
            stamps.get(i).verify(files.get(i));
        }
    }

    @Override
    public String toString() {
        return files.getFirst() + ": " + tensors.size() + " tensors, " + tensorBytes + " bytes";
    }
}
