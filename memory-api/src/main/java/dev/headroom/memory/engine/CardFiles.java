package dev.headroom.memory.engine;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Pattern;

/**
 * What the Linux kernel says about the memory of a graphics card: the driver {@code amdgpu} keeps two files below the card's
 * PCI address. They are there without any API, and right for all processes. Whatever is wrong with them, the answer is that
 * nothing is known. Thread-safe.
 */
public final class CardFiles {

    private static final String TOTAL = "mem_info_vram_total";
    private static final String USED = "mem_info_vram_used";

    private static final Pattern ADDRESS = Pattern.compile("[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]");
    private static final Pattern NUMBER = Pattern.compile("[0-9]{1,18}");

    /** More than a number has. */
    private static final int LONGEST = 64;

    private final Path folder;

    /**
     * Files below a folder.
     *
     * @param folder one folder per PCI address lies in it
     */
    public CardFiles(Path folder) {
        this.folder = folder;
    }

    /**
     * The kernel's own files.
     *
     * @return the files; without any where there is no such kernel
     */
    public static CardFiles ofKernel() {
        return new CardFiles(Path.of("/sys/bus/pci/devices"));
    }

    /**
     * What is free on a card.
     *
     * @param totalBytes all memory it has
     * @param freeBytes  what nobody uses, 0 to total
     * @param file       where that was read
     */
    record Figures(long totalBytes, long freeBytes, Path file) {}

    /** Reads the figures of the card at a PCI address in its normal form. */
    Optional<Figures> read(String pciAddress) {
        if (!ADDRESS.matcher(pciAddress).matches()) {
            return Optional.empty();
        }
        Path card = folder.resolve(pciAddress);
        Path usedFile = card.resolve(USED);
        OptionalLong total = number(card.resolve(TOTAL));
        OptionalLong used = total.isPresent() ? number(usedFile) : OptionalLong.empty();
        if (used.isEmpty() || total.getAsLong() == 0 || used.getAsLong() > total.getAsLong()) {
            return Optional.empty();
        }
        return Optional.of(new Figures(total.getAsLong(), total.getAsLong() - used.getAsLong(), usedFile));
    }

    private static OptionalLong number(Path file) {
        if (!Files.isRegularFile(file)) { // a pipe would have us wait
            return OptionalLong.empty();
        }
        try (InputStream in = Files.newInputStream(file)) {
            String text = new String(in.readNBytes(LONGEST), StandardCharsets.US_ASCII).strip();
            return NUMBER.matcher(text).matches() ? OptionalLong.of(Long.parseLong(text)) : OptionalLong.empty();
        } catch (IOException | RuntimeException unreadable) {
            return OptionalLong.empty();
        }
    }
}
