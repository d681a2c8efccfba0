package dev.headroom.examples.matmul;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.util.Locale;
import jcuda.nvptxcompiler.JNvPTXCompiler;
import jcuda.nvptxcompiler.nvPTXCompileResult;
import jcuda.nvptxcompiler.nvPTXCompilerHandle;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The PTX is assembled for real devices, which needs none. */
class PtxTest {

    /** What an assembler said: its code, and its log where it failed. */
    private record Assembled(int code, String log, long bytes) {}

    @BeforeAll
    static void requireCompiler() {
        try {
            JNvPTXCompiler.setExceptionsEnabled(false);
        } catch (LinkageError e) {
            String system = System.getProperty("os.name") + " " + System.getProperty("os.arch");
            System.out.println("skipped, JCuda has no PTX compiler for " + system + ": " + e.getMessage());
            assumeTrue(false, "JCuda has no PTX compiler for " + system);
        }
    }

    /** Maxwell, Pascal, Volta, Turing, Ampere, Ada and Hopper. */
    @ParameterizedTest
    @ValueSource(strings = {"sm_50", "sm_61", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"})
    void the_kernel_is_assembled(String architecture) {
        Assembled kernel = assemble(CudaMatmul.ptx(), architecture);
        assertThat(kernel.code()).as(kernel.log()).isEqualTo(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS);
        assertThat(kernel.bytes()).isPositive();
    }

    /** Else the test above could pass without any compiler at work. */
    @Test
    void a_misspelt_instruction_is_not() {
        String text = new String(CudaMatmul.ptx(), StandardCharsets.US_ASCII).replace("fma.rn.f32", "fma.rm.fn32");
        Assembled kernel = assemble(text.getBytes(StandardCharsets.US_ASCII), "sm_80");
        assertThat(kernel.code()).isNotEqualTo(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS);
        assertThat(kernel.log().toLowerCase(Locale.ROOT)).contains("error");
    }

    private static Assembled assemble(byte[] ptx, String architecture) {
        nvPTXCompilerHandle compiler = new nvPTXCompilerHandle();
        assertThat(JNvPTXCompiler.nvPTXCompilerCreate(compiler, ptx.length, ptx))
                .isEqualTo(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS);
        try {
            int code = JNvPTXCompiler.nvPTXCompilerCompile(compiler, 1, new String[] {"--gpu-name=" + architecture});
            return code == nvPTXCompileResult.NVPTXCOMPILE_SUCCESS
                    ? new Assembled(code, "", programSize(compiler))
                    : new Assembled(code, errorLog(compiler), 0);
        } finally {
            JNvPTXCompiler.nvPTXCompilerDestroy(compiler);
        }
    }

    private static long programSize(nvPTXCompilerHandle compiler) {
        long[] size = new long[1];
        assertThat(JNvPTXCompiler.nvPTXCompilerGetCompiledProgramSize(compiler, size))
                .isEqualTo(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS);
        return size[0];
    }

    private static String errorLog(nvPTXCompilerHandle compiler) {
        long[] size = new long[1];
        assertThat(JNvPTXCompiler.nvPTXCompilerGetErrorLogSize(compiler, size))
                .isEqualTo(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS);
        byte[] log = new byte[(int) size[0] + 1];
        assertThat(JNvPTXCompiler.nvPTXCompilerGetErrorLog(compiler, log))
                .isEqualTo(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS);
        return new String(log, StandardCharsets.UTF_8).strip();
    }
}
