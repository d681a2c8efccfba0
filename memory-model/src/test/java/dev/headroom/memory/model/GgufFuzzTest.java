package dev.headroom.memory.model;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;

/** Whatever bytes a GGUF file has, it is read and planned, or refused. */
class GgufFuzzTest {

    private static final FuzzedFile FILE = new FuzzedFile("x.gguf");

    @FuzzTest(maxDuration = "10m")
    void isReadOrRefused(byte[] bytes) throws IOException {
        FILE.check(bytes);
    }
}
