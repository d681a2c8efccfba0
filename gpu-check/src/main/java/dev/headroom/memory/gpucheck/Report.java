package dev.headroom.memory.gpucheck;

import java.io.StringWriter;
import java.util.List;
import java.util.Locale;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * Everything found.
 *
 * @param machine where
 * @param suites  whether it works
 * @param figures how fast
 */
record Report(Machine machine, SuiteResult suites, List<Figure> figures) {

    /** The figures, as a table of Markdown. */
    String table() {
        int width = figures.stream()
                .mapToInt(figure -> figure.name().length())
                .max()
                .orElse(0);
        StringBuilder text = new StringBuilder();
        for (Figure figure : figures) {
            String value = figure.hasValue() ? String.format(Locale.ROOT, "%.2f", figure.value()) : "";
            text.append(String.format(
                    Locale.ROOT,
                    "| %-" + Math.max(1, width) + "s | %10s | %-6s | %s |%n",
                    figure.name(),
                    value,
                    figure.unit(),
                    figure.detail()));
        }
        return text.toString();
    }

    /** The same for programs. */
    String json() {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            json.writeStringProperty("date", machine.date().toString());
            json.writeStringProperty("gpu", machine.gpu());
            json.writeStringProperty("identity", machine.identity());
            json.writeStringProperty("computeCapability", machine.capability());
            json.writeStringProperty("cuda", machine.cudaText());
            json.writeStringProperty("memory", machine.budget());
            json.writeStringProperty("java", machine.java());
            json.writeStringProperty("system", machine.system());
            json.writeObjectPropertyStart("suites");
            json.writeNumberProperty("passed", suites.passed());
            texts(json, "skipped", suites.skipped());
            texts(json, "failed", suites.failed());
            json.writeEndObject();
            json.writeArrayPropertyStart("figures");
            for (Figure figure : figures) {
                json.writeStartObject();
                json.writeStringProperty("name", figure.name());
                if (figure.hasValue()) {
                    json.writeNumberProperty("value", figure.value());
                } else {
                    json.writeNullProperty("value");
                }
                json.writeStringProperty("unit", figure.unit());
                json.writeStringProperty("detail", figure.detail());
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeEndObject();
        }
        return text.toString();
    }

    private static void texts(JsonGenerator json, String name, List<String> lines) {
        json.writeArrayPropertyStart(name);
        lines.forEach(json::writeString);
        json.writeEndArray();
    }
}
