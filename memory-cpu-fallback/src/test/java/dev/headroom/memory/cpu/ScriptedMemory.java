package dev.headroom.memory.cpu;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The five calls on an address space of numbers: writes down every call, fails those it is told to, and knows which
 * pages are mapped, what their protection is, and whether their contents were dropped. Refuses to unmap what is not
 * mapped.
 */
final class ScriptedMemory implements LinuxMemory {

    static final long PAGE = 4096;

    /** Every call, numbers in units of pages, addresses as offsets from the first mapping. */
    final List<String> calls = new ArrayList<>();

    private final Map<Integer, Integer> failures = new HashMap<>();
    private final Map<Long, Integer> protections = new HashMap<>();
    private final Set<Long> dropped = new HashSet<>();
    private final long base;
    private long next;

    ScriptedMemory() {
        this(0);
    }

    /** Answers the first mapping with an address that is a multiple of 2 MiB plus some pages. */
    ScriptedMemory(long pagesOff) {
        base = (1L << 40) + pagesOff * PAGE;
        next = base;
    }

    /** Makes the n-th call fail, counting from 1. */
    ScriptedMemory fail(int call, int error) {
        failures.put(call, error);
        return this;
    }

    int mappedPages() {
        return protections.size();
    }

    /** The protection of a page of a mapping. */
    int protection(long address) {
        return protections.get(address / PAGE);
    }

    boolean dropped(long address) {
        return dropped.contains(address / PAGE);
    }

    private int record(String call) {
        calls.add(call);
        return failures.getOrDefault(calls.size(), 0);
    }

    private String range(long address, long byteSize) {
        return (address - base) / PAGE + "+" + byteSize / PAGE;
    }

    private static List<Long> pages(long address, long byteSize) {
        List<Long> pages = new ArrayList<>();
        for (long page = address / PAGE; page < (address + byteSize) / PAGE; page++) {
            pages.add(page);
        }
        return pages;
    }

    @Override
    public long pageSize() {
        return PAGE;
    }

    @Override
    public long map(long byteSize, int protection, int flags) {
        int error = record("map " + byteSize / PAGE + " prot " + protection + " flags 0x" + Integer.toHexString(flags));
        if (error != 0) {
            return -error;
        }
        long address = next;
        next += byteSize;
        pages(address, byteSize).forEach(page -> protections.put(page, protection));
        return address;
    }

    @Override
    public int unmap(long address, long byteSize) {
        int error = record("unmap " + range(address, byteSize));
        if (error == 0) {
            for (long page : pages(address, byteSize)) {
                if (protections.remove(page) == null) {
                    throw new AssertionError("unmapped somebody else's page, " + range(page * PAGE, PAGE));
                }
            }
        }
        return error;
    }

    @Override
    public int protect(long address, long byteSize, int protection) {
        int error = record("protect " + range(address, byteSize) + " " + protection);
        List<Long> pages = pages(address, byteSize);
        // As the kernel does when the range is several mappings, a failure leaves the first half changed.
        pages.subList(0, error == 0 ? pages.size() : pages.size() / 2)
                .forEach(page -> protections.put(page, protection));
        return error;
    }

    @Override
    public int advise(long address, long byteSize, int advice) {
        int error = record("advise " + range(address, byteSize) + " " + advice);
        if (error == 0 && advice == MADV_DONTNEED) {
            dropped.addAll(pages(address, byteSize));
        }
        return error;
    }
}
