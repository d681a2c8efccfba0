package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import tools.jackson.core.JsonToken;

/**
 * The index of a sharded model: which tensor lies in which file, and how many bytes all tensors take.
 *
 * <p>Reads the files of PyTorch too, which have the same form; only safetensors can be looked into further.
 */
final class SafetensorsIndex {

    /** Real ones take 30 KB to 10 MB. */
    static final long MAX_BYTES = 64L << 20;

    private static final int MAX_SHARDS = 8192;
    private static final String WEIGHT_MAP = "weight_map";
    private static final String SAFETENSORS = ".safetensors";
    private static final String PYTORCH = ".bin";

    private final Path path;
    private final List<String> shards;
    /** The tensors of each file, sorted. Arrays, because a map would cost several times the text it is read from. */
    private final List<String[]> tensorsOfShard;

    private final OptionalLong totalSize;

    private SafetensorsIndex(Path path, List<String> shards, List<String[]> tensorsOfShard, OptionalLong totalSize) {
        this.path = path;
        this.shards = shards;
        this.tensorsOfShard = tensorsOfShard;
        this.totalSize = totalSize;
    }

    Path path() {
        return path;
    }

    /** The names of the files, in the order of their first use. They lie in the folder of the index. */
    List<String> shards() {
        return shards;
    }

    /** The names of the tensors of one file, sorted; not to be changed. */
    String[] tensors(int shard) {
        return tensorsOfShard.get(shard);
    }

    /** How many tensors there are. */
    long tensorCount() {
        return tensorsOfShard.stream().mapToLong(names -> names.length).sum();
    }

    /** The bytes of all tensors, if the index says. */
    OptionalLong totalSize() {
        return totalSize;
    }

    /** Whether the tensors lie in files that can be read here. */
    boolean isSafetensors() {
        return !shards.isEmpty() && shards.getFirst().endsWith(SAFETENSORS);
    }

    Path shard(int number) {
        return path.resolveSibling(shards.get(number));
    }

    static SafetensorsIndex read(Path path) throws IOException {
        FileStamp stamp = FileStamp.of(path);
        if (stamp.bytes() > MAX_BYTES) {
            throw new ModelFileException(
                    path, "an index of at most " + MAX_BYTES + " bytes", "one of " + stamp.bytes());
        }
        FileStart start = FileStart.of(path);
        if (!start.isJson()) {
            throw start.refuse(path, "JSON text", "JSON");
        }
        try (JsonInput json = JsonInput.open(path, 0, stamp.bytes())) {
            SafetensorsIndex index = read(path, json);
            stamp.verify(path);
            return index;
        }
    }

    private static SafetensorsIndex read(Path path, JsonInput json) throws IOException {
        json.expect(JsonToken.START_OBJECT, "an object");
        OptionalLong totalSize = OptionalLong.empty();
        Optional<SafetensorsIndex> map = Optional.empty();
        Set<String> keys = new HashSet<>();
        while (json.nextName()) {
            String key = json.name();
            if (!keys.add(key) || keys.size() > 64) {
                throw json.refuse("at most 64 keys, each once", ModelFileException.quote(key) + " after them");
            }
            switch (key) {
                case "metadata" -> totalSize = totalSize(json);
                case WEIGHT_MAP -> map = Optional.of(weightMap(path, json));
                default -> {
                    JsonToken ignored = json.next("a value");
                    json.skip();
                }
            }
        }
        json.end();
        if (map.isEmpty()) {
            throw new ModelFileException(
                    path, "an object under \"" + WEIGHT_MAP + "\"", "none", "this is not the index of a sharded model");
        }
        return new SafetensorsIndex(path, map.get().shards, map.get().tensorsOfShard, totalSize);
    }

    private static OptionalLong totalSize(JsonInput json) throws IOException {
        json.expect(JsonToken.START_OBJECT, "an object under \"metadata\"");
        OptionalLong totalSize = OptionalLong.empty();
        while (json.nextName()) {
            boolean wanted = json.name().equals("total_size");
            JsonToken ignored = json.next("a value");
            if (!wanted) {
                json.skip();
            } else if (totalSize.isPresent()) {
                throw json.refuse("one \"total_size\"", "a second one");
            } else {
                totalSize = OptionalLong.of(json.count("\"total_size\""));
            }
        }
        return totalSize;
    }

    private static SafetensorsIndex weightMap(Path path, JsonInput json) throws IOException {
        json.expect(JsonToken.START_OBJECT, "an object under \"" + WEIGHT_MAP + "\"");
        // Names of shards repeat: one text and one number for each serve all its tensors.
        Map<String, Integer> numbers = new HashMap<>();
        List<String> shards = new ArrayList<>();
        List<List<String>> tensors = new ArrayList<>();
        while (json.nextName()) {
            String tensor = json.name();
            json.about(tensor);
            json.expect(JsonToken.VALUE_STRING, "the file of {}");
            String shard = json.text();
            Integer number = numbers.get(shard);
            if (number == null) {
                requirePlainName(json, shard);
                number = shards.size();
                numbers.put(shard, number);
                shards.add(shard);
                tensors.add(new ArrayList<>());
                if (number == MAX_SHARDS) {
                    throw json.refuse("at most " + MAX_SHARDS + " files", "one more");
                }
                if (shard.endsWith(SAFETENSORS) != shards.getFirst().endsWith(SAFETENSORS)) {
                    throw json.refuse("files of one format", json.describe());
                }
            }
            tensors.get(number).add(tensor);
        }
        List<String[]> sorted = new ArrayList<>();
        for (List<String> names : tensors) {
            String[] array = names.toArray(String[]::new);
            Arrays.sort(array);
            sorted.add(array);
        }
        requireUnique(path, sorted);
        return new SafetensorsIndex(path, List.copyOf(shards), sorted, OptionalLong.empty());
    }

    private static void requireUnique(Path path, List<String[]> tensors) throws ModelFileException {
        String[] all = tensors.stream().flatMap(Arrays::stream).toArray(String[]::new);
        Arrays.sort(all);
        for (int i = 1; i < all.length; i++) {
            if (all[i].equals(all[i - 1])) {
                throw new ModelFileException(
                        path, "unique tensor names", ModelFileException.quote(all[i]) + " a second time");
            }
        }
    }

    /** A name from the index must stay in the folder of the index. */
    private static void requirePlainName(JsonInput json, String name) throws IOException {
        boolean plain = name.chars().allMatch(c -> c > ' ' && c != '/' && c != '\\' && c != ':' && c < 0x7f);
        if (!plain || name.startsWith(".") || !(name.endsWith(SAFETENSORS) || name.endsWith(PYTORCH))) {
            throw json.refuse(
                    "the plain name of a " + SAFETENSORS + " or " + PYTORCH + " file in the same folder",
                    json.describe());
        }
    }
}
