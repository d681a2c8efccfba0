package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** What the command line says of failures whose own message says too little. */
class ErrorLinesTest {

    @Test
    void aFileThatFailsIsNamedWithTheReason() {
        assertThat(said(new NoSuchFileException("a/b"))).isEqualTo("headroom: a/b: there is no such file or folder");
        assertThat(said(new AccessDeniedException("a/b"))).isEqualTo("headroom: a/b: permission denied");
        assertThat(said(new FileSystemException("a/b", null, "Too many open files")))
                .isEqualTo("headroom: a/b: Too many open files");
        assertThat(said(new FileSystemException("a/b"))).isEqualTo("headroom: a/b: FileSystemException");
    }

    @Test
    void otherFailuresSpeakForThemselves() {
        assertThat(said(new IOException("No space left on device"))).isEqualTo("headroom: No space left on device");
        assertThat(said(new IllegalStateException("odd")))
                .isEqualTo("headroom: internal error: java.lang.IllegalStateException: odd; --debug shows more");
    }

    private static String said(Exception failure) {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        CommandLine line = new CommandLine(new HeadroomCommand());
        CommandLine.ParseResult parsed = line.parseArgs();
        int code = new ErrorLines(new PrintStream(said, true, StandardCharsets.UTF_8))
                .handleExecutionException(failure, line, parsed);
        assertThat(code).isNotZero();
        return said.toString(StandardCharsets.UTF_8).strip();
    }
}
