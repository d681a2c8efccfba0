package dev.headroom.memory.gpucheck;

import java.util.ArrayList;
import java.util.List;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.opentest4j.TestAbortedException;

/** Runs the contract suites, the very ones that every backend passes in the build. */
final class Suites {

    private Suites() {}

    static SuiteResult run(int device) {
        CudaSuites.choose(device);
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
                .selectors(
                        DiscoverySelectors.selectClass(CudaSuites.Drivers.class),
                        DiscoverySelectors.selectClass(CudaSuites.Pools.class))
                .build();
        Tally tally = new Tally();
        LauncherFactory.create().execute(request, tally);
        return tally.result();
    }

    private static final class Tally implements TestExecutionListener {
        private final List<String> skipped = new ArrayList<>();
        private final List<String> failed = new ArrayList<>();
        private int passed;

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            skipped.add(name(test) + ": " + reason);
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            String why = result.getThrowable().map(Tally::words).orElse("");
            switch (result.getStatus()) {
                case SUCCESSFUL -> passed += test.isTest() ? 1 : 0;
                case ABORTED -> skipped.add(name(test) + ": " + firstLine(why));
                case FAILED -> failed.add(name(test) + ": " + why);
            }
        }

        /** One of many runs of a method has a name that says which one only. */
        private static String name(TestIdentifier test) {
            String shown = test.getDisplayName();
            return test.getSource()
                    .filter(MethodSource.class::isInstance)
                    .map(source -> ((MethodSource) source).getMethodName())
                    .map(method -> shown.startsWith(method) ? method : method + " " + shown)
                    .orElse(shown);
        }

        /** An assumption or an assertion says what it means; what else may come needs its class's name as well. */
        private static String words(Throwable thrown) {
            boolean meant = thrown instanceof TestAbortedException || thrown instanceof AssertionError;
            return meant ? String.valueOf(thrown.getMessage()).strip() : thrown.toString();
        }

        private static String firstLine(String text) {
            return text.lines().findFirst().orElse("");
        }

        SuiteResult result() {
            return new SuiteResult(passed, List.copyOf(skipped), List.copyOf(failed));
        }
    }
}
