package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.PhysicalId;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
