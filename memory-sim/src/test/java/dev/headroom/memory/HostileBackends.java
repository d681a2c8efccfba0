package dev.headroom.memory;

import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;

/** Backends as no author should write them. Public with public constructors, for {@link java.util.ServiceLoader}. */
public final class HostileBackends {

    private HostileBackends() {}

    private static GpuDevice device(String backend, int index, String name) {
        return GpuDevice.of(backend, index, name, DeviceClass.VIRTUAL, PhysicalId.unknown());
    }

    /** Works, apart from what a subclass breaks. */
    public abstract static class Broken implements MemoryBackend {
        @Override
        public String name() {
            return "hostile";
        }

        @Override
        public int priority() {
            return 1000;
        }

        @Override
        public int spiVersion() {
            return SPI_VERSION;
        }

        @Override
        public BackendProbe probe() {
            return new BackendProbe.Available(List.of(device("hostile", 0, "hostile")));
        }

        @Override
        public MemoryBudget budget(GpuDevice device) {
            return MemoryBudget.measured(8L << 30, 8L << 30, "made up");
        }

        @Override
        public DeviceDriver open(GpuDevice device) {
            throw new IllegalStateException("open");
        }

        @Override
        public void close() {}

        @Override
        public String toString() {
            return getClass().getSimpleName();
        }
    }

    public static final class ThrowsInConstructor extends Broken {
        public ThrowsInConstructor() {
            throw new IllegalStateException("constructor");
        }
    }

    public static final class NoUsableConstructor extends Broken {
        public NoUsableConstructor(int unused) {}
    }

    public static final class ThrowsInInitialiser extends Broken {
        private static final int NUMBER = Integer.parseInt("none");

        @Override
        public int priority() {
            return NUMBER;
        }
    }

    public static final class ThrowsInName extends Broken {
        @Override
        public String name() {
            throw new IllegalStateException("name");
        }
    }

    public static final class NullName extends Broken {
        @Override
        public String name() {
            return null;
        }
    }

    public static final class UnaskableName extends Broken {
        @Override
        public String name() {
            return "Not A Name";
        }
    }

    public static final class ErrorInPriority extends Broken {
        @Override
        public int priority() {
            throw new AssertionError("priority");
        }
    }

    public static final class NullProbe extends Broken {
        @Override
        public BackendProbe probe() {
            return null;
        }
    }

    public static final class ThrowsInProbe extends Broken {
        @Override
        public BackendProbe probe() {
            throw new IllegalStateException("probe");
        }
    }

    public static final class LinkageErrorInProbe extends Broken {
        @Override
        public BackendProbe probe() {
            throw new NoClassDefFoundError("jcuda/driver/JCudaDriver");
        }
    }

    public static final class ErrorInProbe extends Broken {
        @Override
        public BackendProbe probe() {
            throw new Error("probe");
        }
    }

    public static final class EndlessProbe extends Broken {
        @Override
        public BackendProbe probe() {
            throw new StackOverflowError();
        }
    }

    public static final class ForeignDevice extends Broken {
        @Override
        public BackendProbe probe() {
            return new BackendProbe.Available(List.of(device("cpu", 0, "not mine")));
        }
    }

    public static final class TwiceTheSameDevice extends Broken {
        @Override
        public BackendProbe probe() {
            return new BackendProbe.Available(List.of(device("hostile", 0, "one"), device("hostile", 0, "two")));
        }
    }

    public static final class Slow extends Broken {
        @Override
        public BackendProbe probe() {
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return super.probe();
        }
    }

    /** Does not come back from its probe before it is let go. */
    public static final class Hanging extends Broken {
        final CountDownLatch letGo = new CountDownLatch(1);
        final CountDownLatch closed = new CountDownLatch(1);

        @Override
        public BackendProbe probe() {
            boolean interrupted = false;
            while (true) {
                try {
                    letGo.await();
                    break;
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            return super.probe();
        }

        @Override
        public void close() {
            closed.countDown();
        }
    }

    public static final class NullBudget extends Broken {
        @Override
        public MemoryBudget budget(GpuDevice device) {
            return null;
        }
    }

    public static final class ErrorInBudget extends Broken {
        @Override
        public MemoryBudget budget(GpuDevice device) {
            throw new UnsatisfiedLinkError("nvmlInit_v2");
        }
    }

    public static final class NullDriver extends Broken {
        @Override
        public DeviceDriver open(GpuDevice device) {
            return null;
        }
    }

    public static final class ThrowsInOpen extends Broken {}

    public static final class NullPool extends Broken {
        @Override
        public Optional<GpuMemoryPool> openPool(GpuDevice device, MemoryConfig config) {
            return null;
        }
    }

    public static final class ThrowsInClose extends Broken {
        @Override
        public void close() {
            throw new IllegalStateException("close");
        }
    }

    /** One that works, found like the others. */
    public static final class Good extends ForwardingBackend {
        public Good() {
            super(SimulatedBackend.builder("good")
                    .device(SimulatedDevice.builder("good"))
                    .build());
        }
    }

    /** What a program sees that opens Headroom on its own class path. */
    public static final class Discovery {
        private static final String JDK_WORDS = "dev\\.headroom\\.memory\\.spi\\.MemoryBackend: .*?(?=: java|$)";

        private Discovery() {}

        public static String run() {
            try (GpuMemory memory = GpuMemory.open()) {
                String devices = memory.devices().stream().map(GpuDevice::id).collect(Collectors.joining(", "));
                String statuses = memory.backends().stream()
                        .map(status -> (status.available() ? "+ " : "- ")
                                + status.name()
                                + status.reason()
                                        .map(reason -> ": " + reason.replaceAll(JDK_WORDS, "*"))
                                        .orElse(""))
                        .collect(Collectors.joining("\n"));
                String chosen =
                        memory.explainSelection(1).chosen().map(GpuDevice::id).orElse("none");
                return devices + "\n" + statuses + "\nchosen: " + chosen;
            }
        }
    }
}
