package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GpuDeviceTest {

    private static final GpuDevice CARD = device(DeviceClass.DISCRETE);

    @ParameterizedTest
    @CsvSource({
        "DISCRETE, false, 0.9",
        "VIRTUAL, false, 0.9",
        "INTEGRATED, true, 0.7",
        "CPU, true, 0.7",
        "HOST, true, 0.7",
    })
    void theFractionToPlanWithDependsOnWhoElseLivesThere(DeviceClass deviceClass, boolean unified, double fraction) {
        assertThat(device(deviceClass).unifiedMemory()).isEqualTo(unified);
        assertThat(device(deviceClass).recommendedFraction()).isEqualTo(fraction);
    }

    @Test
    void names() {
        assertThat(CARD.id()).isEqualTo("cuda:3");
        assertThat(CARD).hasToString("cuda:3 (RTX 4090)");
    }

    @Test
    void whatADriverMayTellBesides() {
        assertThat(CARD.maxAllocationBytes()).isEmpty();
        assertThat(CARD.computeCapability()).isEmpty();
        GpuDevice told = CARD.withMaxAllocationBytes(1).withComputeCapability("9.0");
        assertThat(told.maxAllocationBytes()).hasValue(1);
        assertThat(told.computeCapability()).contains("9.0");
        assertThat(told.withMaxAllocationBytes(2).computeCapability()).contains("9.0");
        assertThat(told.driverVersion()).isEmpty();
        GpuDevice versioned = told.withDriverVersion("550.54.15");
        assertThat(versioned.driverVersion()).contains("550.54.15");
        assertThat(versioned
                        .withMaxAllocationBytes(2)
                        .withComputeCapability("9.1")
                        .driverVersion())
                .contains("550.54.15");
        assertThat(versioned.computeCapability()).contains("9.0");
        assertThat(versioned.maxAllocationBytes()).hasValue(1);
        assertThat(told.id()).isEqualTo(CARD.id());
        assertThat(told.physicalId()).isEqualTo(CARD.physicalId());
    }

    @Test
    void twoProbesOfOneMachineGiveEqualDevices() {
        assertThat(device(DeviceClass.DISCRETE)).isEqualTo(CARD).hasSameHashCodeAs(CARD);
        assertThat(CARD.withMaxAllocationBytes(1)).isNotEqualTo(CARD);
    }

    @Test
    void aDeviceNobodyCouldNameIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GpuDevice.of(" ", 0, "card", DeviceClass.DISCRETE, PhysicalId.unknown()))
                .withMessage("backend must not be blank");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GpuDevice.of("cuda", -1, "card", DeviceClass.DISCRETE, PhysicalId.unknown()))
                .withMessage("index is -1: must be 0 or more");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE})
    void aLargestAllocationOfNothingIsRefused(long bytes) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> CARD.withMaxAllocationBytes(bytes))
                .withMessage("maxAllocationBytes is " + bytes + ": must be above 0");
    }

    @Test
    void classesAreInTheOrderOfPreference() {
        assertThat(DeviceClass.values())
                .extracting(DeviceClass::label)
                .containsExactly("discrete", "virtual", "integrated", "cpu", "host");
    }

    private static GpuDevice device(DeviceClass deviceClass) {
        return GpuDevice.of("cuda", 3, "RTX 4090", deviceClass, PhysicalId.ofUuid("gpu-1"));
    }
}
