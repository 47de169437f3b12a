// SPDX-License-Identifier: BSD-3-Clause
// What a filter at local-out and post-routing sees of packets, and what becomes of those it keeps.
#include "lib/net/ipv4.hpp"
#include "lib/net/ipv6.hpp"
#include "test/unit/control/vrf_machine.hpp"

#include <string>
#include <vector>

namespace culvert::control::test {

namespace {

using pipeline::IpHook;
using pipeline::IpVerdict;

// Writes down what it is asked about: "post 10.9.0.2 port3 1028".
struct Filter {
    explicit Filter(VrfMachine& machine)
        : machine_(machine) {
        filters_.at = {{{&Filter::ask, this}, {&Filter::ask, this}}};
        machine.core().set_ip_filters(&filters_);
    }

    ~Filter() { machine_.core().set_ip_filters(nullptr); }

    Filter(const Filter&) = delete;
    Filter& operator=(const Filter&) = delete;

    static IpVerdict ask(void* context, IpHook at, rte_mbuf* packet, LinkId link_out) noexcept {
        return static_cast<Filter*>(context)->judge(at, packet, link_out);
    }

    IpVerdict judge(IpHook at, rte_mbuf* packet, LinkId link_out) {
        const std::uint8_t offset = pipeline::note(packet).l3_offset;
        const auto* bytes = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset);
        const auto* ip6 = reinterpret_cast<const net::Ipv6Header*>(bytes);
        const auto* ip4 = reinterpret_cast<const net::Ipv4Header*>(bytes);
        const net::IpAddress destination = *bytes >> 4 == 6
                                               ? net::IpAddress::from_v6(ip6->destination)
                                               : net::IpAddress::from_v4(ip4->destination.host());
        if (*bytes >> 4 == 4) {
            CHECK(ip4->total_length.host() == packet->pkt_len - offset);
        }
        seen.push_back(fmt::format(
            "{} {} {} {}",
            at == IpHook::local_out ? "out" : "post",
            destination.to_string(),
            machine_.core().links().name_of(link_out),
            packet->pkt_len - offset
        ));
        if (at != keeps_at) {
            return IpVerdict::accept;
        }
        if (verdict == IpVerdict::consumed) {
            rte_pktmbuf_free(packet);
        }
        return verdict;
    }

    std::vector<std::string> take() { return std::exchange(seen, {}); }

    std::vector<std::string> seen;
    IpHook keeps_at = IpHook::post_routing;
    IpVerdict verdict = IpVerdict::accept;

private:
    VrfMachine& machine_;
    pipeline::IpFilters filters_;
};

// 10.0.0.0/24 on port0, 10.9.0.0/24 on port3; a tunnel to 10.9.0.2, and 20.0.0.0/24 beyond it.
struct FilterMachine : VrfMachine {
    FilterMachine() {
        run("addr add 10.0.0.1/24 dev port0");
        run("addr add 2001:db8::1/64 dev port0 nodad");
        run("addr add 10.9.0.1/24 dev port3");
        run("addr add 2001:db8:9::1/64 dev port3 nodad");
        know(0, "10.0.0.2");
        know(3, "10.9.0.2");
        know(3, "2001:db8:9::2");
        (void)sent_counts();
    }

    void forward(const std::string& to, std::size_t payload = 20) {
        receive(
            0,
            from_peer(0, {.source = v4("10.0.0.2"), .destination = v4(to)})
                .udp(1000, 2000)
                .payload(payload)
                .bytes()
        );
        settle();
    }
};

using Seen = std::vector<std::string>;

}  // namespace

TEST_CASE("IPO-OUT-01 a forwarded packet passes post-routing once", "[control]") {
    FilterMachine machine;
    machine.forward("10.9.0.2");
    CHECK(machine.sent_counts() == "0 0 0 1");
    Filter filter(machine);
    machine.forward("10.9.0.2");
    CHECK(filter.take() == Seen{"post 10.9.0.2 port3 48"});
    CHECK(machine.sent_counts() == "0 0 0 1");
    SECTION("IPO-OUT-02 whole, before it is cut") {
        machine.run("link set port3 mtu 600");
        machine.know(3, "10.9.0.2");
        machine.forward("10.9.0.2", 1000);
        CHECK(filter.take() == Seen{"post 10.9.0.2 port3 1028"});
        CHECK(machine.sent_counts() == "0 0 0 2");
    }
    SECTION("before its next hop is asked for") {
        machine.forward("10.9.0.77");
        CHECK(filter.take() == Seen{"post 10.9.0.77 port3 48"});
        (void)machine.sent_counts();
        machine.know(3, "10.9.0.77");
        CHECK(filter.take().empty());
        CHECK(machine.sent_counts() == "0 0 0 1");
    }
    SECTION("what it refuses is dropped by name") {
        filter.verdict = IpVerdict::drop;
        machine.forward("10.9.0.2");
        CHECK(machine.sent_counts() == "0 0 0 0");
        CHECK(machine.drops("port3", pipeline::Drop::ip_filtered) == 1);
    }
    SECTION("what it keeps has ended here") {
        filter.verdict = IpVerdict::consumed;
        const std::uint64_t before = machine.core().worker_counters(0).consumed.read();
        machine.forward("10.9.0.2");
        CHECK(machine.sent_counts() == "0 0 0 0");
        CHECK(machine.core().worker_counters(0).consumed.read() == before + 1);
    }
}

