package dev.headroom.memory.cuda;

import jcuda.driver.CUdevice;

/** A device for JCuda that tells its number. */
final class DeviceHandle extends CUdevice {

    /** The number the driver knows it by. */
    int number() {
        return (int) getNativePointer();
    }
}
