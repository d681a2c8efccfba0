package dev.headroom.examples.matmul;

/** The OpenCL kernel, on PoCL where there is no other device. */
class OpenClMatmulTest extends DeviceMatmulContract {

    OpenClMatmulTest() {
        super("opencl");
    }
}
