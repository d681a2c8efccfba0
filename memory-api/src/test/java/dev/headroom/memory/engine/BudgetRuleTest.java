package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryPressure;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BudgetRuleTest {

    /** Of a device of 1000 bytes, with fraction 0.9 and 100 bytes to be kept free; -1 is a free figure nobody has. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(textBlock = """
            # what,                                limit, free, held, reserved, inFlight, completed, pool, usable, overdrawn
            an empty device: the share binds,         -1, 1000,    0,        0,        0,         0,    0,    900,         0
            what is held counts against the share,    -1, 1000,  300,        0,        0,         0,  300,    600,         0
            others took memory: minFree binds,        -1,  400,    0,        0,        0,         0,    0,    300,         0
            less is free than is to be kept,          -1,   40,  100,        0,        0,         0,  100,      0,        60
            reserved bytes are offered to nobody,     -1, 1000,  100,      200,        0,         0,  100,    600,         0
            reserved bytes are not free either,       -1,  500,  100,      200,        0,         0,  100,    200,         0
            a grant under way is not seen as free,    -1,  500,  150,        0,       50,         0,  150,    350,         0
            a grant since the figure was read,        -1,  500,  150,        0,        0,        50,  150,    350,         0
            nothing tells: the cautious share,        -1,   -1,    0,        0,        0,         0,    0,    800,         0
            nothing tells: less what is held,         -1,   -1,  500,      100,        0,         0,  500,    200,         0
            nothing tells and more is held,           -1,   -1,  900,        0,        0,         0,  900,      0,       100
            a limit replaces share and minFree,      950, 1000,    0,        0,        0,         0,    0,    950,         0
            a limit above the device,               5000, 1000,    0,        0,        0,         0,    0,   1000,         0
            a limit binds this pool only,            500, 1000,  600,        0,        0,         0,  100,    400,         0
            a limit offers no more than is free,     900,   30,    0,        0,        0,         0,    0,     30,         0
            a limit that is used up,                 100, 1000,  100,        0,        0,         0,  100,      0,         0
            a limit lowered under what is held,      100, 1000,  150,        0,        0,         0,  150,      0,        50
            a limit where nothing tells,             500,   -1,    0,        0,        0,         0,    0,    500,         0
            """)
    void usable_bytes(
            String what,
            long limit,
            long free,
            long held,
            long reserved,
            long inFlight,
            long completed,
            long pool,
            long usable,
            long overdrawn) {
        BudgetRule rule = new BudgetRule(config(), limit < 0 ? OptionalLong.empty() : OptionalLong.of(limit), null);
        DomainLedger.Figures ledger = new DomainLedger.Figures(held, reserved, inFlight, completed);
        BudgetRule.Reading reading = new BudgetRule.Reading(budget(free), 0);
        assertThat(rule.usable(reading, ledger, pool)).isEqualTo(usable);
        BudgetRule.Allowance allowance = rule.allowance(reading, ledger, pool);
        assertThat(allowance.usableBytes()).isEqualTo(usable);
        assertThat(allowance.overdrawnBytes()).isEqualTo(overdrawn);
        assertThat(allowance.missingBytes(usable)).isEqualTo(overdrawn);
        assertThat(allowance.missingBytes(usable + 7)).isEqualTo(overdrawn + 7);
    }

    @Test
    void a_lagging_figure_is_believed_only_as_far_as_its_baseline_allows() {
        BudgetRule rule = new BudgetRule(config(), OptionalLong.empty(), new BudgetRule.Baseline(700, 50));
        MemoryBudget untouched = MemoryBudget.measured(1000, 700, "test").withLag();
        DomainLedger.Figures ledger = new DomainLedger.Figures(350, 0, 0, 300);
        // 300 bytes were granted since, though the system has not noticed yet: 400 are left, 100 of them to be kept.
        assertThat(rule.usable(new BudgetRule.Reading(untouched, 300), ledger, 300))
                .isEqualTo(300);
        MemoryBudget taken = MemoryBudget.measured(1000, 150, "test").withLag();
        assertThat(rule.usable(new BudgetRule.Reading(taken, 300), ledger, 300)).isEqualTo(50);
        MemoryBudget prompt = MemoryBudget.measured(1000, 700, "test");
        assertThat(rule.usable(new BudgetRule.Reading(prompt, 300), ledger, 300))
                .as("a figure that does not lag needs no baseline")
                .isEqualTo(550);
    }

    @Test
    void the_share_below_the_cautious_one_stays() {
        MemoryConfig half = MemoryConfig.builder().fraction(0.5).build();
        assertThat(BudgetRule.of(half).ceiling(budget(-1))).isEqualTo(500);
        assertThat(BudgetRule.of(half).ceiling(budget(10))).isEqualTo(500);
        MemoryConfig most = MemoryConfig.builder().fraction(0.95).build();
        assertThat(BudgetRule.of(most).ceiling(budget(-1))).isEqualTo(800);
        assertThat(BudgetRule.of(most).ceiling(budget(10))).isEqualTo(950);
        MemoryConfig limited = MemoryConfig.builder().limitBytes(2000).build();
        assertThat(BudgetRule.of(limited).ceiling(budget(10))).isEqualTo(1000);
    }

    @Test
    void pressure_is_of_the_limit_or_of_what_is_free_or_of_what_is_held() {
        DomainLedger.Figures held = new DomainLedger.Figures(700, 0, 0, 0);
        BudgetRule limited =
                BudgetRule.of(MemoryConfig.builder().limitBytes(100).build());
        assertThat(limited.pressure(read(1000), held, 96)).isEqualTo(MemoryPressure.CRITICAL);
        assertThat(limited.pressure(read(1000), held, 10)).isEqualTo(MemoryPressure.LOW);
        BudgetRule open = BudgetRule.of(config());
        assertThat(open.pressure(read(350), held, 0)).isEqualTo(MemoryPressure.MEDIUM);
        assertThat(open.pressure(read(-1), held, 0)).isEqualTo(MemoryPressure.HIGH);
    }

    @Test
    void a_device_without_memory_knows_no_pressure_and_gives_nothing() {
        BudgetRule rule = BudgetRule.of(config());
        DomainLedger.Figures none = new DomainLedger.Figures(0, 0, 0, 0);
        for (MemoryBudget budget : new MemoryBudget[] {
            MemoryBudget.measured(0, 0, "test"), MemoryBudget.unknown(0, "test"),
        }) {
            assertThat(rule.pressure(new BudgetRule.Reading(budget, 0), none, 0))
                    .isEqualTo(MemoryPressure.LOW);
            assertThat(rule.usable(new BudgetRule.Reading(budget, 0), none, 0)).isZero();
        }
    }

    @Test
    void nothing_overflows_at_the_largest_figures() {
        long most = Long.MAX_VALUE / 2;
        BudgetRule rule =
                BudgetRule.of(MemoryConfig.builder().limitBytes(Long.MAX_VALUE).build());
        DomainLedger.Figures ledger = new DomainLedger.Figures(most / 2, 0, 0, 0);
        assertThat(rule.usable(new BudgetRule.Reading(MemoryBudget.unknown(most, "test"), 0), ledger, most / 2))
                .isEqualTo(most - most / 2);
    }

    private static MemoryConfig config() {
        return MemoryConfig.builder().fraction(0.9).minFreeBytes(100).build();
    }

    @Test
    void the_used_share_counts_what_was_granted_since_the_reading_and_is_empty_where_nothing_is_known() {
        BudgetRule rule = BudgetRule.of(config());
        DomainLedger.Figures later = new DomainLedger.Figures(500, 0, 50, 100);
        assertThat(rule.usedShare(read(400), later, 0)).hasValue(0.75);
        BudgetRule limited =
                BudgetRule.of(MemoryConfig.builder().limitBytes(100).build());
        assertThat(limited.usedShare(read(400), later, 30)).hasValue(0.3);
        assertThat(rule.usedShare(read(-1), later, 0)).as("500 of 800").hasValue(0.625);
        for (MemoryBudget empty : new MemoryBudget[] {
            MemoryBudget.measured(0, 0, "test"), MemoryBudget.unknown(0, "test"),
        }) {
            assertThat(rule.usedShare(new BudgetRule.Reading(empty, 0), later, 0))
                    .isEmpty();
        }
    }

    private static BudgetRule.Reading read(long free) {
        return new BudgetRule.Reading(budget(free), 0);
    }

    private static MemoryBudget budget(long free) {
        return free < 0 ? MemoryBudget.unknown(1000, "test") : MemoryBudget.measured(1000, free, "test");
    }
}
