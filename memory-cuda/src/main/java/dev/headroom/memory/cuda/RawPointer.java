package dev.headroom.memory.cuda;

import jcuda.Pointer;

/** An address of the host's for JCuda, which has no public way from a number to a pointer. */
final class RawPointer extends Pointer {

    RawPointer(long address) {
        super(address);
    }
}
