package dev.headroom.memory.vulkan;

/**
 * A range of mapped memory as flushes want it: in whole atoms, or up to the very end. Pure.
 *
 * @param byteOffset where it begins
 * @param byteSize   how long it is, or {@link VkApi#WHOLE_SIZE} for all the rest
 */
record AtomRange(long byteOffset, long byteSize) {

    /**
     * The smallest such range around bytes.
     *
     * @param byteOffset     where the bytes begin
     * @param byteSize       how many they are, above 0
     * @param atomBytes      the size of an atom, above 0
     * @param allocatedBytes the size of the memory
     */
    static AtomRange around(long byteOffset, long byteSize, long atomBytes, long allocatedBytes) {
        long start = byteOffset - byteOffset % atomBytes;
        long last = byteOffset + byteSize - 1;
        long lastAtom = last - last % atomBytes;
        return allocatedBytes - lastAtom <= atomBytes
                ? new AtomRange(start, VkApi.WHOLE_SIZE)
                : new AtomRange(start, lastAtom + atomBytes - start);
    }
}
