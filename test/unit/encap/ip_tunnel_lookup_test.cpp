// SPDX-License-Identifier: BSD-3-Clause
#include "lib/encap/ip_tunnel_lookup.hpp"
#include "lib/rcu/domain.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <list>
#include <random>

namespace culvert::encap::test {

namespace {

constexpr LinkId kIn = 5;

net::IpAddress address(std::uint32_t number) {
    return number == 0 ? net::IpAddress{} : net::IpAddress::from_v4(number);
}

IpTunnelConfig config_of(
    std::uint32_t local,
    std::uint32_t remote,
    LinkId lower = kNoLink,
    std::optional<std::uint32_t> key = std::nullopt,
    IpTunnelKind kind = IpTunnelKind::gre
) {
    IpTunnelConfig config;
    config.kind = kind;
    config.local = address(local);
    config.remote = address(remote);
    config.lower = lower;
    config.in_key = key;
    return config;
}

// What a packet remote -> local says.
IpTunnelKey packet(
    std::uint32_t local,
    std::uint32_t remote,
    std::optional<std::uint32_t> key = std::nullopt,
    IpTunnelKind kind = IpTunnelKind::gre
) {
    return IpTunnelKey::make(
        kind, net::Be32{local}.raw(), net::Be32{remote}.raw(), key.has_value(), key.value_or(0)
    );
}

struct Lookup {
    rcu::Domain domain{1};
    IpTunnelLookup table{domain};

    ~Lookup() { domain.synchronize(); }

    void add(LinkId id, const IpTunnelConfig& config, bool up = true, bool is_fallback = false) {
        REQUIRE(table.set(id, config, up, is_fallback));
    }
};

// ip_tunnel_lookup(), as the catalogue tells it: every pass looks at every device, newest first.
class Reference {
public:
    void set(LinkId id, const IpTunnelConfig& config, bool up, bool is_fallback) {
        erase(id);
        devices_.push_front({id, config, up, is_fallback});
    }

    void set_up(LinkId id, bool up) {
        for (Device& device : devices_) {
            device.up = device.id == id ? up : device.up;
        }
    }

    void erase(LinkId id) {
        devices_.remove_if([id](const Device& device) { return device.id == id; });
    }

    [[nodiscard]] LinkId find(
        std::uint32_t local, std::uint32_t remote, std::optional<std::uint32_t> key, LinkId in
    ) const {
        LinkId candidate = kNoLink;
        for (int pass = 1; pass <= 4; ++pass) {
            for (const Device& device : devices_) {
                if (!device.up || !matches(device.config, local, remote, key, pass)) {
                    continue;
                }
                if (device.config.lower == in) {
                    return device.id;
                }
                if (pass == 1 || candidate == kNoLink) {
                    candidate = device.id;
                }
            }
        }
        for (const Device& device : devices_) {
            if (candidate == kNoLink && device.is_fallback && device.up) {
                return device.id;
            }
        }
        return candidate;
    }

private:
    struct Device {
        LinkId id;
        IpTunnelConfig config;
        bool up;
        bool is_fallback;
    };

    static bool matches(
        const IpTunnelConfig& config,
        std::uint32_t local,
        std::uint32_t remote,
        std::optional<std::uint32_t> key,
        int pass
    ) {
        const bool any_local = config.local.is_unspecified();
        const bool any_remote = config.remote.is_unspecified();
        if (pass == 4) {
            return any_local && any_remote && config.in_key.value_or(0) == key.value_or(0);
        }
        return config.in_key == key && any_local == (pass == 2) && any_remote == (pass == 3) &&
               (any_local || config.local == address(local)) &&
               (any_remote || config.remote == address(remote));
    }

    std::list<Device> devices_;
};

}  // namespace

TEST_CASE("GOLD-14 TUN-LKP-04 TUN-LKP-08 which device a packet belongs to", "[encap]") {
    constexpr LinkId kA = 11;
    constexpr LinkId kB = 12;
    constexpr LinkId kC = 13;
    constexpr LinkId kF = 14;
    Lookup lookup;
    lookup.add(kF, config_of(0, 0), true, true);
    CHECK(lookup.table.find(packet(1, 2), kIn) == kF);
    lookup.add(kA, config_of(1, 2));
    CHECK(lookup.table.find(packet(1, 2), kIn) == kA);
    lookup.add(kC, config_of(1, 0, kIn));
    CHECK(lookup.table.find(packet(1, 2), kIn) == kC);
    lookup.add(kB, config_of(0, 2, kIn));
    CHECK(lookup.table.find(packet(1, 2), kIn) == kB);
    CHECK(lookup.table.find(packet(1, 2), kIn + 1) == kA);
    lookup.table.erase(kB);
    lookup.table.erase(kC);
    lookup.add(kA, config_of(1, 2, 7));
    CHECK(lookup.table.find(packet(1, 2), kIn) == kA);
}

TEST_CASE(
    "TUN-LKP-03 of equal devices the oldest counts, but the one of the link first", "[encap]"
) {
    Lookup lookup;
    lookup.add(11, config_of(1, 2, 7));
    lookup.add(12, config_of(1, 2, 8));
    lookup.add(13, config_of(1, 2, 9));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 11);
    CHECK(lookup.table.find(packet(1, 2), 8) == 12);
    CHECK(lookup.table.find(packet(1, 2), 9) == 13);
    lookup.add(11, config_of(1, 2, 7));  // changed: it is the newest now
    CHECK(lookup.table.find(packet(1, 2), kIn) == 12);
    lookup.table.erase(12);
    CHECK(lookup.table.find(packet(1, 2), kIn) == 13);
}

