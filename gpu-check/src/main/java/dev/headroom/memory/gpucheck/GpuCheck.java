package dev.headroom.memory.gpucheck;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.cuda.CudaBackend;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/**
 * The program: finds the GPU, runs the contract suites on it, measures, and prints a table; with {@code --json FILE} the same
 * for other programs. Ends with 0 if all is well, 1 if a suite or a figure failed, 2 if there is nothing to check.
 */
public final class GpuCheck {

    private static final int FINE = 0;
    private static final int BROKEN = 1;
    private static final int NOTHING = 2;

    private GpuCheck() {}

    /**
     * Runs the program.
     *
     * @param arguments as {@link Options} has them
     */
    public static void main(String[] arguments) {
        // Names of cards are UTF-8, and a linked runtime may think otherwise of the terminal.
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.exit(run(arguments, out));
    }

    private static int run(String[] arguments, PrintStream out) {
        if (List.of(arguments).contains("--help")) {
            out.println(Options.USAGE);
            return FINE;
        }
        Options options;
        try {
            options = Options.of(arguments);
        } catch (IllegalArgumentException wrong) {
            out.println("gpu-check: " + wrong.getMessage());
            out.println(Options.USAGE);
            return NOTHING;
        }
        CudaBackend backend = new CudaBackend();
        try {
            return switch (backend.probe()) {
                case BackendProbe.Unavailable(String reason, String hint) -> {
                    out.println("cuda is unavailable: " + reason);
                    out.println("  " + hint);
                    yield NOTHING;
                }
                case BackendProbe.Available(List<GpuDevice> devices) -> check(backend, devices, options, out);
            };
        } finally {
            backend.close();
        }
    }

    private static int check(CudaBackend backend, List<GpuDevice> devices, Options options, PrintStream out) {
        if (options.device() >= devices.size()) {
            out.printf("There is no device %d: the driver shows %d.%n", options.device(), devices.size());
            return NOTHING;
        }
        GpuDevice device = devices.get(options.device());
        Machine machine = Machine.of(backend, device);
        out.println(machine.text());
        SuiteResult suites = SuiteResult.NONE;
        if (options.suites()) {
            suites = Suites.run(options.device());
            suites.print(out);
        }
        List<Figure> figures = options.figures() ? measure(backend, device, options, out) : List.of();
        Report report = new Report(machine, suites, figures);
        out.println(report.table());
        if (!write(report, options, out)) {
            return BROKEN;
        }
        return suites.isFine() && figures.stream().allMatch(Figure::isMeasured) ? FINE : BROKEN;
    }

    private static boolean write(Report report, Options options, PrintStream out) {
        if (options.json().isEmpty()) {
            return true;
        }
        try {
            Files.writeString(options.json().orElseThrow(), report.json() + "\n");
            return true;
        } catch (IOException e) {
            out.println("The figures could not be written: " + e);
            return false;
        }
    }

    private static List<Figure> measure(CudaBackend backend, GpuDevice device, Options options, PrintStream out) {
        List<Figure> figures = new ArrayList<>();
        try {
            figures.addAll(DriverFigures.measure(backend, device, options));
        } catch (DriverException e) {
            out.println("Measuring the driver failed: " + e.getMessage());
            figures.add(Figure.failed("driver", String.valueOf(e.getMessage())));
        }
        figures.addAll(PoolFigures.measure(device, options));
        return figures;
    }
}
