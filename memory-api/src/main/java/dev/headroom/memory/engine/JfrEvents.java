package dev.headroom.memory.engine;

import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.Verdict;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Percentage;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;
import org.jspecify.annotations.Nullable;

/**
 * Events for Flight Recorder: the only file that knows it, because a runtime may have been linked without. An event object is
 * made only while its type is enabled: after a recording has ended, making and timing one would still cost two readings of the
 * clock. No stack traces; a stack walk costs more than what is recorded. Thread-safe.
 */
final class JfrEvents implements EngineEvents {

    /**
     * One event of each type, to be asked whether the type is enabled: asking costs a field read. Made on first use, because the
     * JDK takes a tenth of a second to prepare itself for them.
     */
    private static final class Types {
        private static final AllocateEvent ALLOCATE = new AllocateEvent();
        private static final FreeEvent FREE = new FreeEvent();
        private static final GrowEvent GROW = new GrowEvent();
        private static final TrimEvent TRIM = new TrimEvent();
        private static final TransferEvent TRANSFER = new TransferEvent();
        private static final FallbackEvent FALLBACK = new FallbackEvent();
        private static final PressureChangeEvent PRESSURE_CHANGE = new PressureChangeEvent();
        private static final OutOfMemoryEvent OUT_OF_MEMORY = new OutOfMemoryEvent();
        private static final SelectionEvent SELECTION = new SelectionEvent();
        private static final LeakEvent LEAK = new LeakEvent();
    }

    @Name("dev.headroom.Allocate")
    @Label("Allocation")
    @Description("A buffer was allocated; one allocation in so many is recorded")
    @Category("Headroom")
    @StackTrace(false)
    static final class AllocateEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Kind")
        @Nullable
        String kind;

        @Label("Buffer")
        @Description("Number of the buffer; its close is recorded too")
        long buffer;

        @Label("Size")
        @DataAmount
        long byteSize;

        @Label("Tag")
        @Nullable
        String tag;

        @Label("Hit")
        @Description("Served without a driver call")
        boolean hit;

