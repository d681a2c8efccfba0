package dev.headroom.memory;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Holds JSON against a JSON Schema (draft 2020-12), as far as our schemas use it. A keyword it does not know is an error, and so
 * is a field the schema does not name: what we write is to be described completely.
 */
final class SchemaCheck {

    private static final Set<String> ANNOTATIONS = Set.of("$schema", "$defs", "title", "description");

    private final Map<String, Object> root;
    private final List<String> complaints = new ArrayList<>();

    private SchemaCheck(Map<String, Object> root) {
        this.root = root;
    }

    /** What is wrong; empty if all is right. */
    static List<String> complaints(Map<String, Object> schema, Object json) {
        SchemaCheck check = new SchemaCheck(schema);
        check.check(schema, json, "$");
        return check.complaints;
    }

    private void check(Map<?, ?> schema, Object json, String where) {
        schema.forEach((keyword, value) -> {
            switch ((String) keyword) {
                case "type" -> require(hasType(value, json), where, "is no " + value + ": " + json);
                case "const" -> require(Objects.equals(value, json), where, "is not " + value + ": " + json);
                case "enum" -> require(((List<?>) value).contains(json), where, "is none of " + value + ": " + json);
                case "minimum" ->
                    require(
                            !(json instanceof Number n) || n.doubleValue() >= ((Number) value).doubleValue(),
                            where,
                            "is below " + value + ": " + json);
                case "maximum" ->
                    require(
                            !(json instanceof Number n) || n.doubleValue() <= ((Number) value).doubleValue(),
                            where,
                            "is above " + value + ": " + json);
                case "required" ->
                    ((List<?>) value)
                            .forEach(name -> require(
                                    json instanceof Map<?, ?> object && object.containsKey(name),
                                    where,
                                    "lacks " + name));
                case "properties" -> checkFields((Map<?, ?>) value, json, where);
                case "items" -> checkElements((Map<?, ?>) value, json, where);
                case "$ref" -> check(definition((String) value), json, where);
                default -> require(ANNOTATIONS.contains(keyword), where, "has a keyword not known here: " + keyword);
            }
        });
    }

    private void checkFields(Map<?, ?> fields, Object json, String where) {
        if (json instanceof Map<?, ?> object) {
            object.forEach((name, value) -> {
                Object schema = fields.get(name);
                require(schema != null, where, "has a field not described: " + name);
                if (schema != null) {
                    check((Map<?, ?>) schema, value, where + "." + name);
                }
            });
        }
    }

    private void checkElements(Map<?, ?> schema, Object json, String where) {
        if (json instanceof List<?> elements) {
            for (int i = 0; i < elements.size(); i++) {
                check(schema, elements.get(i), where + "[" + i + "]");
            }
        }
    }

    private Map<?, ?> definition(String reference) {
        return (Map<?, ?>) ParsedJson.at(root, "$defs", reference.replace("#/$defs/", ""));
    }

    private static boolean hasType(Object type, Object json) {
        if (type instanceof List<?> types) {
            return types.stream().anyMatch(one -> hasType(one, json));
        }
        return switch ((String) type) {
            case "object" -> json instanceof Map;
            case "array" -> json instanceof List;
            case "string" -> json instanceof String;
            case "integer" -> json instanceof Long;
            case "number" -> json instanceof Number;
            case "boolean" -> json instanceof Boolean;
            case "null" -> json == null;
            default -> throw new AssertionError("no such type: " + type);
        };
    }

    private void require(boolean right, String where, String what) {
        if (!right) {
            complaints.add(where + " " + what);
        }
    }
}
