package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Looks, when a test has closed everything, that the driver has got back all it gave, and that nothing was asked of it
 * that a real one would have refused or not survived.
 */
final class CleanDriver implements AfterEachCallback {

    @Override
    public void afterEach(ExtensionContext context) {
        CudaDouble driver = CudaDouble.open(DoubleLibrary.folder());
        assertThat(driver.misuses()).as("misuses").isEmpty();
        assertThat(driver.foreignUses()).as("uses of another context's objects").isZero();
        assertThat(driver.ledger()).as("what was not given back").isEmpty();
        assertThat(driver.managementUsers())
                .as("users of the management library")
                .isZero();
    }
}
