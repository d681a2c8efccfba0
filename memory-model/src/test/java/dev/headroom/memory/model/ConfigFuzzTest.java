package dev.headroom.memory.model;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;

/** Whatever bytes a configuration has, it is read and planned, or refused. */
class ConfigFuzzTest {

    private static final FuzzedFile FILE = new FuzzedFile("config.json");

    @FuzzTest(maxDuration = "10m")
    void isReadOrRefused(byte[] bytes) throws IOException {
        FILE.check(bytes);
    }
}
