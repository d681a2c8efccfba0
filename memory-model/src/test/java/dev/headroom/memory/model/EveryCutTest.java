package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A file of 4096 bytes, cut at every byte: no cut is taken for a model. */
class EveryCutTest {

    private static final int BYTES = 4096;

    @TempDir
    Path folder;

    private static RawGguf gguf(long values) {
        return RawGguf.header(1, 7)
                .key("general.architecture", "llama")
                .key("llama.block_count", 2)
                .key("llama.context_length", 2048)
                .key("llama.embedding_length", 64)
                .key("llama.attention.head_count", 4)
                .key("llama.attention.head_count_kv", GgufValueType.ARRAY)
                .u32(GgufValueType.I32.id())
                .u64(2)
                .u32(2)
                .u32(4)
                .key("tokenizer.ggml.tokens", GgufValueType.ARRAY)
                .u32(GgufValueType.STRING.id())
                .u64(3)
                .text("a")
                .text("")
                .text("ccc")
                .tensor("token_embd.weight", 0, 0, values);
    }

    @Test
    void gguf() throws IOException {
        int dataOffset = gguf(1).data(0).size();
        byte[] bytes = gguf((BYTES - dataOffset) / 4).data(BYTES - dataOffset).bytes();
        cutEverywhere(bytes, "cut.gguf");
    }

    @Test
    void safetensors() throws IOException {
        Files.writeString(
                folder.resolve("config.json"),
                "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"num_attention_heads\":4}");
        String rest = "," + RawSafetensors.entry("b", "BF16", "[5,7]", 10, 80) + "}";
        String start = "{\"__metadata__\":{\"format\":\"pt\"},";
        String first = RawSafetensors.entry("a", "U8", "[10]", 0, 10);
        // Spaces behind the header fill the file up.
        String header = start + first + rest;
        byte[] bytes = RawSafetensors.bytes(header + " ".repeat(BYTES - 8 - header.length() - 80), 80);
        cutEverywhere(bytes, "cut.safetensors");
    }

    private void cutEverywhere(byte[] bytes, String name) throws IOException {
        assertThat(bytes).hasSize(BYTES);
        Path path = Files.write(folder.resolve(name), bytes);
        assertThat(ModelFile.read(path).layers()).isEqualTo(2);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            for (int length = BYTES - 1; length >= 0; length--) {
                channel.truncate(length);
                long cut = length;
                assertThatExceptionOfType(ModelFileException.class)
                        .as("cut at %d", length)
                        .isThrownBy(() -> ModelFile.read(path))
                        .satisfies(e -> assertThat(e.position().orElseThrow()).isBetween(0L, cut));
            }
        }
    }
}