TEST_CASE("TUN-LKP-02 GRE-RX-10 GRE-CRE-14 devices with and without a key", "[encap]") {
    Lookup lookup;
    lookup.add(11, config_of(1, 2));
    lookup.add(12, config_of(1, 2, kNoLink, 0));
    lookup.add(13, config_of(1, 2, kNoLink, 7));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 11);
    CHECK(lookup.table.find(packet(1, 2, 0), kIn) == 12);
    CHECK(lookup.table.find(packet(1, 2, 7), kIn) == 13);
    CHECK(lookup.table.find(packet(1, 2, 8), kIn) == kNoLink);
}

TEST_CASE(
    "TUN-LKP-06 TUN-LKP-07 without addresses the key's value counts, then the fallback", "[encap]"
) {
    Lookup lookup;
    lookup.add(11, config_of(0, 0), true, true);
    lookup.add(12, config_of(0, 0, kNoLink, 7));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 11);
    CHECK(lookup.table.find(packet(1, 2, 0), kIn) == 11);
    CHECK(lookup.table.find(packet(1, 2, 7), kIn) == 12);
    CHECK(lookup.table.find(packet(1, 2, 8), kIn) == 11);
    REQUIRE(lookup.table.set_up(11, false));
    CHECK(lookup.table.find(packet(1, 2, 8), kIn) == kNoLink);
}

TEST_CASE("IPIP-REG-05 TUN-LKP-01 each kind has devices of its own", "[encap]") {
    Lookup lookup;
    lookup.add(11, config_of(1, 2));
    lookup.add(12, config_of(1, 2, kNoLink, std::nullopt, IpTunnelKind::ipip));
    lookup.add(13, config_of(0, 0, kIn, std::nullopt, IpTunnelKind::gretap));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 11);
    CHECK(lookup.table.find(packet(1, 2, std::nullopt, IpTunnelKind::ipip), kIn) == 12);
    CHECK(lookup.table.find(packet(1, 2, std::nullopt, IpTunnelKind::gretap), kIn) == 13);
}

TEST_CASE("TUN-LKP-09 a device that is down is as if it were not there", "[encap]") {
    Lookup lookup;
    lookup.add(11, config_of(1, 2), false);
    lookup.add(12, config_of(0, 2));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 12);
    REQUIRE(lookup.table.set_up(11, true));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 11);
    REQUIRE(lookup.table.set_up(11, false));
    CHECK(lookup.table.find(packet(1, 2), kIn) == 12);
}

TEST_CASE("IPIP-CRE-05 GRE-CRE-14 what makes a device a duplicate", "[encap]") {
    Lookup lookup;
    lookup.add(11, config_of(1, 2, kNoLink, 7), false);
    lookup.add(12, config_of(0, 0, kNoLink, 7), false);
    IpTunnelConfig same = config_of(1, 2, kNoLink, 7);
    same.out_key = 8;
    same.ttl = 3;
    same.tos = 4;
    CHECK(lookup.table.find_same(same) == 11);
    CHECK(lookup.table.find_same(config_of(1, 2)) == kNoLink);
    CHECK(lookup.table.find_same(config_of(1, 2, kNoLink, 8)) == kNoLink);
    CHECK(lookup.table.find_same(config_of(1, 2, kIn, 7)) == kNoLink);
    CHECK(lookup.table.find_same(config_of(0, 2, kNoLink, 7)) == kNoLink);
    CHECK(lookup.table.find_same(config_of(0, 0, kNoLink, 7)) == 12);
    CHECK(lookup.table.find_same(config_of(0, 0)) == kNoLink);
}

TEST_CASE(
    "TUN-LKP-03 TUN-LKP-04 TUN-LKP-06 TUN-LKP-07 as the passes say, whatever is there", "[encap]"
) {
    std::mt19937 random(GENERATE(1U, 2U, 3U, 4U));
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    const auto any_key = [&] {
        const std::uint32_t key = below(4);
        return key == 3 ? std::nullopt : std::optional(key);
    };
    Lookup lookup;
    Reference reference;
    for (int step = 0; step < 1500; ++step) {
        const auto id = static_cast<LinkId>(100 + below(14));
        const std::uint32_t what = below(8);
        if (what == 0) {
            lookup.table.erase(id);
            reference.erase(id);
        } else {
            const auto lower = static_cast<LinkId>(below(3) == 0 ? kIn + below(2) : 0);
            const bool is_fallback = id == 100;
            const IpTunnelConfig config =
                is_fallback ? config_of(0, 0) : config_of(below(3), below(3), lower, any_key());
            const bool up = below(4) != 0;
            REQUIRE(lookup.table.set(id, config, up, is_fallback));
            reference.set(id, config, up, is_fallback);
            if (what == 1) {
                REQUIRE(lookup.table.set_up(id, !up));
                reference.set_up(id, !up);
            }
        }
        lookup.domain.reclaim();
        for (int asked = 0; asked < 40; ++asked) {
            const std::uint32_t local = 1 + below(3);
            const std::uint32_t remote = 1 + below(3);
            const auto key = any_key();
            const auto in = static_cast<LinkId>(kIn + below(3));
            REQUIRE(
                lookup.table.find(packet(local, remote, key), in) ==
                reference.find(local, remote, key, in)
            );
        }
    }
}

}  // namespace culvert::encap::test
