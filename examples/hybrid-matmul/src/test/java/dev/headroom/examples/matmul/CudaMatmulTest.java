package dev.headroom.examples.matmul;

/** The CUDA kernel on a GPU, where this machine has one. */
class CudaMatmulTest extends DeviceMatmulContract {

    CudaMatmulTest() {
        super("cuda");
    }
}