TEST_CASE("IPO-LO-01 what control makes passes local-out, then post-routing", "[control]") {
    FilterMachine machine;
    Filter filter(machine);
    machine.receive(0, echo_request(0, "10.0.0.2", "10.0.0.1"));
    machine.settle();
    CHECK(filter.take() == Seen{"out 10.0.0.2 port0 48", "post 10.0.0.2 port0 48"});
    CHECK(machine.sent_counts() == "1 0 0 0");
    filter.keeps_at = IpHook::local_out;
    filter.verdict = IpVerdict::drop;
    machine.receive(0, echo_request(0, "10.0.0.2", "10.0.0.1"));
    machine.settle();
    CHECK(filter.take() == Seen{"out 10.0.0.2 port0 48"});
    CHECK(machine.sent_counts() == "0 0 0 0");
    CHECK(machine.drops("port0", pipeline::Drop::ip_filtered) == 1);
}

TEST_CASE("IPO-LO-01 IPO-OUT-02 a tunnel's outer packets pass both, whole", "[control]") {
    FilterMachine machine;
    const std::string kind = GENERATE(as<std::string>{}, "ipip", "gre", "vxlan", "ip6gre");
    const bool is_over_ip6 = kind == "ip6gre";
    const bool is_vxlan = kind == "vxlan";
    const std::string remote = is_over_ip6 ? "2001:db8:9::2" : "10.9.0.2";
    machine.run(
        "link add tun type " + kind + " remote " + remote + " local " +
        (is_over_ip6 ? "2001:db8:9::1" : "10.9.0.1") +
        (is_vxlan      ? " id 5 dstport 4789"
         : is_over_ip6 ? ""
                       : " nopmtudisc")
    );
    machine.run("link set tun up");
    machine.run("addr add 20.0.0.1/24 dev tun");
    if (is_vxlan) {
        machine.run("neigh replace 20.0.0.2 lladdr 02:00:00:00:00:20 dev tun");
    }
    (void)machine.sent_counts();
    const std::size_t overhead = is_over_ip6 ? 40 + 4 + 8 : is_vxlan ? 50 : kind == "gre" ? 24 : 20;
    Filter filter(machine);
    machine.forward("20.0.0.2");
    const std::string outer = fmt::format("{} port3 {}", remote, 48 + overhead);
    CHECK(filter.take() == Seen{"post 20.0.0.2 tun 48", "out " + outer, "post " + outer});
    CHECK(machine.sent_counts() == "0 0 0 1");
    filter.keeps_at = IpHook::local_out;
    filter.verdict = IpVerdict::drop;
    machine.forward("20.0.0.2");
    CHECK(machine.sent_counts() == "0 0 0 0");
    CHECK(machine.drops("port3", pipeline::Drop::ip_filtered) == 1);
    if (!is_over_ip6 && !is_vxlan) {
        filter.verdict = IpVerdict::accept;
        (void)filter.take();
        machine.run("link set port3 mtu 600");
        machine.run("link set tun mtu 1400");
        machine.know(3, "10.9.0.2");
        (void)machine.sent_counts();
        (void)filter.take();
        machine.forward("20.0.0.2", 1000);
        const std::string whole = fmt::format("10.9.0.2 port3 {}", 1028 + overhead);
        CHECK(filter.take() == Seen{"post 20.0.0.2 tun 1028", "out " + whole, "post " + whole});
        CHECK(machine.sent_counts() == "0 0 0 2");
    }
    machine.run("link del tun");
}

TEST_CASE("IPO-MC-02 what goes to groups and broadcasts is counted", "[control]") {
    using pipeline::IpCounter;
    FilterMachine machine;
    const auto counted = [&](IpCounter counter) {
        return machine.core().own_counters().read(counter) +
               machine.core().worker_counters(0).read(counter);
    };
    const std::string kind = GENERATE(as<std::string>{}, "gre", "vxlan");
    const bool is_vxlan = kind == "vxlan";
    // ip(8) gives a gre to a group the group for key.
    const std::uint64_t overhead = is_vxlan ? 50 : 28;
    SECTION("a group") {
        machine.run(
            is_vxlan ? "link add tun type vxlan id 5 dstport 4789 group 239.1.1.1 local 10.9.0.1 "
                       "dev port3"
                     : "link add tun type gre remote 239.1.1.1 local 10.9.0.1 ttl 4 dev port3"
        );
        machine.run("link set tun up");
        machine.run("addr add 20.0.0.1/24 dev tun");
        machine.run(
            "neigh replace 20.0.0.2 lladdr " +
            std::string(is_vxlan ? "02:00:00:00:00:20" : "239.1.1.1") + " dev tun"
        );
        (void)machine.sent_counts();
        const std::uint64_t packets = counted(IpCounter::out_mcast);
        const std::uint64_t octets = counted(IpCounter::out_mcast_octets);
        machine.forward("20.0.0.2");
        REQUIRE(machine.sent_counts() == "0 0 0 1");
        CHECK(counted(IpCounter::out_mcast) == packets + 1);
        CHECK(counted(IpCounter::out_mcast_octets) == octets + 48 + overhead);
        CHECK(counted(IpCounter::out_bcast) == 0);
        machine.run("link del tun");
    }
    SECTION("one station") {
        const std::uint64_t packets = counted(IpCounter::out_mcast);
        machine.forward("10.9.0.2");
        CHECK(counted(IpCounter::out_mcast) == packets);
    }
    // Neighbour discovery goes to groups.
    machine.run("addr add 2001:db8:9::77/64 dev port3");
    machine.core().set_now_ms(machine.core().now_ms() + 2000);
    machine.settle();
    CHECK(counted(IpCounter::ip6_out_mcast) > 0);
    CHECK(counted(IpCounter::ip6_out_mcast_octets) >= 48 * counted(IpCounter::ip6_out_mcast));
    CHECK(counted(IpCounter::ip6_out_octets) >= counted(IpCounter::ip6_out_mcast_octets));
}

}  // namespace culvert::control::test
