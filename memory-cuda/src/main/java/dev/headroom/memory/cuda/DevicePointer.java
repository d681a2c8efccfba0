package dev.headroom.memory.cuda;

import jcuda.driver.CUdeviceptr;

/** An address of a device's for JCuda, and back: as a number it is an offset from nothing. */
final class DevicePointer extends CUdeviceptr {

    /** A place for an address the driver gives. */
    DevicePointer() {}

    /** A known address. */
    DevicePointer(long address) {
        super(new CUdeviceptr(), address);
    }

    long address() {
        return getNativePointer() + getByteOffset();
    }
}
