package dev.headroom.memory.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Says what went wrong in one or two lines, and only under {@code --debug} where in the program. */
final class ErrorLines implements IExecutionExceptionHandler, IParameterExceptionHandler {

    private final PrintStream err;

    ErrorLines(PrintStream err) {
        this.err = err;
    }

    @Override
    public int handleParseException(ParameterException failure, String[] args) {
        CommandLine line = failure.getCommandLine();
        err.println("headroom: " + String.valueOf(failure.getMessage()).replaceFirst("^Error: ", ""));
        String synopsis = line.getHelp().synopsis(0).strip().replaceAll("\\s+", " ");
        String commands = line.getSubcommands().isEmpty()
                ? ""
                : ", where COMMAND is one of "
                        + String.join(", ", line.getSubcommands().keySet());
        err.println("usage: " + synopsis + commands);
        return ExitCode.USAGE;
    }

    @Override
    public int handleExecutionException(Exception failure, CommandLine line, ParseResult parsed) {
        if (failure instanceof ParameterException usage) {
            return handleParseException(usage, new String[0]);
        }
        err.println("headroom: " + text(failure));
        if (line.getParseResult().hasMatchedOption("--debug")) {
            failure.printStackTrace(err);
        }
        return ExitCode.of(failure);
    }

    private static String text(Exception failure) {
        if (failure instanceof FileSystemException file) {
            return file.getFile() + ": " + reason(file); // its message is often the path alone
        }
        String message = failure.getMessage();
        boolean ours =
                failure.getClass().getPackageName().startsWith("dev.headroom.") || failure instanceof IOException;
        return ours && message != null ? message : "internal error: " + failure + "; --debug shows more";
    }

    private static String reason(FileSystemException failure) {
        return switch (failure) {
            case NoSuchFileException _ -> "there is no such file or folder";
            case AccessDeniedException _ -> "permission denied";
            default -> failure.getReason() == null ? failure.getClass().getSimpleName() : failure.getReason();
        };
    }
}
