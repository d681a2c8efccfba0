package dev.headroom.memory.model;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The name of one shard of a split model, {@code <prefix>-00001-of-00003.gguf}.
 *
 * @param prefix what all shards share
 * @param number which shard, counted from 1
 * @param count how many there are
 */
record SplitName(String prefix, int number, int count) {

    private static final Pattern FORM = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf", Pattern.DOTALL);

    static Optional<SplitName> tryParse(Path path) {
        Path name = path.getFileName();
        if (name == null) {
            return Optional.empty();
        }
        Matcher matcher = FORM.matcher(name.toString());
        return matcher.matches()
                ? Optional.of(new SplitName(
                        matcher.group(1), Integer.parseInt(matcher.group(2)), Integer.parseInt(matcher.group(3))))
                : Optional.empty();
    }

    /**
     * Another shard. The name is built from the one the caller opened and from nothing in the file, so it cannot leave
     * the folder.
     */
    Path sibling(Path shard, int siblingNumber) {
        return shard.resolveSibling(String.format(Locale.ROOT, "%s-%05d-of-%05d.gguf", prefix, siblingNumber, count));
    }
}
