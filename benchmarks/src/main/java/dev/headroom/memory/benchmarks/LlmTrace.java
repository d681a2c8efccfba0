package dev.headroom.memory.benchmarks;

import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What a program allocated and freed, in order. Made by a {@link TraceGenerator}; each name is used once. Not thread-safe while
 * it is made.
 */
public final class LlmTrace {

    private int[] operations = new int[1 << 16];
    private long[] sizes = new long[1 << 16];
    private int operationCount;
    private int idCount;
    private long liveBytes;
    private long peakLiveBytes;
    private long fixedBytes;

    LlmTrace() {}

    /** Allocates; an empty tensor, of a step in which nobody asks for anything, takes a byte. Returns the name. */
    int allocate(long wanted) {
        long bytes = Math.max(1, wanted);
        int id = idCount++;
        sizes = id < sizes.length ? sizes : Arrays.copyOf(sizes, 2 * id);
        sizes[id] = bytes;
        push(id);
        liveBytes += bytes;
        peakLiveBytes = Math.max(peakLiveBytes, liveBytes);
        return id;
    }

    /** Frees what has a name. */
    void free(int id) {
        push(~id);
        liveBytes -= sizes[id];
    }

    /** Frees in this order. */
    void freeAll(int... ids) {
        for (int id : ids) {
            free(id);
        }
    }

    /** What is allocated now stays until the end. */
    void fix() {
        fixedBytes = liveBytes;
    }

    private void push(int operation) {
        operations = operationCount < operations.length ? operations : Arrays.copyOf(operations, 2 * operationCount);
        operations[operationCount++] = operation;
    }

    /** How many allocations and frees there are. */
    int operations() {
        return operationCount;
    }

    /** An operation: a name that is allocated, or the complement of one that is freed. */
    int operation(int index) {
        return operations[index];
    }

    /** The bytes of a name. */
    long byteSize(int id) {
        return sizes[id];
    }

    /** How many names there are. */
    int ids() {
        return idCount;
    }

    /** The most bytes allocated at one time. */
    long peakLiveBytes() {
        return peakLiveBytes;
    }

    /** Bytes of it that stay from the beginning to the end. */
    long fixedBytes() {
        return fixedBytes;
    }

    /** Writes the trace as {@code headroom replay} reads it. */
    void write(Path file) throws IOException {
        try (Writer out = Files.newBufferedWriter(file)) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < operationCount; i++) {
                int operation = operations[i];
                line.setLength(0);
                if (operation >= 0) {
                    line.append("a ").append(operation).append(' ').append(sizes[operation]);
                } else {
                    line.append("f ").append(~operation);
                }
                out.append(line.append('\n'));
            }
        }
    }
}
