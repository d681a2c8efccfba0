package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.PhysicalId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DomainsTest {

    private final List<Domains.Lease> leases = new ArrayList<>();

    @AfterEach
    void close() {
        leases.forEach(Domains.Lease::close);
    }

    /** Which two devices are one memory. The first two columns are UUID and PCI address of one, the next two of the other. */
    @ParameterizedTest(name = "{5}")
    @CsvSource(textBlock = """
            u1,     , u1,     , true,  the same UUID
            U1,     , u1,     , true,  a UUID is no case
            u1,     , u2,     , false, another UUID
              , p1  ,   , p1  , true,  the same place
              , P1  ,   , p1  , true,  a place is no case either
              , p1  ,   , p2  , false, another place
            u1, p1  , u1, p1  , true,  both
            u1, p1  , u1,     , true,  the UUID of both
            u1, p1  ,   , p1  , true,  the place of both: an API that knows no UUID
              , p1  , u1, p1  , true,  the place first and the UUID later
            u1, p1  , u2, p1  , false, two UUIDs in one place
            u1, p1  , u1, p2  , true,  a UUID tells more than a place
            mig-1, p1, mig-2, p1, false, two slices of one card
            mig-1, p1,   , p1  , false, a slice and the whole card
              ,     ,   ,     , false, two devices that know nothing
            """)
    void joins(String uuid, String pci, String otherUuid, String otherPci, boolean same, String why) {
        DomainLedger one = lease(device("sim", 0, id(uuid, pci)));
        DomainLedger other = lease(device("other", 0, id(otherUuid, otherPci)));
        assertThat(one == other).as(why).isEqualTo(same);
    }

    /** One API knows both names of a card, one its UUID, one its address: in whatever order they are listed. */
    @ParameterizedTest
    @ValueSource(strings = {"012", "021", "102", "120", "201", "210"})
    void one_that_knows_both_names_joins_those_that_know_one(String order) {
        List<GpuDevice> apis = List.of(
                device("both", 0, id("u1", "p1")),
                device("uuid", 0, id("u1", null)),
                device("place", 0, id(null, "p1")));
        List<GpuDevice> listed = order.chars().mapToObj(c -> apis.get(c - '0')).toList();
        assertThat(leaseAll(listed).values()).containsOnly(lease(apis.getFirst()));
        leases.forEach(Domains.Lease::close);

        // As three GpuMemory would, one after the other.
        List<DomainLedger> ledgers = listed.stream().map(this::lease).toList();
        assertThat(ledgers).allMatch(ledger -> ledger.isOfSameMemory(ledgers.getFirst()));
        assertThat(ledgers)
                .extracting(DomainLedger::domain)
                .containsOnly(ledgers.getFirst().domain());
        leases.forEach(Domains.Lease::close);
        leases.clear();
        assertThat(lease(apis.get(1)).isOfSameMemory(lease(apis.get(2))))
                .as("nobody remembers what nobody uses")
                .isFalse();
    }

    @Test
    void what_two_ledgers_held_is_held_together_once_they_are_one() {
        DomainLedger byUuid = lease(device("uuid", 0, id("u1", null)));
        DomainLedger byPlace = lease(device("place", 0, id(null, "p1")));
        DomainLedger.Claim claim = new DomainLedger.Claim();
        assertThat(byUuid.tryGrant(100, new DomainLedger.Claim(), _ -> 1000)).isZero();
        byUuid.settle(100);
        assertThat(byPlace.tryReserve(30, claim, _ -> 1000)).isTrue();
        assertThat(byPlace.tryGrant(20, claim, _ -> 0)).isEqualTo(20);
        assertThat(byUuid.figures()).isEqualTo(new DomainLedger.Figures(100, 0, 0, 100));

        DomainLedger both = lease(device("both", 0, id("u1", "p1")));
        DomainLedger.Figures together = new DomainLedger.Figures(120, 10, 20, 100);
        for (DomainLedger ledger : List.of(byUuid, byPlace, both)) {
            assertThat(ledger.figures()).isEqualTo(together);
            assertThat(ledger.isIdle()).isFalse();
        }
        // Work begun before goes on under its old ledger.
        byPlace.settle(20);
        assertThat(byPlace.tryGrant(15, claim, figures -> 1000 - figures.heldBytes() - figures.reservedBytes()))
                .isEqualTo(10);
        assertThat(byPlace.undo(15, claim, 10)).isEqualTo(10);
        byPlace.keep(7);
        byPlace.release(7);
        byPlace.cancel(claim);
        byPlace.release(20);
        byUuid.release(100);
        assertThat(both.figures()).isEqualTo(new DomainLedger.Figures(0, 0, 0, 120));
        assertThat(byPlace.isIdle()).isTrue();
    }

    @Test
    void members_of_both_are_asked_once_they_are_one() {
        DomainLedger byUuid = lease(device("uuid", 0, id("u1", null)));
        DomainLedger byPlace = lease(device("place", 0, id(null, "p1")));
        List<String> asked = new ArrayList<>();
        DomainLedger.Member one = member("one", byUuid, asked);
        DomainLedger.Member two = member("two", byPlace, asked);
        byUuid.join(one);
        byPlace.join(two);
        assertThat(byUuid.collectIdle(5, one)).isZero();
        lease(device("both", 0, id("u1", "p1")));
        assertThat(byUuid.collectIdle(5, one)).isEqualTo(1);
        assertThat(byPlace.collectIdle(5, null)).isEqualTo(2);
        byPlace.leave(two);
        byPlace.join(member("three", byPlace, asked));
        assertThat(byUuid.collectIdle(5, null)).isEqualTo(2);
        assertThat(asked).containsExactly("two", "one", "two", "one", "three");
    }

    @Test
    void an_address_of_several_slices_joins_nobody() {
        GpuDevice nameless = device("place", 0, id(null, "p1"));
        Map<GpuDevice, DomainLedger> all =
                leaseAll(List.of(nameless, device("cuda", 0, id("u1", "p1")), device("cuda", 1, id("u2", "p1"))));
        assertThat(all.values()).doesNotHaveDuplicates();
        assertThat(all.values()).extracting(DomainLedger::domain).doesNotHaveDuplicates();
        assertThat(lease(nameless)).as("again").isSameAs(all.get(nameless));
        leases.forEach(Domains.Lease::close);
        Map<GpuDevice, DomainLedger> marked = leaseAll(List.of(
                nameless,
                device("opencl", 0, id("x", "p1")), // the same slice, of which OpenCL does not know that it is one
                device("cuda", 0, PhysicalId.of("mig-domains-x", "domains-p1"))));
        assertThat(marked.values().stream().distinct()).hasSize(2);
        assertThat(marked.get(nameless).domain().id()).isEqualTo("pci:domains-p1 as place:0");
    }

    /** An address is believed as long as one UUID is known there; who was joined by it stays. */
    @Test
    void a_device_stays_with_its_memory_while_it_is_used() {
        GpuDevice nameless = device("place", 0, id(null, "p1"));
        DomainLedger first = lease(device("cuda", 0, id("u1", "p1")));
        assertThat(lease(nameless)).isSameAs(first);
        assertThat(lease(device("cuda", 1, id("u2", "p1")))).isNotSameAs(first);
        assertThat(lease(nameless)).isSameAs(first);
        assertThat(lease(device("other", 0, id(null, "p1")))).isNotSameAs(first);
    }

    @Test
    void a_device_that_knows_nothing_is_still_itself() {
        GpuDevice device = device("sim", 3, PhysicalId.unknown());
        assertThat(lease(device)).isSameAs(lease(device));
        assertThat(lease(device)).isNotSameAs(lease(device("sim", 4, PhysicalId.unknown())));
    }

    @Test
    void what_lives_in_the_hosts_memory_is_the_host() {
        assertThat(lease(device("cpu", 0, PhysicalId.ofHost()))).isSameAs(Domains.host());
        for (DeviceClass shared : List.of(DeviceClass.INTEGRATED, DeviceClass.CPU, DeviceClass.HOST)) {
            GpuDevice device = GpuDevice.of("sim", 0, "shares", shared, PhysicalId.ofUuid("domains-" + shared));
            assertThat(lease(device)).as(shared.label()).isSameAs(Domains.host());
        }
        for (DeviceClass own : List.of(DeviceClass.DISCRETE, DeviceClass.VIRTUAL)) {
            GpuDevice device = GpuDevice.of("sim", 0, "owns", own, PhysicalId.ofUuid("domains-" + own));
            assertThat(lease(device)).as(own.label()).isNotSameAs(Domains.host());
        }
    }

    @Test
    void a_ledger_lives_as_long_as_somebody_uses_it() {
        GpuDevice device = device("sim", 0, PhysicalId.of("domains-u", "domains-p"));
        Domains.Lease first = Domains.lease(device);
        Domains.Lease second = Domains.lease(device);
        DomainLedger ledger = first.ledger();
        first.close();
        first.close();
        assertThat(lease(device)).as("still used, for a lease ends once").isSameAs(ledger);
        leases.removeLast().close();
        second.close();
        assertThat(lease(device)).as("a new one under the same name").isNotSameAs(ledger);
    }

    @Test
    void a_ledger_with_bytes_in_it_is_not_forgotten() {
        GpuDevice device = device("sim", 0, PhysicalId.ofUuid("domains-busy"));
        Domains.Lease lease = Domains.lease(device);
        DomainLedger ledger = lease.ledger();
        ledger.keep(10);
        lease.close();
        assertThat(lease(device)).isSameAs(ledger);
        ledger.release(10);
    }

    private static DomainLedger.Member member(String name, DomainLedger its, List<String> asked) {
        return (ledger, _) -> {
            assertThat(ledger.isOfSameMemory(its)).isTrue();
            asked.add(name);
            return 1;
        };
    }

    private Map<GpuDevice, DomainLedger> leaseAll(List<GpuDevice> devices) {
        Map<GpuDevice, DomainLedger> ledgers = new HashMap<>();
        Domains.leaseAll(devices).forEach((device, lease) -> {
            leases.add(lease);
            ledgers.put(device, lease.ledger());
        });
        return ledgers;
    }

    private DomainLedger lease(GpuDevice device) {
        Domains.Lease lease = Domains.lease(device);
        leases.add(lease);
        return lease.ledger();
    }

    private static GpuDevice device(String backend, int index, PhysicalId id) {
        return GpuDevice.of(backend, index, "test", DeviceClass.DISCRETE, id);
    }

    private static PhysicalId id(String uuid, String pci) {
        if (uuid == null) {
            return pci == null ? PhysicalId.unknown() : PhysicalId.ofPci("domains-" + pci);
        }
        String own = uuid.startsWith("mig") ? uuid : "domains-" + uuid;
        return pci == null ? PhysicalId.ofUuid(own) : PhysicalId.of(own, "domains-" + pci);
    }
}
