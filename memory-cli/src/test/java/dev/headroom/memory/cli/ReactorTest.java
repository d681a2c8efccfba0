package dev.headroom.memory.cli;

import static com.tngtech.archunit.core.domain.JavaAccess.Predicates.target;
import static com.tngtech.archunit.core.domain.JavaAccess.Predicates.targetOwner;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.equivalentTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.nameMatching;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertAll;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.GeneralCodingRules;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.w3c.dom.Element;

/** What holds for all modules together. It stands here because the command line is the one module that sees them all. */
class ReactorTest {
    private static final String ROOT = "dev.headroom.memory";
    private static final String COMMAND_LINE = ROOT + ".cli..";

    /** Test suites others extend. */
    private static final String TEST_KIT = ROOT + ".testkit..";

    private static final String[] BACKENDS = {"cpu", "cuda", "opencl", "vulkan"};

    /**
     * The classes that may open a shared or a global arena. A shared arena costs 16 to 76 microseconds and must outlive every view of
     * it, so one belongs to each block, never to a buffer; a global one is never given back.
     */
    private static final Set<String> ARENA_OWNERS = Set.of(
            "dev.headroom.memory.cpu.MappedBlocks",
            "dev.headroom.memory.cpu.PlainBlocks",
            "dev.headroom.memory.cuda.PinnedBlock",
            // One per load, for the mapped file.
            "dev.headroom.memory.model.OpenShards",
            "dev.headroom.memory.opencl.OpenClBlock",
            "dev.headroom.memory.sim.BlockBytes",
            // One per mapping: a segment used after it was unmapped has to be found out.
            "dev.headroom.memory.sim.SimulatedMapping",
            "dev.headroom.memory.vulkan.VulkanBlock");

    private static final Path FOLDER = Path.of(System.getProperty("headroom.root", ".."));

    private static final JavaClasses ALL = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages(ROOT);

    /** Without this a rule could pass because the importer saw nothing. */
    @ParameterizedTest
    @MethodSource("published")
    void everySourceFileIsSeen(String module) throws IOException {
        assertThat(ALL.stream().map(JavaClass::getName).toList())
                .as("a module that is missing here belongs into the dependencies of memory-cli")
                .containsAll(sourceFiles(FOLDER.resolve(module).resolve("src/main/java")));
    }

    @Test
    void aBackendKnowsOnlyTheApiAndTheSpi() {
        for (var backend : BACKENDS) {
            var own = ROOT + "." + backend + "..";
            noClasses()
                    .that()
                    .resideInAPackage(own)
                    .should()
                    .dependOnClassesThat(resideInAPackage(ROOT + "..")
                            .and(DescribedPredicate.not(resideInAnyPackage(ROOT, ROOT + ".spi..", own))))
                    .because("a backend is one small module beside its binding")
                    .allowEmptyShould(true)
                    .check(ALL);
        }
    }

    @Test
    void onlyTheCommandLinePrints() {
        var library = ALL.that(DescribedPredicate.not(resideInAnyPackage(COMMAND_LINE, TEST_KIT)));
        GeneralCodingRules.NO_CLASSES_SHOULD_ACCESS_STANDARD_STREAMS
                .allowEmptyShould(true)
                .check(library);
    }

    @Test
    void theLogIsSystemLogger() {
        noClasses()
                .should()
                .dependOnClassesThat(resideInAPackage("java.util.logging.."))
                .allowEmptyShould(true)
                .check(ALL);
    }

    @Test
    void sharedAndGlobalArenasHaveNamedOwners() {
        noClasses()
                .that(DescribedPredicate.describe("own no arena", type -> !ARENA_OWNERS.contains(topLevelName(type))))
                .should()
                .accessTargetWhere(targetOwner(equivalentTo(Arena.class)).and(target(nameMatching("ofShared|global"))))
                .allowEmptyShould(true)
                .check(ALL.that(DescribedPredicate.not(resideInAPackage(TEST_KIT))));
    }

    /** The BOM has no parent that could give it its version and its list. */
    @Test
    void theBomNamesEveryPublishedModuleInOurVersion() throws Exception {
        var parent = pom(FOLDER.resolve("pom.xml"));
        var bom = pom(FOLDER.resolve("memory-bom/pom.xml"));
        var managed = (Element) bom.getElementsByTagName("dependencyManagement").item(0);

        assertAll(
                () -> assertThat(texts(bom, "version").getFirst())
                        .isEqualTo(texts(parent, "version").getFirst()),
                () -> assertThat(texts(managed, "artifactId")).containsExactlyInAnyOrderElementsOf(published()),
                () -> assertThat(texts(managed, "version")).containsOnly("${project.version}"));
    }

    private static List<String> published() throws Exception {
        var modules = texts(pom(FOLDER.resolve("pom.xml")), "module");
        modules.removeAll(
                Set.of("memory-bom", "benchmarks", "examples", "examples/hybrid-matmul", "gpu-check", "stress"));
        return modules;
    }

    private static List<String> sourceFiles(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (var files = Files.walk(folder)) {
            return files.map(file -> folder.relativize(file).toString())
                    .filter(name -> name.endsWith(".java"))
                    .map(name ->
                            name.substring(0, name.length() - ".java".length()).replace(File.separatorChar, '.'))
                    // A dash never stands in a class's name, only in package-info and module-info.
                    .filter(name -> !name.contains("-"))
                    .toList();
        }
    }

    private static String topLevelName(JavaClass type) {
        return type.getName().replaceFirst("\\$.*", "");
    }

    private static Element pom(Path file) throws Exception {
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(file.toFile())
                .getDocumentElement();
    }

    private static List<String> texts(Element in, String tag) {
        var nodes = in.getElementsByTagName(tag);
        var texts = new ArrayList<String>();
        for (int i = 0; i < nodes.getLength(); i++) {
            texts.add(nodes.item(i).getTextContent());
        }
        return texts;
    }
}
