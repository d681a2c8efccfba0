package dev.headroom.memory.cpu;

import dev.headroom.memory.spi.DriverException;

/**
 * The five calls Linux has for taking, guarding and returning memory. An interface, so that a test can make the n-th
 * call fail and look at what is left.
 *
 * <p>Failures are answered the way the kernel does: an error number, negative where it shares its place with an
 * address.
 */
interface LinuxMemory {

    /** Pages nobody may touch. */
    int PROT_NONE = 0;
    /** Pages everybody may read and write. */
    int PROT_READ_WRITE = 1 | 2;
    /** A mapping of this process alone, backed by no file. */
    int MAP_PRIVATE_ANONYMOUS = 0x02 | 0x20;
    /** A mapping that is not counted as promised memory. */
    int MAP_NORESERVE = 0x4000;
    /** Drops the contents of pages; the next touch finds zeros in new ones. */
    int MADV_DONTNEED = 4;
    /** Backs memory with large pages where it can, and goes on with small ones where it cannot. */
    int MADV_HUGEPAGE = 14;

    /** The resource is there, but not now: a limit on locked memory. */
    int EAGAIN = 11;
    /** No memory, or no room for another mapping. */
    int ENOMEM = 12;
    /** An argument the kernel does not like; also pages that are locked and cannot be dropped. */
    int EINVAL = 22;

    /**
     * {@code getpagesize}: what addresses and sizes of the other calls are multiples of.
     *
     * @return bytes, a power of two
     */
    long pageSize();

    /**
     * {@code mmap} at an address of the system's choice.
     *
     * @param byteSize   how much
     * @param protection one of the {@code PROT} values
     * @param flags      the {@code MAP} values, combined
     * @return the address, or the error number, negated
     */
    long map(long byteSize, int protection, int flags);

    /**
     * {@code munmap}.
     *
     * @param address  where to begin
     * @param byteSize how much
     * @return 0, or the error number
     */
    int unmap(long address, long byteSize);

    /**
     * {@code mprotect}.
     *
     * @param address    where to begin
     * @param byteSize   how much
     * @param protection one of the {@code PROT} values
     * @return 0, or the error number
     */
    int protect(long address, long byteSize, int protection);

    /**
     * {@code madvise}.
     *
     * @param address  where to begin
     * @param byteSize how much
     * @param advice   one of the {@code MADV} values
     * @return 0, or the error number
     */
    int advise(long address, long byteSize, int advice);

    /**
     * What an error number means to the engine.
     *
     * @param call  the native call that failed
     * @param error its error number, above 0
     * @return the failure
     */
    static DriverException failure(String call, int error) {
        return switch (error) {
            case ENOMEM -> new DriverException(DriverException.Kind.OUT_OF_MEMORY, error, call, "ENOMEM");
            case EAGAIN -> new DriverException(DriverException.Kind.OUT_OF_MEMORY, error, call, "EAGAIN");
            case EINVAL -> new DriverException(DriverException.Kind.UNEXPECTED, error, call, "EINVAL");
            default -> new DriverException(DriverException.Kind.UNEXPECTED, error, call, "error number " + error);
        };
    }
}
