package dev.headroom.memory;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The rooms of memory-api and who may know whom. */
class ArchitectureTest {
    private static final String ROOT = "dev.headroom.memory";
    private static final String SPI = ROOT + ".spi";
    private static final String ENGINE = ROOT + ".engine";

    private static final JavaClasses API = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages(ROOT);

    /** Without this a rule could pass because the importer saw nothing. */
    @ParameterizedTest
    @ValueSource(strings = {ROOT, SPI, ENGINE})
    void everySourceFileIsSeen(String room) throws IOException {
        assertThat(API.stream()
                        .filter(resideInAPackage(room))
                        .map(ArchitectureTest::file)
                        .collect(Collectors.toSet()))
                .containsAll(sourceFiles(room));
    }

    @Test
    void onlyTheDoorsKnowTheEngine() {
        noClasses()
                .that(resideOutsideOfPackage(ENGINE).and(not(inFile("GpuMemory", "RangeAllocator"))))
                .should()
                .dependOnClassesThat(resideInAPackage(ENGINE))
                .because("the engine is not exported; GpuMemory and RangeAllocator are the doors to it")
                .allowEmptyShould(true)
                .check(API);
    }

    @Test
    void onlyGpuMemoryKnowsTheSpi() {
        noClasses()
                .that(resideInAPackage(ROOT).and(not(inFile("GpuMemory"))))
                .should()
                .dependOnClassesThat(resideInAPackage(SPI))
                .because("users must not meet what backend authors see")
                .allowEmptyShould(true)
                .check(API);
    }

    @Test
    void theSpiDoesNotKnowGpuMemory() {
        noClasses()
                .that(resideInAPackage(SPI))
                .should()
                .dependOnClassesThat(inFile("GpuMemory"))
                .because("a backend serves whoever opens it")
                .allowEmptyShould(true)
                .check(API);
    }

    @Test
    void thereIsNoFurtherRoom() {
        classes().should().resideInAnyPackage(ROOT, SPI, ENGINE).check(API);
    }

    /**
     * No file of a room needs, over whatever way, a file of the same room that needs it back. The root package is left out: pool
     * and buffer, selection and reservation name each other because their users walk both ways.
     */
    @ParameterizedTest
    @ValueSource(strings = {SPI, ENGINE})
    void noTwoFilesNeedEachOther(String room) {
        slices().assignedFrom(new FilesOf(room))
                .should()
                .beFreeOfCycles()
                .allowEmptyShould(true)
                .check(API);
    }

    private static DescribedPredicate<JavaClass> inFile(String... names) {
        var files = Set.of(names);
        return DescribedPredicate.describe(
                "in file " + String.join(" or ", names),
                type -> type.getPackageName().equals(ROOT) && files.contains(file(type)));
    }

    /** The top-level class, which with our one-class-per-file habit is the source file's name. */
    private static String file(JavaClass type) {
        var top = type;
        while (top.getEnclosingClass().isPresent()) {
            top = top.getEnclosingClass().get();
        }
        return top.getSimpleName();
    }

    private static Set<String> sourceFiles(String room) throws IOException {
        var folder = Path.of(System.getProperty("headroom.root", ".."), "memory-api", "src", "main", "java")
                .resolve(room.replace('.', '/'));
        if (!Files.isDirectory(folder)) {
            return Set.of();
        }
        try (var files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".java") && !name.equals("package-info.java"))
                    .map(name -> name.substring(0, name.length() - ".java".length()))
                    .collect(Collectors.toSet());
        }
    }

    private record FilesOf(String room) implements SliceAssignment {
        @Override
        public SliceIdentifier getIdentifierOf(JavaClass type) {
            return type.getPackageName().equals(room) ? SliceIdentifier.of(file(type)) : SliceIdentifier.ignore();
        }

        @Override
        public String getDescription() {
            return "the files of " + room;
        }
    }
}
