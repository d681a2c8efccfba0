package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Endpoint;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import jcuda.driver.CUstream;

/**
 * Copies and fills, one call each, all of which return before the work is done. Which call serves a copy is decided by
 * where its two sides lie.
 *
 * <p><b>Memory of the host that is not pinned is declined.</b> CUDA would take it, but copies from it at the caller's
 * expense, and to it only when everything before it in the stream is over, user's kernels among it: the call would block
 * for as long. The engine has pinned staging memory for that.
 *
 * <p>Thread-safe.
 */
final class CudaTransfers {

    private final CudaApi cuda;
    private final PrimaryContext context;
    private final CudaPeers peers;

    CudaTransfers(CudaApi cuda, PrimaryContext context) {
        this.cuda = cuda;
        this.context = context;
        peers = new CudaPeers(cuda, context);
    }

    void submit(TransferCommand command, CUstream stream) throws DriverException {
        switch (command) {
            case Copy(Endpoint source, Endpoint target, long size) ->
                copy(block(source), address(source), block(target), address(target), size, stream);
            case Fill(DriverBlock block, long byteOffset, long byteSize, byte value) ->
                fill((CudaBlock) block, byteOffset, byteSize, value, stream);
        }
    }

    private void copy(CudaBlock source, long from, CudaBlock target, long to, long size, CUstream stream)
            throws DriverException {
        if (source.isHost() && target.isHost()) {
            context.run("cuMemcpyAsync", () -> cuda.copyAny(to, from, size, stream));
        } else if (source.isHost()) {
            requireOwn(target);
            context.run("cuMemcpyHtoDAsync", () -> cuda.copyToDevice(to, from, size, stream));
        } else if (target.isHost()) {
            requireOwn(source);
            context.run("cuMemcpyDtoHAsync", () -> cuda.copyToHost(to, from, size, stream));
        } else if (source.context().sameAs(target.context())) {
            requireOwn(source);
            context.run("cuMemcpyDtoDAsync", () -> cuda.copyWithin(to, from, size, stream));
        } else {
            peers.require(source.context().sameAs(context) ? target.context() : source.context());
            context.run(
                    "cuMemcpyPeerAsync",
                    () -> cuda.copyPeer(
                            to,
                            target.context().handle(),
                            from,
                            source.context().handle(),
                            size,
                            stream));
        }
    }

    private void requireOwn(CudaBlock block) throws DriverException {
        if (!block.context().sameAs(context)) {
            throw unsupported("the memory lies on another device, and no side of the copy on this one");
        }
    }

    private void fill(CudaBlock block, long byteOffset, long byteSize, byte value, CUstream stream)
            throws DriverException {
        if (block.isHost()) {
            throw unsupported("the host fills its own memory itself");
        }
        context.run("cuMemsetD8Async", () -> cuda.fill(block.address() + byteOffset, value, byteSize, stream));
    }

    private static CudaBlock block(Endpoint endpoint) throws DriverException {
        return switch (endpoint) {
            case InBlock(CudaBlock block, long _) -> block;
            case InPeer(CudaBlock block, long _) -> block;
            case InBlock _, InPeer _ -> throw unsupported("one side is no memory of CUDA's");
            case InHost _ -> throw unsupported("one side is memory of the host that is not pinned");
        };
    }

    private static long address(Endpoint endpoint) throws DriverException {
        return switch (endpoint) {
            case InBlock(CudaBlock block, long byteOffset) -> block.address() + byteOffset;
            case InPeer(CudaBlock block, long byteOffset) -> block.address() + byteOffset;
            case InBlock _, InPeer _ -> throw unsupported("one side is no memory of CUDA's");
            case InHost _ -> throw unsupported("one side is memory of the host that is not pinned");
        };
    }

    private static DriverException unsupported(String why) {
        return new DriverException(DriverException.Kind.UNSUPPORTED, 0, "copy", why);
    }
}
