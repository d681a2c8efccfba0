package dev.headroom.memory.cli;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine;

/** The way in from the shell. */
public final class Main {

    private static final long CLEAN_UP_SECONDS = 10;

    private Main() {}

    /**
     * Runs the command and ends the process with its exit code.
     *
     * @param args the command's arguments
     */
    public static void main(String[] args) {
        CountDownLatch finished = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(interrupting(Thread.currentThread(), finished));
        int code = ExitCode.FAILED;
        try {
            code = run(CommandContext.ofProcess(), args);
        } finally {
            finished.countDown();
        }
        System.exit(code);
    }

    /** Runs the command and gives its exit code. */
    static int run(CommandContext raw, String... args) {
        CommandContext context = raw.inPlainText(args);
        CommandLine line = new CommandLine(new HeadroomCommand())
                .addSubcommand(new DevicesCommand(context))
                .addSubcommand(new SelectCommand(context))
                .addSubcommand(new PlanCommand(context))
                .addSubcommand(new InspectCommand(context))
                .addSubcommand(new LoadCommand(context))
                .addSubcommand(new ReplayCommand(context))
                .addSubcommand(new SynthCommand(context));
        ErrorLines errors = new ErrorLines(context.err());
        int code = line.setOut(writer(context.out()))
                .setErr(writer(context.err()))
                .setParameterExceptionHandler(errors)
                .setExecutionExceptionHandler(errors)
                .execute(args);
        if (context.out().checkError() && code == ExitCode.OK) {
            context.err().println("headroom: standard output cannot be written");
            return ExitCode.FAILED;
        }
        return code;
    }

    private static PrintWriter writer(PrintStream stream) {
        return new PrintWriter(stream, true, stream.charset());
    }

    /** Ctrl-C ends what is under way as an interrupt would, and gives it time to tidy up. */
    private static Thread interrupting(Thread worker, CountDownLatch finished) {
        return new Thread(
                () -> {
                    if (finished.getCount() > 0) {
                        worker.interrupt();
                        try {
                            boolean ignored = finished.await(CLEAN_UP_SECONDS, TimeUnit.SECONDS);
                        } catch (InterruptedException e) {
                            Thread.currentThread().interrupt();
                        }
                    }
                },
                "headroom-interrupt");
    }
}
