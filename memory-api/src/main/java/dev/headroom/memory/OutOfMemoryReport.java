package dev.headroom.memory;

import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * A request that found no memory, and everything there is to know about why: what {@link
 * MemoryConfig.Builder#outOfMemoryReport} has written to a file. Immutable.
 *
 * @param writtenAt when
 * @param processId the process
 * @param thread    the caller's thread
 * @param request   what was asked for
 * @param failure   what the caller was told
 * @param pool      the pool that was asked
 * @param siblings  other pools of this process on the same memory
 */
public record OutOfMemoryReport(
        Instant writtenAt,
        long processId,
        String thread,
        AllocationRequest request,
        DeviceOutOfMemoryException failure,
        PoolReport pool,
        List<PoolReport> siblings) {

    /** The version of the form {@link #toJson} writes. Within a version fields are only added. */
    public static final int SCHEMA = 1;

    private static final int FRAMES = 100;

    /** Copies the list. */
    public OutOfMemoryReport {
        Objects.requireNonNull(writtenAt, "writtenAt");
        Objects.requireNonNull(thread, "thread");
        Objects.requireNonNull(request, "request");
        Objects.requireNonNull(failure, "failure");
        Objects.requireNonNull(pool, "pool");
        siblings = List.copyOf(siblings);
    }

    /**
     * The report for programs: one line of JSON in ASCII, without a line end. Its fields are {@code schema}, {@code writtenAt}
     * (ISO 8601), {@code processId}, {@code request}, {@code message}, {@code thread}, {@code stack} (of the caller, the innermost
     * frame first), {@code pool} and {@code siblings}, both in the form of {@link PoolReport#toJson}.
     *
     * @return the text
     */
    public String toJson() {
        return JsonText.object(json -> json.field("schema", SCHEMA)
                .field("writtenAt", writtenAt.toString())
                .field("processId", processId)
                .field("request", this::writeRequest)
                .field("message", String.valueOf(failure.getMessage()))
                .field("thread", thread)
                .strings(
                        "stack",
                        Arrays.stream(failure.getStackTrace())
                                .limit(FRAMES)
                                .map(StackTraceElement::toString)
                                .toList())
                .raw("pool", pool.toJson())
                .raws("siblings", siblings.stream().map(PoolReport::toJson).toList()));
    }

    private void writeRequest(JsonText json) {
        json.field("byteSize", request.byteSize())
                .field("byteAlignment", request.byteAlignment())
                .field("kind", request.kind().label())
                .field("zero", request.zero())
                .field("fallbackAllowed", request.fallbackAllowed())
                .field("tag", request.tag());
    }
}
