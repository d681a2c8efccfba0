package dev.headroom.memory.model;

import dev.headroom.memory.GpuMemoryPool;

/** Says into which pool a tensor goes. Asked about every tensor, by the thread that loads, before anything is allocated. */
@FunctionalInterface
public interface TensorPools {

    /**
     * The pool of one tensor.
     *
     * @param tensor the tensor
     * @return where it goes
     */
    GpuMemoryPool poolOf(GgufTensor tensor);
}
