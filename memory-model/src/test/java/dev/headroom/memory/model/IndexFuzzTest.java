package dev.headroom.memory.model;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;

/** Whatever bytes the index of a sharded model has, it is read and planned, or refused. */
class IndexFuzzTest {

    private static final FuzzedFile FILE = new FuzzedFile(
            "model.safetensors.index.json",
            "config.json",
            "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"num_attention_heads\":2}");

    @FuzzTest(maxDuration = "10m")
    void isReadOrRefused(byte[] bytes) throws IOException {
        FILE.check(bytes);
    }
}
