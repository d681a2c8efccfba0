package dev.headroom.memory.cpu;

import dev.headroom.memory.ByteSize;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * The memory limits Linux control groups put on this process: what a container is.
 *
 * <p>Groups are nested, and each limits everything below it. So the limits of all groups from the process's own up to
 * the root count, and each has its own idea of what is free. A container usually sees its own group where the root
 * should be, while {@code /proc/self/cgroup} may still give the path outside: folders that are not there are passed
 * over, and the way up ends at the root in any case.
 */
final class ControlGroups {

    /** The two versions of the interface: where it is mounted, and what its files are called. */
    private enum Version {
        ONE("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        TWO("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file");

        private final String mount;
        private final String limitFile;
        private final String usageFile;
        private final String reclaimable;

        Version(String mount, String limitFile, String usageFile, String reclaimable) {
            this.mount = mount;
            this.limitFile = limitFile;
            this.usageFile = usageFile;
            this.reclaimable = reclaimable;
        }
    }

    /**
     * One group's limit.
     *
     * @param limitBytes what the group and those below it may use
     * @param freeBytes  what of that is not used
     */
    record Limit(long limitBytes, long freeBytes) {

        /** How a budget names it. */
        String label() {
            return "cgroup limit " + ByteSize.format(limitBytes);
        }
    }

    private ControlGroups() {}

    /**
     * Reads the limits this process is under, its own group first.
     *
     * @param root         the folder {@code proc} and {@code sys} are in
     * @param machineBytes what the machine has: a limit that is not below limits nothing. The kernel writes no limit as
     *     the word {@code max} in version 2, and as a number above any machine's memory in version 1
     * @return the limits, none if nothing limits it
     */
    static List<Limit> limits(Path root, long machineBytes) {
        List<Limit> limits = new ArrayList<>();
        for (String line : KernelFiles.lines(root.resolve("proc/self/cgroup"))) {
            // hierarchy : controllers : path of the group; version 2 is hierarchy 0 and names no controllers
            String[] parts = line.split(":", 3);
            if (parts.length == 3 && parts[0].equals("0") && parts[1].isEmpty()) {
                addLimits(Version.TWO, root, parts[2], machineBytes, limits);
            } else if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
                addLimits(Version.ONE, root, parts[2], machineBytes, limits);
            }
        }
        return limits;
    }

    private static void addLimits(Version version, Path root, String path, long machineBytes, List<Limit> limits) {
        Path mount = root.resolve(version.mount);
        for (@Nullable Path group = below(mount, path);
                group != null && group.startsWith(mount);
                group = group.getParent()) {
            limit(version, group, machineBytes).ifPresent(limits::add);
        }
    }

    /**
     * The group's folder; the mount itself for a path that leads out of it, as paths do that were written elsewhere.
     */
    private static Path below(Path mount, String path) {
        try {
            Path group = mount.resolve("./" + path).normalize();
            return group.startsWith(mount) ? group : mount;
        } catch (InvalidPathException malformed) {
            return mount;
        }
    }

    /** A group's limit; what it uses does not count as far as it is file contents the kernel can drop. */
    private static Optional<Limit> limit(Version version, Path group, long machineBytes) {
        OptionalLong limit = KernelFiles.number(group.resolve(version.limitFile));
        if (limit.orElse(Long.MAX_VALUE) >= machineBytes) {
            return Optional.empty();
        }
        long usedBytes = KernelFiles.number(group.resolve(version.usageFile)).orElse(0);
        long droppableBytes = KernelFiles.number(KernelFiles.lines(group.resolve("memory.stat")), version.reclaimable)
                .orElse(0);
        long heldBytes = Math.max(usedBytes - droppableBytes, 0);
        return Optional.of(new Limit(limit.getAsLong(), Math.max(limit.getAsLong() - heldBytes, 0)));
    }
}
