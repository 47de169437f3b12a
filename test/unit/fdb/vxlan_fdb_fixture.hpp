// SPDX-License-Identifier: BSD-3-Clause
// A vxlan FDB with a table of its own, and what it told its observers.
#pragma once

#include "lib/fdb/vxlan_fdb.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace culvert::fdb::test {

using culvert::net::Family;
using culvert::net::IpAddress;
using culvert::net::MacAddress;
using Learned = culvert::fdb::Table::Learned;

constexpr LinkId kVxlan = 3;
constexpr LinkId kBridge = 4;
constexpr LinkId kLower = 2;
constexpr MacAddress kZeroMac{};
constexpr MacAddress kGroupMac = MacAddress::from_value(0x0100'5e00'0001U);
constexpr VxlanFdbDefaults kDevice{kVxlan, 42, 4789, Family::ipv4};
constexpr VxlanFdbDefaults kDevice6{kVxlan, 42, 4789, Family::ipv6};

inline MacAddress mac(std::uint64_t number) {
    return MacAddress::from_value(0x0200'0000'0000U + number);
}

inline IpAddress ip(const std::string& text) {
    return IpAddress::parse(text).value();
}

inline Remote remote(const std::string& text, LinkId via = kNoLink) {
    return {ip(text), 42, 4789, via};
}

struct Fixture {
    Fixture() {
        table.add_domain(kVxlan, {300, 0});
        table.add_domain(kBridge, {300, 0});
        table.on_change([this](const Change& change) { changes.push_back(change); });
        lists.on_change([this](RemoteLists::Id id, const RemoteLists::List* list) {
            observed.emplace_back(id, list != nullptr);
        });
    }

    VxlanFdbRequest
    request(FdbVerb verb, const MacAddress& address, const std::string& destination) const {
        VxlanFdbRequest made;
        made.verb = verb;
        made.mac = address;
        if (!destination.empty()) {
            made.destination = ip(destination);
        }
        return made;
    }

    // The errno the command ended with, {} = done.
    std::errc modify(const VxlanFdbRequest& command, std::uint32_t now_s = 100) {
        const auto done = fdb.modify(kDevice, command, now_s);
        return done ? std::errc{} : done.error().code;
    }

    std::errc modify(FdbVerb verb, const MacAddress& address, const std::string& destination) {
        return modify(request(verb, address, destination));
    }

    std::errc del(const MacAddress& address, const std::string& destination, LinkId via = kNoLink) {
        VxlanFdbRequest command = request(FdbVerb::add, address, destination);
        if (via != kNoLink) {
            command.via = via;
        }
        const auto done = fdb.del(kDevice, command);
        return done ? std::errc{} : done.error().code;
    }

    std::vector<Remote> remotes(const MacAddress& address) {
        const auto entry = table.get(kVxlan, address);
        if (!entry.has_value()) {
            return {};
        }
        const RemoteLists::List* list = lists.find(entry->value.target());
        return list == nullptr ? std::vector<Remote>{} : list->remotes;
    }

    // Every entry holds one reference, and no list lives without.
    void check_references() {
        std::vector<std::size_t> expected(1000, 0);
        table.for_each(kVxlan, [&](const Table::Entry& entry) {
            ++expected.at(entry.value.target());
        });
        std::size_t held = 0;
        lists.for_each([&](RemoteLists::Id id, const RemoteLists::List& list) {
            CHECK(list.references == expected.at(id));
            held += list.references;
        });
        CHECK(held == table.domain_size(kVxlan));
    }

    culvert::rcu::Domain domain{1};
    Table table{domain, 100'000};
    RemoteLists lists;
    VxlanFdb fdb{table, lists};
    std::vector<Change> changes;
    std::vector<std::pair<RemoteLists::Id, bool>> observed;
};

}  // namespace culvert::fdb::test
