package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.Selection;
import dev.headroom.memory.Verdict;
import java.util.Optional;

/**
 * Which device a model is loaded to. Pure.
 *
 * <table>
 * <caption>The rule</caption>
 * <tr><th>asked for</th><th>all fits somewhere allowed</th><th>else, fallback on</th><th>else</th></tr>
 * <tr><td>nothing</td><td>there, the host included</td><td rowspan="3">on the first device but the host, as much as fits; the
 *     rest on the host</td><td rowspan="3">nowhere</td></tr>
 * <tr><td>a backend or device</td><td>there</td></tr>
 * <tr><td>a limit and no backend</td><td>there, but with the fallback on only if it is the first device, or the host and
 *     there is no other: a limit asks to see what happens when the device is full</td></tr>
 * </table>
 *
 * A device takes part in a fallback if at least one tensor fits on it. The host has nothing to fall back to.
 *
 * @param limited         whether a limit was set
 * @param backendNamed    whether a backend was asked for
 * @param fallbackAllowed whether the host may take what does not fit
 * @param smallestTensor  bytes of the smallest tensor
 */
record LoadTarget(boolean limited, boolean backendNamed, boolean fallbackAllowed, long smallestTensor) {

    /** The device, empty if the model can go nowhere. */
    Optional<GpuDevice> choose(Selection selection) {
        Optional<GpuDevice> partial = selection.verdicts().stream()
                .filter(verdict -> fallbackAllowed && verdict.usableBytes() >= smallestTensor)
                .flatMap(verdict -> verdict.device().stream())
                .filter(device -> device.deviceClass() != DeviceClass.HOST)
                .findFirst();
        boolean firstCounts = limited && !backendNamed && partial.isPresent();
        return firstCounts ? partial : selection.chosen().or(() -> partial);
    }

    /** What a verdict comes to, for someone whose model was refused. */
    static String refusal(Verdict verdict, long requestedBytes, Optional<String> limit) {
        if (verdict.device().isEmpty()) {
            return verdict.toString();
        }
        return "%s: requested %s, largest free %s, limit %s: %s"
                .formatted(
                        verdict.device().get(),
                        ByteSize.format(requestedBytes),
                        ByteSize.format(verdict.usableBytes()),
                        limit.orElse("none"),
                        verdict.reason());
    }
}
