package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryDomain;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DomainLedgerTest {

    private static final long REFUSED = -1;

    private final DomainLedger ledger = new DomainLedger(new MemoryDomain("test", false));
    private final DomainLedger.Claim nobody = new DomainLedger.Claim();

    @Test
    void a_grant_is_under_way_until_it_is_settled() {
        assertThat(grant(100, nobody, 100)).isZero();
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(100, 0, 100, 0));
        ledger.settle(100);
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(100, 0, 0, 100));
        ledger.release(100);
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(0, 0, 0, 100));
        assertThat(ledger.isIdle()).isTrue();
    }

    @Test
    void a_refused_grant_changes_nothing() {
        assertThat(grant(101, nobody, 100)).isEqualTo(REFUSED);
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(0, 0, 0, 0));
    }

    @Test
    void an_undone_grant_leaves_the_ledger_as_it_was() {
        DomainLedger.Claim claim = new DomainLedger.Claim();
        assertThat(ledger.tryReserve(60, claim, figures -> 100)).isTrue();
        DomainLedger.Figures before = ledger.figures();
        long fromClaim = grant(100, claim, 40);
        assertThat(fromClaim).isEqualTo(60);
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(100, 0, 100, 0));
        assertThat(ledger.undo(100, claim, fromClaim)).isEqualTo(60);
        assertThat(ledger.figures()).isEqualTo(before);
        assertThat(ledger.remaining(claim)).isEqualTo(60);
    }

    @Test
    void a_claim_needs_no_room_for_its_own_bytes() {
        DomainLedger.Claim claim = new DomainLedger.Claim();
        assertThat(ledger.tryReserve(60, claim, figures -> 60)).isTrue();
        assertThat(grant(50, claim, 0)).isEqualTo(50);
        assertThat(ledger.remaining(claim)).isEqualTo(10);
        assertThat(grant(20, claim, 9)).as("10 of its own, and 10 more").isEqualTo(REFUSED);
        assertThat(grant(20, claim, 10)).isEqualTo(10);
        assertThat(ledger.remaining(claim)).isZero();
        assertThat(ledger.figures().reservedBytes()).isZero();
    }

    @Test
    void a_refused_reservation_sets_nothing_aside() {
        DomainLedger.Claim claim = new DomainLedger.Claim();
        assertThat(ledger.tryReserve(61, claim, figures -> 60)).isFalse();
        assertThat(ledger.remaining(claim)).isZero();
        assertThat(ledger.isIdle()).isTrue();
    }

    @Test
    void a_cancelled_claim_returns_the_rest_once_and_gets_nothing_back_later() {
        DomainLedger.Claim claim = new DomainLedger.Claim();
        ledger.tryReserve(100, claim, figures -> 100);
        long fromClaim = grant(70, claim, 0);
        ledger.cancel(claim);
        ledger.cancel(claim);
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(70, 0, 70, 0));
        assertThat(ledger.undo(70, claim, fromClaim)).isZero();
        assertThat(ledger.isIdle()).isTrue();
    }

    @Test
    void reserved_bytes_keep_the_ledger_busy() {
        DomainLedger.Claim claim = new DomainLedger.Claim();
        ledger.tryReserve(1, claim, figures -> 1);
        assertThat(ledger.isIdle()).isFalse();
        ledger.cancel(claim);
        assertThat(ledger.isIdle()).isTrue();
    }

    @Test
    void what_a_driver_keeps_is_held() {
        ledger.keep(5);
        assertThat(ledger.figures()).isEqualTo(new DomainLedger.Figures(5, 0, 0, 0));
    }

    @Test
    void members_are_asked_until_there_is_enough_and_the_one_in_need_never() {
        List<Long> asked = new ArrayList<>();
        DomainLedger.Member self = (domain, wanted) -> {
            throw new AssertionError("asked for its own memory");
        };
        DomainLedger.Member first = (domain, wanted) -> {
            assertThat(domain).isSameAs(ledger);
            asked.add(wanted);
            return 30;
        };
        DomainLedger.Member second = (domain, wanted) -> {
            asked.add(wanted);
            return 500;
        };
        DomainLedger.Member third = (domain, wanted) -> {
            throw new AssertionError("there was enough");
        };
        List.of(self, first, second, third).forEach(ledger::join);
        assertThat(ledger.collectIdle(100, self)).isEqualTo(530);
        assertThat(asked).containsExactly(100L, 70L);
        ledger.leave(third);
        ledger.leave(second);
        assertThat(ledger.collectIdle(100, self)).isEqualTo(30);
    }

    private long grant(long bytes, DomainLedger.Claim claim, long usable) {
        return ledger.tryGrant(bytes, claim, figures -> usable);
    }
}
