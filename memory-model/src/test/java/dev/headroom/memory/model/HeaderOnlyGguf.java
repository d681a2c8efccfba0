package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** GGUF files of keys alone: whatever a footprint depends on, and no tensors. */
final class HeaderOnlyGguf {

    private final String architecture;
    private final Map<String, Object> keys = new LinkedHashMap<>();

    private HeaderOnlyGguf(String architecture) {
        this.architecture = architecture;
    }

    /** A decoder with 4 layers, 8 heads of 64 on 2, and a vocabulary of 1000. */
    static HeaderOnlyGguf small(String architecture) {
        return new HeaderOnlyGguf(architecture)
                .with("block_count", 4)
                .with("context_length", 8192)
                .with("embedding_length", 512)
                .with("feed_forward_length", 2048)
                .with("attention.head_count", 8)
                .with("attention.head_count_kv", 2)
                .with("vocab_size", 1000);
    }

    /** Sets a key below the architecture's name to a Long, Integer or List of them. */
    HeaderOnlyGguf with(String key, Object value) {
        keys.put(key, value);
        return this;
    }

    HeaderOnlyGguf without(String key) {
        keys.remove(key);
        return this;
    }

    RawGguf raw() {
        RawGguf raw = RawGguf.header(0, keys.size() + 1).key("general.architecture", architecture);
        keys.forEach((key, value) -> {
            String full = architecture + "." + key;
            switch (value) {
                case Integer number -> raw.key(full, number);
                case Long number -> raw.key(full, GgufValueType.U64).u64(number);
                case String text -> raw.key(full, text);
                case List<?> list -> {
                    raw.key(full, GgufValueType.ARRAY)
                            .u32(GgufValueType.I32.id())
                            .u64(list.size());
                    list.forEach(number -> raw.u32((Integer) number));
                }
                default -> throw new IllegalArgumentException(key);
            }
        });
        return raw;
    }

    ModelFile read(Path folder) throws IOException {
        return ModelFile.read(raw().write(folder, "header.gguf"));
    }
}
