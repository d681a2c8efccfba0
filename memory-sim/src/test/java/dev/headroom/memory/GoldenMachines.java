package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;

import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.KindTraits;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The machines of the golden tables. Each is built anew for each run, with an API that may be told not to say what is free. The
 * identities are written as the real APIs write them.
 */
final class GoldenMachines {

    private static final String UUID = "7b0d2c5a-19f0-11ee-be56-0242ac12000";
    private static final List<String> APIS = List.of("cuda", "opencl", "vulkan", "cpu");

    private final String silent;
    private final Map<String, List<SimulatedDevice.Builder>> devices = new LinkedHashMap<>();

    private GoldenMachines(String silent) {
        this.silent = silent;
        APIS.forEach(api -> devices.put(api, new ArrayList<>()));
    }

    /** The backends of a machine; the API named does not say what is free. */
    static List<SimulatedBackend> build(String name, String silent) {
        GoldenMachines machine = new GoldenMachines(silent);
        machine.add("cpu", SimulatedDevice.host(64 * GIB));
        switch (name) {
            case "one card, three APIs" -> machine.oneCard();
            case "two equal cards" -> machine.twoEqualCards();
            case "integrated and discrete" -> machine.integratedAndDiscrete();
            case "small BAR" -> machine.smallBar();
            case "host-backed" -> machine.hostBacked();
            case "two MIG slices" -> machine.slices();
            case "no PCI info" -> machine.noPlaces();
            case "AMD card" -> machine.amd();
            default -> throw new IllegalArgumentException(name);
        }
        List<SimulatedBackend> backends = new ArrayList<>();
        machine.devices.forEach((api, builders) -> {
            if (!builders.isEmpty()) {
                backends.add(Machine.backend(api, builders.toArray(SimulatedDevice.Builder[]::new)));
            }
        });
        return backends;
    }

    /** CUDA knows UUID and address, OpenCL the address only, Vulkan the bytes of the UUID. */
    private void oneCard() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.of("GPU-" + UUID + "1", "00000000:65:00.0"), 24 * GIB);
        vram.occupy(2 * GIB);
        add("cuda", card("RTX 4090", vram));
        add("opencl", mute("RTX 4090", vram.knownAs(PhysicalId.ofPci("0000:65:00.0"))));
        add("vulkan", card("RTX 4090", vram.knownAs(PhysicalId.ofUuid(UUID.replace("-", "") + "1"))));
    }

    /** Vulkan lists them the other way round. */
    private void twoEqualCards() {
        PhysicalMemory first = PhysicalMemory.of(PhysicalId.of("GPU-" + UUID + "1", "0000:65:00.0"), 8 * GIB);
        PhysicalMemory second = PhysicalMemory.of(PhysicalId.of("GPU-" + UUID + "2", "0000:B3:00.0"), 8 * GIB);
        first.occupy(6 * GIB);
        add("cuda", card("RTX 3070", first));
        add("cuda", card("RTX 3070", second));
        add("vulkan", mute("RTX 3070", second.knownAs(PhysicalId.ofUuid(UUID + "2"))));
        add("vulkan", mute("RTX 3070", first.knownAs(PhysicalId.ofUuid(UUID + "1"))));
    }

    private void integratedAndDiscrete() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.of(UUID + "1", "0000:03:00.0"), 8 * GIB);
        PhysicalMemory host = PhysicalMemory.host(64 * GIB);
        add("opencl", ofHost(DeviceClass.INTEGRATED, "Iris Xe", host).freeFigure(FreeFigure.unknown()));
        add("vulkan", ofHost(DeviceClass.INTEGRATED, "Iris Xe", host));
        add("vulkan", card("Arc A750", vram));
    }

    /** Vulkan shows 256 MiB of the card to the host: a heap of their own, and not the card's size. */
    private void smallBar() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.of(UUID + "1", "0000:03:00.0"), 8 * GIB);
        KindTraits window = KindTraits.hostVisible(KindTraits.Placement.DEVICE, 256, 256, 256 * MIB);
        add("opencl", mute("RX 580", vram.knownAs(PhysicalId.ofPci("0000:03:00.0"))));
        add("vulkan", card("RX 580", vram).kind(MemoryKind.UPLOAD, window));
    }

    private void hostBacked() {
        PhysicalMemory host = PhysicalMemory.host(64 * GIB);
        add("opencl", ofHost(DeviceClass.CPU, "PoCL", host).freeFigure(FreeFigure.unknown()));
        PhysicalMemory half = PhysicalMemory.host(2 * GIB);
        add("vulkan", ofHost(DeviceClass.CPU, "llvmpipe", half).freeFigure(FreeFigure.unknown()));
    }

    /** One card in two slices at one address. OpenCL knows the second by its bytes, Vulkan only the address. */
    private void slices() {
        String address = "0000:17:00.0";
        PhysicalMemory first = PhysicalMemory.of(PhysicalId.of("MIG-" + UUID + "1", address), 20 * GIB);
        PhysicalMemory second = PhysicalMemory.of(PhysicalId.of("MIG-" + UUID + "2", address), 20 * GIB);
        first.occupy(16 * GIB);
        add("cuda", card("A100 MIG 3g.20gb", first));
        add("cuda", card("A100 MIG 3g.20gb", second));
        add("opencl", mute("A100", second.knownAs(PhysicalId.of(UUID + "2", address))));
        add("vulkan", mute("A100", second.knownAs(PhysicalId.ofPci(address))));
    }

    /** Two equal cards, and nobody says which is which. */
    private void noPlaces() {
        PhysicalMemory first = PhysicalMemory.of(PhysicalId.unknown(), 8 * GIB);
        PhysicalMemory second = PhysicalMemory.of(PhysicalId.unknown(), 8 * GIB);
        for (String api : List.of("opencl", "vulkan")) {
            add(api, card("GTX 1080", first));
            add(api, card("GTX 1080", second));
        }
    }

    /** No API measures; the kernel does. */
    private void amd() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.ofPci("0000:03:00.0"), 16 * GIB);
        add("opencl", mute("gfx1030", vram));
        add("vulkan", mute("Radeon RX 6800", vram));
    }

    private void add(String api, SimulatedDevice.Builder device) {
        devices.get(api).add(api.equals(silent) ? device.freeFigure(FreeFigure.unknown()) : device);
    }

    private static SimulatedDevice.Builder card(String name, PhysicalMemory vram) {
        return SimulatedDevice.builder(name).memory(vram);
    }

    private static SimulatedDevice.Builder mute(String name, PhysicalMemory vram) {
        return card(name, vram).freeFigure(FreeFigure.unknown());
    }

    private static SimulatedDevice.Builder ofHost(DeviceClass deviceClass, String name, PhysicalMemory host) {
        return SimulatedDevice.builder(name).deviceClass(deviceClass).memory(host);
    }
}
