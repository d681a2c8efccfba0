package dev.headroom.memory.gpucheck;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.cuda.CudaBackend;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Endpoint;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;

/** What the driver itself costs, without a pool: memory in four ways, and bytes in four directions. */
final class DriverFigures {

    private static final long MIB = 1 << 20;
    private static final List<Long> SIZES = List.of(4096L, 2 * MIB, 256 * MIB);
    private static final int TIMES = 20;
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    private final DeviceDriver driver;
    private final Options options;
    private final List<Figure> figures = new ArrayList<>();

    private DriverFigures(DeviceDriver driver, Options options) {
        this.driver = driver;
        this.options = options;
    }

    static List<Figure> measure(CudaBackend backend, GpuDevice device, Options options) throws DriverException {
        DeviceDriver driver = backend.open(device);
        try (OwnStream stream = OwnStream.open(options.device())) {
            DriverFigures measuring = new DriverFigures(driver, options);
            measuring.allocations(stream);
            measuring.mappings();
            measuring.transfers();
            measuring.pageable(stream);
            return measuring.figures;
        } finally {
            driver.close();
        }
    }

    private void allocations(OwnStream stream) {
        stream.enter();
        try {
            for (long size : SIZES) {
                CUdeviceptr pointer = new CUdeviceptr();
                figures.add(Figure.microseconds(
                        "cuMemAlloc + cuMemFree, " + text(size), options.rounds(), TIMES, () -> {
                            OwnStream.require("cuMemAlloc", JCudaDriver.cuMemAlloc(pointer, size));
                            OwnStream.require("cuMemFree", JCudaDriver.cuMemFree(pointer));
                        }));
            }
            for (long size : SIZES) {
                String name = "cuMemAllocAsync + cuMemFreeAsync, " + text(size);
                figures.add(
                        offers("cuMemAllocAsync") && offers("cuMemFreeAsync")
                                ? asynchronous(name, size, stream)
                                : Figure.absent(name, "the driver has no such call"));
            }
        } finally {
            OwnStream.leave();
        }
    }

    /** The driver's own pool, as it is unless told otherwise: it keeps nothing over a synchronisation. */
    private Figure asynchronous(String name, long size, OwnStream stream) {
        CUdeviceptr pointer = new CUdeviceptr();
        int first = JCudaDriver.cuMemAllocAsync(pointer, size, stream.stream());
        if (first != 0) {
            return Figure.absent(name, "the device answers with code " + first);
        }
        OwnStream.require("cuMemFreeAsync", JCudaDriver.cuMemFreeAsync(pointer, stream.stream()));
        return Figure.microseconds(name, options.rounds(), TIMES, () -> {
            OwnStream.require("cuMemAllocAsync", JCudaDriver.cuMemAllocAsync(pointer, size, stream.stream()));
            OwnStream.require("cuMemFreeAsync", JCudaDriver.cuMemFreeAsync(pointer, stream.stream()));
            OwnStream.require("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(stream.stream()));
        });
    }

    /** A missing function ends the process when it is called. */
    @SuppressWarnings("restricted")
    private static boolean offers(String symbol) {
        try (Arena arena = Arena.ofConfined()) {
            return SymbolLookup.libraryLookup("libcuda.so.1", arena)
                    .find(symbol)
                    .isPresent();
        }
    }

    private void mappings() throws DriverException {
        Optional<VirtualMemory> found = driver.virtualMemory();
        String name = "create + map + set access + unmap + release, ";
        if (found.isEmpty()) {
            figures.add(Figure.absent(name + "a granule", "the device has no virtual memory"));
            return;
        }
        VirtualMemory ranges = found.orElseThrow();
        long granule = ranges.granularity();
        DriverBlock range = ranges.reserve(Math.max(256 * MIB, granule), MemoryKind.DEVICE);
        try {
            for (long size : List.of(granule, Math.max(64 * MIB, granule))) {
                figures.add(Figure.microseconds(name + text(size), options.rounds(), TIMES, () -> {
                    ranges.commit(range, 0, size);
                    ranges.decommit(range, 0, size);
                }));
            }
        } finally {
            ranges.release(range);
        }
    }

    private void transfers() throws DriverException {
        long size = options.mebibytes() * MIB;
        DriverBlock device = allocate(size, MemoryKind.DEVICE);
        try (DriverQueue queue = driver.openQueue()) {
            for (MemoryKind kind : List.of(MemoryKind.UPLOAD, MemoryKind.READBACK)) {
                DriverBlock pinned = allocate(size, kind);
                try {
                    boolean up = kind == MemoryKind.UPLOAD;
                    Endpoint host = new InBlock(pinned, 0);
                    figures.add(transfer("pinned memory " + direction(up), up, host, device, size, queue));
                } finally {
                    driver.free(pinned);
                }
            }
        } finally {
            driver.free(device);
        }
    }

    /** What a program does that knows nothing of pinned memory. The backend itself never does. */
    private void pageable(OwnStream stream) {
        int size = Math.toIntExact(options.mebibytes() * MIB);
        CUdeviceptr device = new CUdeviceptr();
        stream.enter();
        try (Arena arena = Arena.ofConfined()) {
            OwnStream.require("cuMemAlloc", JCudaDriver.cuMemAlloc(device, size));
            try {
                Pointer host = Pointer.to(arena.allocate(size).asByteBuffer());
                figures.add(Figure.gigabytesPerSecond(
                        "pageable memory " + direction(true),
                        options.rounds(),
                        size,
                        () -> OwnStream.require("cuMemcpyHtoD", JCudaDriver.cuMemcpyHtoD(device, host, size))));
                figures.add(Figure.gigabytesPerSecond(
                        "pageable memory " + direction(false),
                        options.rounds(),
                        size,
                        () -> OwnStream.require("cuMemcpyDtoH", JCudaDriver.cuMemcpyDtoH(host, device, size))));
            } finally {
                OwnStream.require("cuMemFree", JCudaDriver.cuMemFree(device));
            }
        } finally {
            OwnStream.leave();
        }
    }

    private static String direction(boolean up) {
        return up ? "to the device" : "from the device";
    }

    private Figure transfer(String name, boolean up, Endpoint host, DriverBlock device, long size, DriverQueue queue)
            throws DriverException {
        Endpoint memory = new InBlock(device, 0);
        Copy copy = up ? new Copy(host, memory, size) : new Copy(memory, host, size);
        return Figure.gigabytesPerSecond(name, options.rounds(), size, () -> {
            driver.submit(copy, queue);
            if (!driver.await(queue, driver.signal(queue), PATIENCE)) {
                throw new IllegalStateException("a copy of " + text(size) + " takes more than " + PATIENCE);
            }
        });
    }

    private DriverBlock allocate(long size, MemoryKind kind) throws DriverException {
        long granularity = driver.traits(kind).granularity();
        long rounded = (size + granularity - 1) / granularity * granularity;
        return driver.allocate(new BlockRequest(rounded, driver.traits(kind).baseAlignment(), kind, "gpu-check"));
    }

    private static String text(long bytes) {
        return bytes < MIB ? (bytes >> 10) + " KiB" : bytes / MIB + " MiB";
    }
}
