package dev.headroom.memory.model;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;

/** Whatever bytes a safetensors file has, it is read and planned, or refused. */
class SafetensorsFuzzTest {

    private static final FuzzedFile FILE = new FuzzedFile(
            "x.safetensors",
            "config.json",
            "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"num_attention_heads\":2}");

    @FuzzTest(maxDuration = "10m")
    void isReadOrRefused(byte[] bytes) throws IOException {
        FILE.check(bytes);
    }
}
