package dev.headroom.memory.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Which tensors would rather lie where, by their names. The first rule that matches counts. Immutable. */
public final class TensorAffinity {

    private record Rule(Pattern names, String deviceId) {}

    private final List<Rule> rules;

    private TensorAffinity(List<Rule> rules) {
        this.rules = List.copyOf(rules);
    }

    /**
     * No tensor would rather lie anywhere.
     *
     * @return an affinity without rules
     */
    public static TensorAffinity none() {
        return new TensorAffinity(List.of());
    }

    /**
     * These rules and, after them, one more.
     *
     * @param names the tensors it is about, with {@code *} for any text: {@code blk.*.ffn_*_exps.weight}
     * @param deviceId where they would rather lie
     * @return a copy with the rule
     */
    public TensorAffinity with(String names, String deviceId) {
        Objects.requireNonNull(deviceId, "deviceId");
        Pattern pattern = Pattern.compile(
                Arrays.stream(names.split("\\*", -1)).map(Pattern::quote).collect(Collectors.joining(".*")));
        List<Rule> more = new ArrayList<>(rules);
        more.add(new Rule(pattern, deviceId));
        return new TensorAffinity(more);
    }

    /**
     * Where a tensor would rather lie.
     *
     * @param tensor its name
     * @return the device's id, empty if no rule is about it
     */
    public Optional<String> deviceOf(String tensor) {
        return rules.stream()
                .filter(rule -> rule.names().matcher(tensor).matches())
                .map(Rule::deviceId)
                .findFirst();
    }
}
