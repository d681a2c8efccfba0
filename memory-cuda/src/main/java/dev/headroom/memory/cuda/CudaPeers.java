package dev.headroom.memory.cuda;

import dev.headroom.memory.cuda.CudaSymbols.Feature;
import dev.headroom.memory.spi.DriverException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Which other devices this one copies from and to without the host between. Access is asked for once, at the first copy.
 * Thread-safe; two first copies may both ask, which the driver answers well.
 */
final class CudaPeers {

    private final CudaApi cuda;
    private final PrimaryContext context;

    /** By the device's number. A device that was closed and opened again has another context, which is asked for anew. */
    private final Map<Integer, PrimaryContext> allowed = new ConcurrentHashMap<>();

    CudaPeers(CudaApi cuda, PrimaryContext context) {
        this.cuda = cuda;
        this.context = context;
    }

    /**
     * Makes sure that this device may reach another one's memory.
     *
     * @throws DriverException {@code UNSUPPORTED} if it may not
     */
    void require(PrimaryContext peer) throws DriverException {
        int number = peer.device().handle().number();
        if (allowed.get(number) == peer) {
            return;
        }
        if (!cuda.offers(Feature.PEERS) || !canAccess(peer)) {
            throw new DriverException(
                    DriverException.Kind.UNSUPPORTED,
                    0,
                    "cuDeviceCanAccessPeer",
                    "there is no way from %s to %s but through the host"
                            .formatted(context.device().device(), peer.device().device()));
        }
        int code = context.answer(() -> cuda.enablePeer(peer.handle()));
        if (code != CudaError.PEER_ACCESS_ALREADY_ENABLED) {
            context.require("cuCtxEnablePeerAccess", code);
        }
        allowed.put(number, peer);
    }

    private boolean canAccess(PrimaryContext peer) throws DriverException {
        int[] can = new int[1];
        context.run(
                "cuDeviceCanAccessPeer",
                () -> cuda.canAccessPeer(
                        can, context.device().handle(), peer.device().handle()));
        return can[0] != 0;
    }
}
