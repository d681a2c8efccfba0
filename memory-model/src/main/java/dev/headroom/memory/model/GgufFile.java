package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What a GGUF file says about itself: metadata, and the exact place and size of every tensor.
 *
 * {@snippet lang = java :
 * GgufFile file = GgufFile.read(Path.of("tinyllama-1.1b.gguf"));
 * long layers = file.metadata().integer("llama.block_count").orElseThrow();
 * for (GgufTensor tensor : file.tensors()) {
 *     System.out.println(tensor.name() + " " + tensor.type() + " " + tensor.byteSize());
 * }
 * }
 *
 * <p>Only the header is read, through one small buffer, so the time does not depend on the size of the data. Versions 2
 * and 3 are read, in both byte orders. The file is judged strictly: counts and lengths must fit in the bytes left, keys
 * and names must be unique, types must be known, tensors must lie one behind the other up to alignment and inside the
 * file. Holes of a sparse file count as data. Heap stays below eight times the header plus one buffer of 64 KiB.
 *
 * <p>A model split into {@code <prefix>-00001-of-00003.gguf} and so on is read as one, whichever shard is named; the
 * others are looked for in the same folder only.
 *
 * <p>An instance holds no open file. It describes the files as they were: {@link #verifyUnchanged} tells whether they
 * still are. Immutable; may be used by any thread.
 */
public final class GgufFile {

    private final GgufMetadata metadata;
    private final List<GgufShard> shards;
    private final List<FileStamp> stamps;
    private final List<GgufTensor> tensors;
    private final NameIndex<GgufTensor> byName;
    private final long tensorBytes;

    private GgufFile(List<GgufHeaderReader.Header> headers) throws ModelFileException {
        this.metadata = headers.getFirst().metadata();
        this.shards = headers.stream().map(GgufHeaderReader.Header::shard).toList();
        this.stamps = headers.stream().map(GgufHeaderReader.Header::stamp).toList();
        if (headers.size() == 1) {
            this.tensors = Collections.unmodifiableList(headers.getFirst().tensors());
        } else {
            List<GgufTensor> all = new ArrayList<>();
            headers.forEach(header -> all.addAll(header.tensors()));
            this.tensors = Collections.unmodifiableList(all);
        }
        this.byName = new NameIndex<>(tensors, GgufTensor::name);
        Optional<GgufTensor> repeated = byName.repeated();
        if (repeated.isPresent()) {
            throw secondOfThatName(headers, repeated.get());
        }
        this.tensorBytes = sum(headers);
    }

    /**
     * Reads the header of a model file, or those of all shards of a split model.
     *
     * @param path the file, or any shard
     * @return what the header says
     * @throws ModelFileException if the file is not a GGUF file that can be trusted, or a shard is missing
     * @throws java.nio.file.NoSuchFileException if there is no such file
     * @throws IOException if reading fails
     */
    public static GgufFile read(Path path) throws IOException {
        Optional<SplitName> name = SplitName.tryParse(path);
        int guessed = name.isPresent() ? Math.max(0, name.get().number() - 1) : 0;
        GgufHeaderReader.Header own = GgufHeaderReader.read(path, guessed);
        long count = own.metadata().integer("split.count").orElse(1);
        if (count < 0) {
            throw own.metadata().refuse("split.count", "a number of shards", Long.toString(count));
        }
        if (count <= 1) {
            // A whole model may bear the name of a shard; its tensors then belong to file 0 all the same.
            return new GgufFile(List.of(guessed == 0 ? own : GgufHeaderReader.read(path, 0)));
        }
        return readShards(path, name, own, count);
    }

    private static GgufFile readShards(
            Path path, Optional<SplitName> optionalName, GgufHeaderReader.Header own, long count) throws IOException {
        if (optionalName.isEmpty()) {
            throw new ModelFileException(
                    path,
                    "a name that ends in -00001-of-" + String.format(Locale.ROOT, "%05d", count)
                            + ".gguf or the like, as split.count is " + count,
                    "another name",
                    "give every shard the name it was made with");
        }
        SplitName name = optionalName.get();
        if (name.count() != count) {
            throw own.metadata().refuse("split.count", name.count() + ", as the file name says,", Long.toString(count));
        }
        if (name.number() < 1 || name.number() > name.count()) {
            throw new ModelFileException(
                    path, "a shard number from 1 to " + name.count() + " in the name", Integer.toString(name.number()));
        }
        refuseMissing(path, name);

        List<GgufHeaderReader.Header> headers = new ArrayList<>();
        long total = 0;
        for (int number = 1; number <= name.count(); number++) {
            GgufHeaderReader.Header header =
                    number == name.number() ? own : GgufHeaderReader.read(name.sibling(path, number), number - 1);
            headers.add(header);
            checkShard(header, number - 1, name.count(), headers.getFirst());
            total += header.tensors().size();
            if (total > GgufLimits.MAX_TENSORS) {
                throw new ModelFileException(
                        header.shard().path(),
                        "at most " + GgufLimits.MAX_TENSORS + " tensors in all shards",
                        total + " up to this one");
            }
        }
        for (int i = 0; i < headers.size(); i++) {
            GgufMetadata metadata = headers.get(i).metadata();
            if (i == 0 || metadata.value("split.tensors.count").isPresent()) {
                Path shard = headers.get(i).shard().path();
                expect(metadata, shard, "split.tensors.count", total, "the tensors of all shards");
            }
        }
        return new GgufFile(headers);
    }

    private static void refuseMissing(Path path, SplitName name) throws ModelFileException {
        List<String> missing = new ArrayList<>();
        int missingCount = 0;
        for (int number = 1; number <= name.count(); number++) {
            Path sibling = name.sibling(path, number);
            if (!Files.exists(sibling)) {
                missingCount++;
                if (missing.size() < 3) {
                    missing.add(String.valueOf(sibling.getFileName()));
                }
            }
        }
        if (missingCount > 0) {
            throw new ModelFileException(
                    path,
                    "all " + name.count() + " shards in one folder",
                    "no " + String.join(", ", missing)
                            + (missingCount > missing.size()
                                    ? " and " + (missingCount - missing.size()) + " more"
                                    : ""),
                    "put the missing shards beside this one");
        }
    }

    private static void checkShard(GgufHeaderReader.Header header, int index, int count, GgufHeaderReader.Header first)
            throws ModelFileException {
        GgufMetadata metadata = header.metadata();
        Path path = header.shard().path();
        expect(metadata, path, "split.no", index, "the number in the file name less one");
        expect(metadata, path, "split.count", count, "as the file name says");
        if (header.shard().byteOrder() != first.shard().byteOrder()) {
            throw new ModelFileException(
                    path,
                    first.shard().byteOrder() + " as in the first shard",
                    header.shard().byteOrder().toString());
        }
    }

    private static void expect(GgufMetadata metadata, Path path, String key, long wanted, String why)
            throws ModelFileException {
        long found = metadata.integer(key)
                .orElseThrow(() -> new ModelFileException(path, "the key \"" + key + "\" in a shard", "none"));
        if (found != wanted) {
            throw metadata.refuse(key, wanted + " (" + why + ")", Long.toString(found));
        }
    }

    private static long sum(List<GgufHeaderReader.Header> headers) throws ModelFileException {
        long sum = 0;
        for (GgufHeaderReader.Header header : headers) {
            for (GgufTensor tensor : header.tensors()) {
                // Within one file the sum fits; over sparse shards it need not.
                if (tensor.byteSize() > Long.MAX_VALUE - sum) {
                    throw new ModelFileException(
                            header.shard().path(),
                            "tensors of less than 2^63 bytes in all shards",
                            ModelFileException.quote(tensor.name()) + " of " + tensor.byteSize() + " bytes after "
                                    + sum);
                }
                sum += tensor.byteSize();
            }
        }
        return sum;
    }

    private static ModelFileException secondOfThatName(List<GgufHeaderReader.Header> headers, GgufTensor second) {
        GgufHeaderReader.Header header = headers.get(second.shard());
        // Tensors of one file differ at least in their offset, so this finds the right one of the two.
        int index = header.tensors().indexOf(second);
        return new ModelFileException(
                header.shard().path(),
                header.infoPosition(index),
                "unique tensor names",
                ModelFileException.quote(second.name()) + " a second time");
    }

    /**
     * The metadata; of a split model that of the first shard, the only one that describes the model.
     *
     * @return the metadata
     */
    public GgufMetadata metadata() {
        return metadata;
    }

    /**
     * The files of the model.
     *
     * @return one file, or the shards in order
     */
    public List<GgufShard> shards() {
        return shards;
    }

    /**
     * All tensors in the order in which they lie in the files: shard by shard, offsets rising.
     *
     * @return an unmodifiable list
     */
    public List<GgufTensor> tensors() {
        return tensors;
    }

    /**
     * Finds a tensor.
     *
     * @param name its name, for example {@code blk.0.attn_q.weight}
     * @return the tensor, or empty if there is none of that name
     */
    public Optional<GgufTensor> tensor(String name) {
        return byName.find(name);
    }

    /**
     * The bytes of all tensors, without headers and padding.
     *
     * @return the sum of {@link GgufTensor#byteSize}
     */
    public long tensorBytes() {
        return tensorBytes;
    }

    /**
     * The value of {@code general.architecture}, the prefix of the keys that describe the model.
     *
     * @return for example {@code llama}, or empty if the file does not say
     * @throws ModelFileException if the value is not a text
     */
    public Optional<String> architecture() throws ModelFileException {
        return metadata.text("general.architecture");
    }

    /**
     * Makes sure that the files are still those that were read: same size, same time of change, same identity. A loader
     * calls this before and after it copies tensors, because a file that changes meanwhile yields a mixture.
     *
     * @throws ModelFileException if a file has changed
     * @throws IOException if a file is gone or cannot be asked
     */
    public void verifyUnchanged() throws IOException {
        for (int i = 0; i < stamps.size(); i++) {
            stamps.get(i).verify(shards.get(i).path());
        }
    }

    @Override
    public String toString() {
        return shards.getFirst().path() + ": " + tensors.size() + " tensors, " + tensorBytes + " bytes, "
                + metadata.size() + " keys";
    }
}
