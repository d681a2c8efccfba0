package dev.headroom.memory.cuda;

import dev.headroom.memory.MemoryConfig;
import java.util.List;
import java.util.function.Consumer;

/**
 * Something programs do, to be done again and again with other calls failing. It closes what it opens even when it fails, as a
 * program should.
 *
 * @param name    what it does
 * @param config  the configuration of its memory
 * @param devices the sizes of its devices, in MiB
 * @param set     what is special about them
 * @param leaves  whether it leaves buffers open on purpose
 * @param pumps   whether it uses asynchronous transfers, whose thread makes calls of its own
 * @param body    what is done
 */
record SweepWorkload(
        String name,
        MemoryConfig config,
        List<Long> devices,
        Consumer<CudaDouble> set,
        boolean leaves,
        boolean pumps,
        Body body) {

    /** What is done. */
    @FunctionalInterface
    interface Body {
        void run(SweepRun run) throws Exception;
    }

    SweepWorkload with(Consumer<MemoryConfig.Builder> change) {
        MemoryConfig.Builder builder = config.toBuilder();
        change.accept(builder);
        return new SweepWorkload(name, builder.build(), devices, set, leaves, pumps, body);
    }

    SweepWorkload on(Consumer<CudaDouble> more) {
        return new SweepWorkload(name, config, devices, set.andThen(more), leaves, pumps, body);
    }

    SweepWorkload leaving() {
        return new SweepWorkload(name, config, devices, set, true, pumps, body);
    }

    SweepWorkload pumping() {
        return new SweepWorkload(name, config, devices, set, leaves, true, body);
    }

    @Override
    public String toString() {
        return name;
    }
}