        @Label("One in")
        @Description("How many allocations this one stands for")
        int oneIn;
    }

    @Name("dev.headroom.Free")
    @Label("Free")
    @Description("A buffer whose allocation was recorded was closed and its work had ended or was queued")
    @Category("Headroom")
    @StackTrace(false)
    static final class FreeEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Kind")
        @Nullable
        String kind;

        @Label("Buffer")
        @Description("Number of the buffer")
        long buffer;

        @Label("Size")
        @DataAmount
        long byteSize;
    }

    @Name("dev.headroom.Grow")
    @Label("Growth")
    @Description("A pool took memory from its driver")
    @Category("Headroom")
    @StackTrace(false)
    static final class GrowEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Kind")
        @Nullable
        String kind;

        @Label("Size")
        @DataAmount
        long byteSize;
    }

    @Name("dev.headroom.Trim")
    @Label("Trim")
    @Description("A pool gave idle memory back to its driver")
    @Category("Headroom")
    @StackTrace(false)
    static final class TrimEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Kind")
        @Nullable
        String kind;

        @Label("Size")
        @DataAmount
        long byteSize;
    }

    @Name("dev.headroom.Transfer")
    @Label("Transfer")
    @Description("Bytes were written, read, copied or filled; the duration is from the call to the arrival")
    @Category("Headroom")
    @StackTrace(false)
    static final class TransferEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Operation")
        @Nullable
        String operation;

        @Label("Size")
        @DataAmount
        long byteSize;

        @Label("Asynchronous")
        boolean async;
    }

    @Name("dev.headroom.Fallback")
    @Label("Fallback")
    @Description("Host memory stood in for a device that was full")
    @Category("Headroom")
    @StackTrace(false)
    static final class FallbackEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Host")
        @Nullable
        String host;

        @Label("Size")
        @DataAmount
        long byteSize;

        @Label("Reason")
        @Nullable
        String reason;
    }

    @Name("dev.headroom.PressureChange")
    @Label("Pressure Change")
    @Description("The pressure on a device has changed, with hysteresis")
    @Category("Headroom")
    @StackTrace(false)
    static final class PressureChangeEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Before")
        @Nullable
        String before;

        @Label("Now")
        @Nullable
        String now;

        @Label("Used")
        @Description("Used share of the device, or of the limit where one is set")
        @Percentage
        double used;
    }

    @Name("dev.headroom.OutOfMemory")
    @Label("Out of Memory")
    @Description("A request was refused by a pool; a fallback may have served it")
    @Category("Headroom")
    @StackTrace(false)
    static final class OutOfMemoryEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Kind")
        @Nullable
        String kind;

        @Label("Requested")
        @DataAmount
        long requestedBytes;

        @Label("Largest Free Range")
        @DataAmount
        long largestFreeBytes;

        @Label("In Buffers")
        @DataAmount
        long inUseBytes;

        @Label("Held From the Driver")
        @DataAmount
        long heldBytes;

        @Label("Usable")
        @Description("What the budget still allows")
        @DataAmount
        long usableBytes;

        @Label("By Limit")
        @Description("A limit ran out, not memory")
        boolean byLimit;

        @Label("Open Buffers")
        long openBuffers;
    }

    @Name("dev.headroom.Selection")
    @Label("Selection")
    @Description("A device was looked for")
    @Category("Headroom")
    @StackTrace(false)
    static final class SelectionEvent extends Event {
        @Label("Required")
        @DataAmount
        long requiredBytes;

        @Label("Preference")
        @Nullable
        String preference;

        @Label("Chosen")
        @Description("The device; empty if none has room")
        @Nullable
        String chosen;

        @Label("Verdicts")
        @Nullable
        String verdicts;
    }

    @Name("dev.headroom.Leak")
    @Label("Leak")
    @Description("A buffer became unreachable without having been closed")
    @Category("Headroom")
    @StackTrace(false)
    static final class LeakEvent extends Event {
        @Label("Device")
        @Nullable
        String device;

        @Label("Buffer")
        @Description("Number of the buffer")
        long buffer;

        @Label("Size")
        @DataAmount
        long byteSize;

        @Label("Tag")
        @Nullable
        String tag;

        @Label("Age")
        @Timespan(Timespan.NANOSECONDS)
        long age;

        @Label("Site")
        @Description("Where it was allocated: the first frame outside Headroom")
        @Nullable
        String site;

        @Label("Reclaimed")
        @Description("Its memory was taken back")
        boolean reclaimed;
    }

    /** Fails with a {@link LinkageError} where this runtime has no Flight Recorder. */
    JfrEvents() {
        boolean ignored = isStarted();
    }

    /** Whether Flight Recorder has ever recorded in this process; until then nobody has asked for events. */
    private static boolean isStarted() {
        return FlightRecorder.isInitialized();
    }

    @Override
    public boolean recordsBuffers() {
        return isStarted() && (Types.ALLOCATE.isEnabled() || Types.FREE.isEnabled());
    }

    @Override
    public void allocated(
            GpuDevice device,
            MemoryKind kind,
            BufferId buffer,
            long byteSize,
            Optional<String> tag,
            boolean hit,
            int oneIn) {
        if (isStarted() && Types.ALLOCATE.isEnabled()) {
            AllocateEvent event = new AllocateEvent();
            event.device = device.id();
            event.kind = kind.label();
            event.buffer = buffer.value();
            event.byteSize = byteSize;
            event.tag = tag.orElse(null);
            event.hit = hit;
            event.oneIn = oneIn;
            event.commit();
        }
    }

    @Override
    public void freed(GpuDevice device, MemoryKind kind, BufferId buffer, long byteSize) {
        if (isStarted() && Types.FREE.isEnabled()) {
            FreeEvent event = new FreeEvent();
            event.device = device.id();
            event.kind = kind.label();
            event.buffer = buffer.value();
            event.byteSize = byteSize;
            event.commit();
        }
    }

    @Override
    public @Nullable Span growing(GpuDevice device, MemoryKind kind) {
        if (!isStarted() || !Types.GROW.isEnabled()) {
            return null;
        }
        GrowEvent event = new GrowEvent();
        event.begin();
        return byteSize -> {
            event.device = device.id();
            event.kind = kind.label();
            event.byteSize = byteSize;
            event.commit();
        };
    }

    @Override
    public @Nullable Span trimming(GpuDevice device, MemoryKind kind) {
        if (!isStarted() || !Types.TRIM.isEnabled()) {
            return null;
        }
        TrimEvent event = new TrimEvent();
        event.begin();
        return byteSize -> {
            event.device = device.id();
            event.kind = kind.label();
            event.byteSize = byteSize;
            event.commit();
        };
    }

    @Override
    public @Nullable Span transferring(GpuDevice device, Transfer transfer, boolean async) {
        if (!isStarted() || !Types.TRANSFER.isEnabled()) {
            return null;
        }
        TransferEvent event = new TransferEvent();
        event.begin();
        return byteSize -> {
            event.device = device.id();
            event.operation = transfer.name().toLowerCase(Locale.ROOT);
            event.byteSize = byteSize;
            event.async = async;
            event.commit();
        };
    }

    @Override
    public void fellBack(GpuDevice device, GpuDevice host, long byteSize, String reason) {
        if (isStarted() && Types.FALLBACK.isEnabled()) {
            FallbackEvent event = new FallbackEvent();
            event.device = device.id();
            event.host = host.id();
            event.byteSize = byteSize;
            event.reason = reason;
            event.commit();
        }
    }

    @Override
    public void pressureChanged(GpuDevice device, MemoryPressure before, MemoryPressure now, double used) {
        if (isStarted() && Types.PRESSURE_CHANGE.isEnabled()) {
            PressureChangeEvent event = new PressureChangeEvent();
            event.device = device.id();
            event.before = before.name();
            event.now = now.name();
            event.used = used;
            event.commit();
        }
    }

    @Override
    public void ranOut(MemoryKind kind, DeviceOutOfMemoryException.Figures figures) {
        if (isStarted() && Types.OUT_OF_MEMORY.isEnabled()) {
            OutOfMemoryEvent event = new OutOfMemoryEvent();
            event.device = figures.pool();
            event.kind = kind.label();
            event.requestedBytes = figures.requestedBytes();
            event.largestFreeBytes = figures.largestFreeBytes();
            event.inUseBytes = figures.inUseBytes();
            event.heldBytes = figures.reservedBytes();
            event.usableBytes = figures.grantableBytes();
            event.byLimit = figures.byLimit();
            event.openBuffers = figures.activeBuffers();
            event.commit();
        }
    }

    @Override
    public void selected(long requiredBytes, String preference, Optional<GpuDevice> chosen, List<Verdict> verdicts) {
        if (isStarted() && Types.SELECTION.isEnabled()) {
            SelectionEvent event = new SelectionEvent();
            event.requiredBytes = requiredBytes;
            event.preference = preference;
            event.chosen = chosen.map(GpuDevice::id).orElse("");
            event.verdicts = verdicts.stream().map(JfrEvents::inShort).collect(Collectors.joining("; "));
            event.commit();
        }
    }

    @Override
    public void leaked(GpuDevice device, BufferMetadata buffer, Duration age, String site, boolean reclaimed) {
        if (isStarted() && Types.LEAK.isEnabled()) {
            LeakEvent event = new LeakEvent();
            event.device = device.id();
            event.buffer = buffer.id().value();
            event.byteSize = buffer.sizeBytes();
            event.tag = buffer.tag().orElse(null);
            event.age = age.toNanos();
            event.site = site;
            event.reclaimed = reclaimed;
            event.commit();
        }
    }

    private static String inShort(Verdict verdict) {
        if (verdict.device().isEmpty()) {
            return verdict.backend() + " unavailable";
        }
        String device = verdict.device().get().id();
        if (verdict.budget().isEmpty()) {
            return device + " does not answer";
        }
        return verdict.fits()
                ? device + " fits with " + ByteSize.format(verdict.usableBytes() - verdict.requiredBytes())
                        + " to spare"
                : device + " short by " + ByteSize.format(verdict.shortBytes());
    }
}
