package dev.headroom.memory.cli;

import dev.headroom.memory.PoolReport;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Where reports on pools go, as one line of JSON each.
 *
 * @param file the file, empty for standard output
 */
record ReportTarget(Optional<Path> file) {

    /** What stands for standard output. */
    private static final String STANDARD_OUTPUT = "-";

    /** Reads a path or {@code -}. What cannot become a file is found out before anything is loaded. */
    static final class Converter implements ITypeConverter<ReportTarget> {
        @Override
        public ReportTarget convert(String text) {
            if (text.equals(STANDARD_OUTPUT)) {
                return new ReportTarget(Optional.empty());
            }
            Path file = Path.of(text);
            Path folder = file.toAbsolutePath().getParent();
            if (Files.isDirectory(file)) {
                throw new TypeConversionException(file + " is a folder");
            }
            if (folder == null || !Files.isDirectory(folder)) {
                throw new TypeConversionException("there is no folder " + folder);
            }
            return new ReportTarget(Optional.of(file));
        }
    }

    boolean isSameFileAs(Path other) throws IOException {
        return file.isPresent()
                && Files.exists(file.get())
                && Files.exists(other)
                && Files.isSameFile(file.get(), other);
    }

    void write(List<PoolReport> reports, PrintStream out) throws IOException {
        if (file.isEmpty()) {
            reports.forEach(report -> out.println(report.toJson()));
            return;
        }
        try {
            Files.write(file.get(), reports.stream().map(PoolReport::toJson).toList());
        } catch (AccessDeniedException e) {
            throw new IOException(file.get() + ": writing the report is not permitted", e);
        } catch (IOException e) {
            throw new IOException(file.get() + ": the report cannot be written: " + e.getMessage(), e);
        }
    }
}
