package dev.headroom.memory.cli;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.Selection;
import dev.headroom.memory.model.FootprintOptions;
import dev.headroom.memory.model.FootprintTerm;
import dev.headroom.memory.model.FootprintTerm.Kind;
import dev.headroom.memory.model.ModelFile;
import dev.headroom.memory.model.ModelFootprint;
import dev.headroom.memory.model.placement.Placement;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/** What there is to say about a plan, in words and in JSON. */
record PlanReport(
        ModelFile model,
        ModelFootprint footprint,
        BackendPreference backend,
        Selection selection,
        Placement placement) {

    void print(PrintStream out) {
        FootprintOptions options = footprint.options();
        out.println("%s: %s, %s, %s%s"
                .formatted(
                        model.path(),
                        model.format().label(),
                        model.architecture(),
                        Counted.of(model.layers(), "layer"),
                        model.parameters().isPresent()
                                ? ", " + model.parameters().getAsLong() + " parameters"
                                : ""));
        out.println("with context %d, batch %d, ubatch %d, sequences %d, keys %s, values %s, flash attention %s%s, %s"
                .formatted(
                        footprint.contextLength(),
                        options.batch(),
                        options.ubatch(),
                        options.sequences(),
                        options.keyType().label().toLowerCase(Locale.ROOT),
                        options.valueType().label().toLowerCase(Locale.ROOT),
                        options.flashAttention() ? "on" : "off",
                        (options.fullWindows() ? ", full windows" : "")
                                + (options.unifiedCache() ? ", one cache for all" : ""),
                        footprint.gpuLayers() > model.layers()
                                ? "everything on the device"
                                : Counted.of(footprint.gpuLayers(), "layer") + " on the device"));
        out.println();
        footprint.terms().stream().filter(term -> !term.kind().onHost()).forEach(term -> print(out, term));
        out.println("%-14s %12s  the high ends together".formatted("total", ByteSize.format(footprint.totalBytes())));
        if (footprint.hostTotalBytes() > 0) {
            out.println();
            footprint.terms().stream().filter(term -> term.kind().onHost()).forEach(term -> print(out, term));
        }
        remarks().forEach(remark -> out.println("note: " + remark));
        out.println();
        out.println(selection.explain());
        out.println();
        out.println("placement: " + placement.explain());
    }

    /** Those of the footprint, what changes where a plan for a device ends up on the host, and what loads have taught. */
    private List<String> remarks() {
        List<String> remarks = new ArrayList<>(footprint.remarks());
        boolean onHost = selection.chosen().map(GpuDevice::deviceClass).equals(Optional.of(DeviceClass.HOST));
        if (onHost && footprint.hostTotalBytes() > 0) {
            remarks.add("on the host, what lies in host memory comes on top of the total: "
                    + ByteSize.format(footprint.hostTotalBytes()) + "; --backend cpu counts it all as one");
        }
        return remarks;
    }

    private static void print(PrintStream out, FootprintTerm term) {
        String range = term.lowBytes() == term.highBytes()
                ? ""
                : " " + ByteSize.format(term.lowBytes()) + " to " + ByteSize.format(term.highBytes());
        out.println("%-14s %12s  %s%s: %s"
                .formatted(
                        term.kind().label(),
                        ByteSize.format(term.bytes()),
                        term.certainty().label(),
                        range,
                        term.reason()));
    }

    void write(JsonGenerator json) {
        json.writeNumberProperty("schema", 1);
        json.writeObjectPropertyStart("model");
        json.writeStringProperty("file", model.path().toString());
        json.writeStringProperty("format", model.format().label());
        json.writeStringProperty("architecture", model.architecture());
        Json.number(json, "parameters", model.parameters());
        json.writeEndObject();
        json.writeObjectPropertyStart("options");
        writeOptions(json);
        json.writeEndObject();
        json.writeObjectPropertyStart("footprint");
        writeFootprint(json);
        json.writeEndObject();
        json.writeObjectPropertyStart("selection");
        SelectCommand.write(json, selection);
        json.writeEndObject();
        json.writeName("placement");
        json.writeRawValue(placement.toJson());
    }

    private void writeOptions(JsonGenerator json) {
        FootprintOptions options = footprint.options();
        json.writeNumberProperty("context", footprint.contextLength());
        json.writeNumberProperty("batch", options.batch());
        json.writeNumberProperty("ubatch", options.ubatch());
        json.writeNumberProperty("sequences", options.sequences());
        json.writeStringProperty("kType", options.keyType().label().toLowerCase(Locale.ROOT));
        json.writeStringProperty("vType", options.valueType().label().toLowerCase(Locale.ROOT));
        json.writeStringProperty("flashAttention", options.flashAttention() ? "on" : "off");
        json.writeBooleanProperty("swaFull", options.fullWindows());
        json.writeBooleanProperty("kvUnified", options.unifiedCache());
        json.writeNumberProperty("gpuLayers", footprint.gpuLayers());
        json.writeStringProperty(
                "mla",
                switch (options.latentCache()) {
                    case BY_FILE -> "auto";
                    case LATENT -> "latent";
                    case LATENT_KEY_ONLY -> "latent-k";
                    case EXPANDED -> "expanded";
                });
        json.writeStringProperty("backend", backend.toString());
    }

    private void writeFootprint(JsonGenerator json) {
        json.writeNumberProperty("weightsBytes", footprint.bytes(Kind.WEIGHTS));
        json.writeNumberProperty("hostBytes", footprint.bytes(Kind.HOST_WEIGHTS));
        json.writeNumberProperty("kvCacheBytes", footprint.bytes(Kind.KV_CACHE));
        json.writeNumberProperty("stateBytes", footprint.bytes(Kind.STATE));
        json.writeNumberProperty("computeBytes", footprint.bytes(Kind.COMPUTE));
        json.writeNumberProperty("outputBytes", footprint.bytes(Kind.OUTPUT));
        json.writeNumberProperty("overheadBytes", footprint.bytes(Kind.OVERHEAD));
        json.writeNumberProperty("marginBytes", footprint.bytes(Kind.MARGIN));
        json.writeNumberProperty("learnedBytes", footprint.bytes(Kind.LEARNED));
        json.writeNumberProperty("totalBytes", footprint.totalBytes());
        json.writeNumberProperty("hostTotalBytes", footprint.hostTotalBytes());
        Json.array(json, "terms", footprint.terms(), term -> {
            json.writeStringProperty("name", term.kind().label());
            json.writeNumberProperty("bytes", term.bytes());
            json.writeNumberProperty("lowBytes", term.lowBytes());
            json.writeNumberProperty("highBytes", term.highBytes());
            json.writeStringProperty("certainty", term.certainty().label());
            json.writeBooleanProperty("onHost", term.kind().onHost());
            json.writeStringProperty("reason", term.reason());
        });
        json.writeArrayPropertyStart("remarks");
        remarks().forEach(json::writeString);
        json.writeEndArray();
    }
}
