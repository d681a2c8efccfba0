/** What a backend must pass, and what a test leaves behind: contract suites and a leak guard for JUnit 5. */
module dev.headroom.memory.testkit {
    requires static org.jspecify;
    requires transitive dev.headroom.memory.sim;
    requires transitive org.junit.jupiter.api;
    requires org.assertj.core;
    requires org.junit.jupiter.params;

    exports dev.headroom.memory.testkit;
}
