package dev.headroom.memory.model.workspace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class WorkspacePlannerTest {

    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;
    private static final WorkspacePlanner PLANNER = WorkspacePlanner.standard();

    private static WorkspaceLayer layer(QuantizationType quantization) {
        return new WorkspaceLayer(4096, 14_336, quantization);
    }

    /** As little free as another program that holds a tenth leaves. */
    private static GpuMemoryInfo card(long totalBytes) {
        return GpuMemoryInfo.of(totalBytes, totalBytes / 10 * 9 + totalBytes % 10 * 9 / 10, "cuda:0");
    }

    @ParameterizedTest
    @CsvSource({
        "2, 214748364, 1717986919, 64, 121110528, 238551040",
        "4, 429496729, 3435973837, 128, 124780544, 242221056",
        "6, 644245094, 5153960755, 128, 124780544, 242221056",
        "8, 858993459, 6871947673, 256, 132120576, 249561088",
        "12, 1288490188, 10307921511, 256, 132120576, 249561088",
        "24, 2576980377, 20615843021, 512, 146800640, 264241152",
        "48, 5153960755, 41231686041, 512, 146800640, 264241152",
        "80, 8589934592, 68719476736, 512, 146800640, 264241152"
    })
    void goldenRows(int totalGib, long reserved, long available, int batch, long i2sAndTl1, long tl2) {
        GpuMemoryInfo info = card(totalGib * GIB);
        assertThat(info.reservedMemory()).isEqualTo(reserved);
        assertThat(info.availableMemory()).isEqualTo(available);
        for (QuantizationType quantization : QuantizationType.values()) {
            WorkspacePlan plan = PLANNER.plan(info, layer(quantization));
            assertThat(plan.batchSize()).isEqualTo(batch);
            assertThat(plan.fittingBatch()).isEqualTo(batch);
            assertThat(plan.workspaceBytes())
                    .as(quantization.name())
                    .isEqualTo(quantization == QuantizationType.TL2 ? tl2 : i2sAndTl1);
        }
    }

    @Test
    void tooLittleIsInsufficientWithItsFigures() {
        GpuMemoryInfo info = GpuMemoryInfo.of(2 * GIB, 256 * MIB, "cuda:1");
        assertThat(info.reservedMemory()).isEqualTo(214_748_364);
        assertThat(info.availableMemory()).isEqualTo(53_687_092);
        assertThatExceptionOfType(InsufficientGpuMemoryException.class)
                .isThrownBy(() -> PLANNER.plan(info, layer(QuantizationType.I2S)))
                .satisfies(e -> {
                    assertThat(e.requiredBytes()).isEqualTo(134_217_728);
                    assertThat(e.availableBytes()).isEqualTo(53_687_092);
                    assertThat(e.deviceId()).isEqualTo("cuda:1");
                })
                .withMessage(
                        "cuda:1 has too little memory: the layer's weights and the smallest workspace need 128 MiB,"
                                + " and 51.20 MiB is available; free memory there, use another device, or lower minWorkspaceBytes");
    }

    /** Real cards report less than is printed on them: exact edges would put each of these a class lower. */
    @ParameterizedTest
    @CsvSource({
        "24080, 24, 512",
        "24564, 24, 512",
        "7807, 8, 256",
        "4041, 4, 128",
        "81559, 80, 512",
        "16376, 16, 256",
        "2048, 2, 64"
    })
    void classesGoByTheNominalSize(long reportedMib, long nominalGib, int batch) {
        assertThat(GpuClasses.DEFAULT.nominalBytes(reportedMib * MIB)).isEqualTo(nominalGib * GIB);
        assertThat(PLANNER.plan(card(reportedMib * MIB), layer(QuantizationType.I2S))
                        .batchSize())
                .isEqualTo(batch);
    }

    @Test
    void aSizeFarFromAWholeGibIsItsOwn() {
        long tooSmall = 7782 * MIB; // 8 GiB less a little more than 5 %
        assertThat(GpuClasses.DEFAULT.nominalBytes(tooSmall)).isEqualTo(tooSmall);
        assertThat(GpuClasses.DEFAULT.of(tooSmall).maxBatch()).isEqualTo(128);
        assertThat(GpuClasses.DEFAULT.nominalBytes(0)).isZero();
        assertThat(GpuClasses.DEFAULT.nominalBytes(Long.MAX_VALUE)).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void classesAndToleranceCanBeSet() {
        GpuClasses exact = new GpuClasses(GpuClasses.DEFAULT.steps(), 0);
        assertThat(exact.of(24_564 * MIB).maxBatch()).isEqualTo(256);
        WorkspacePlanner own = WorkspacePlanner.builder()
                .classes(new GpuClasses(List.of(new GpuClasses.Step(0, 7)), 0))
                .build();
        assertThat(own.plan(card(80 * GIB), layer(QuantizationType.I2S)).batchSize())
                .isEqualTo(7);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new GpuClasses(List.of(new GpuClasses.Step(GIB, 1)), 0))
                .withMessageContaining("must fall from the largest cards to 0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new GpuClasses(GpuClasses.DEFAULT.steps().reversed(), 0));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new GpuClasses(GpuClasses.DEFAULT.steps(), Double.NaN))
                .withMessage("tolerance is NaN: must be from 0 to 0.5");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new GpuClasses.Step(0, 0))
                .withMessage("maxBatch is 0: must be above 0");
    }

    @Test
    void theConstantsCanBeSet() {
        GpuMemoryInfo info = card(8 * GIB);
        WorkspaceLayer layer = layer(QuantizationType.I2S);
        assertThat(WorkspacePlanner.builder()
                        .maxBatch(32)
                        .build()
                        .plan(info, layer)
                        .batchSize())
                .isEqualTo(32);
        WorkspacePlan small =
                WorkspacePlanner.builder().maxWorkspaceBytes(120 * MIB).build().plan(info, layer);
        assertThat(small.workspaceBytes()).isEqualTo(120 * MIB);
        assertThat(small.batchSize()).isEqualTo(256);
        assertThat(small.fittingBatch())
                .as("8 MiB beside the weights, 56 KiB each")
                .isEqualTo(146);
        assertThatExceptionOfType(InsufficientGpuMemoryException.class)
                .isThrownBy(() -> WorkspacePlanner.builder()
                        .minWorkspaceBytes(7 * GIB)
                        .build()
                        .plan(info, layer));
        assertThatIllegalArgumentException()
                .isThrownBy(
                        () -> WorkspacePlanner.builder().minWorkspaceBytes(0).build())
                .withMessage("minWorkspaceBytes is 0: must be above 0");
        assertThatIllegalArgumentException()
                .isThrownBy(
                        () -> WorkspacePlanner.builder().maxWorkspaceBytes(1).build())
                .withMessage("maxWorkspaceBytes is 1: must be minWorkspaceBytes, 16777216, or more");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> WorkspacePlanner.builder().maxBatch(-1).build())
                .withMessage("maxBatch is -1: must be above 0");
        assertThat(PLANNER.hostBatch()).isEqualTo(64);
        assertThat(WorkspacePlanner.builder().maxBatch(8).build().hostBatch()).isEqualTo(8);
    }

    /** Of 25 MiB, 18 are spare beside the weights, but no more than 15 may be taken. */
    @Test
    void aWorkspaceBelowTheSmallestIsRefusedWithItsFigures() {
        GpuMemoryInfo info = new GpuMemoryInfo(2 * GIB, 25 * MIB, 0, "cuda:0");
        assertThatExceptionOfType(WorkspaceAllocationFailedException.class)
                .isThrownBy(() -> PLANNER.plan(info, new WorkspaceLayer(1, 1 << 20, QuantizationType.I2S)))
                .satisfies(e -> {
                    assertThat(e.requestedBytes()).isEqualTo(15 * MIB);
                    assertThat(e.availableBytes()).isEqualTo(25 * MIB);
                    assertThat(e.minimumRequiredBytes()).isEqualTo(16 * MIB);
                })
                .withMessage("cuda:0: a workspace of 15 MiB is below the smallest useful one of 16 MiB;"
                        + " 25 MiB is available; free memory there, or lower minWorkspaceBytes");
    }

    @Test
    void theDecisionInWords() {
        assertThat(PLANNER.plan(card(24 * GIB), layer(QuantizationType.I2S)).explain())
                .isEqualTo("""
                        cuda:0: workspace 140 MiB, batch 512 (4096 x 14336, I2S)
                          available 19.20 GiB: what is free less 2.40 GiB, 10 % of 24 GiB
                          usable 15.36 GiB: 80 % of that; the unpacked weights take 112 MiB, which leaves 15.25 GiB
                          batch 512: 285561 rows of 56 KiB would fit, the card's class takes 512, and nothing takes more than 1024
                          workspace 140 MiB: weights and batch take 140 MiB, 60 % of what is available is 11.52 GiB, and no workspace exceeds 8 GiB""");
    }

    @ParameterizedTest
    @ValueSource(longs = {2, 4, 6, 8, 12, 24, 48, 80})
    void everyMarginIsSeenExactlyOnce(long totalGib) {
        String text =
                PLANNER.plan(card(totalGib * GIB), layer(QuantizationType.TL2)).explain();
        for (String margin : List.of("10 %", "80 %", "60 %", "class takes", "more than 1024", "exceeds 8 GiB")) {
            assertThat(text.split(margin, -1)).as(margin).hasSize(2);
        }
    }

    /** Whatever the figures, the answer is a plan within its bounds or a typed refusal, and always the same one. */
    @Test
    void anyFiguresGiveAPlanOrATypedRefusal() {
        Random random = new Random(20_261_121);
        int planned = 0;
        for (int i = 0; i < 20_000; i++) {
            long total = random.nextLong() >>> (1 + random.nextInt(40));
            GpuMemoryInfo info = GpuMemoryInfo.of(total, (long) (total * random.nextDouble()), "cuda:0");
            WorkspaceLayer layer = new WorkspaceLayer(
                    1 + (random.nextLong() >>> (1 + random.nextInt(62))),
                    1 + (random.nextLong() >>> (1 + random.nextInt(62))),
                    QuantizationType.values()[random.nextInt(3)]);
            try {
                WorkspacePlan plan = PLANNER.plan(info, layer);
                assertThat(plan.workspaceBytes()).isBetween(16 * MIB, Math.min(8 * GIB, info.availableMemory()));
                assertThat(plan.batchSize()).isBetween(1, 512);
                assertThat(plan.fittingBatch()).isBetween(0, plan.batchSize());
                assertThat(PLANNER.plan(info, layer)).isEqualTo(plan);
                planned++;
            } catch (InsufficientGpuMemoryException e) {
                assertThat(e.requiredBytes()).isGreaterThan(16 * MIB);
            } catch (WorkspaceAllocationFailedException e) {
                assertThat(e.requestedBytes()).isLessThan(16 * MIB);
            }
        }
        assertThat(planned).isGreaterThan(1000);
    }

    @ParameterizedTest
    @EnumSource(QuantizationType.class)
    void absurdLayersStopAtTheTop(QuantizationType quantization) {
        WorkspaceLayer absurd = new WorkspaceLayer(1L << 60, 1L << 60, quantization);
        assertThat(absurd.dequantizedBytes()).isEqualTo(Long.MAX_VALUE);
        assertThatExceptionOfType(InsufficientGpuMemoryException.class)
                .isThrownBy(() -> PLANNER.plan(card(80 * GIB), absurd))
                .matches(e -> e.requiredBytes() == Long.MAX_VALUE);
    }

    @Test
    void wrongArgumentsAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new WorkspaceLayer(0, 1, QuantizationType.I2S))
                .withMessage("inFeatures is 0: must be above 0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new WorkspaceLayer(1, -1, QuantizationType.I2S))
                .withMessage("outFeatures is -1: must be above 0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GpuMemoryInfo.of(-1, 0, "cuda:0"))
                .withMessage("totalBytes is -1: must be 0 or more");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new GpuMemoryInfo(1, -1, 0, "cuda:0"))
                .withMessage("availableMemory is -1: must be 0 or more");
    }
}
