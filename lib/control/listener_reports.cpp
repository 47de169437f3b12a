// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/listener_reports.hpp"

#include "lib/control/core.hpp"
#include "lib/control/neighbour_discovery.hpp"
#include "lib/net/icmp.hpp"
#include "lib/net/igmp.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::control {

namespace {

constexpr unsigned kRobustness = 2;                     // how often a change is reported
constexpr std::uint64_t kUnsolicitedIntervalMs = 1000;  // RFC 3810, 9.11: at most, in between
constexpr std::uint64_t kSoonMs = 20;                   // mld_ifc_event(): two ticks
constexpr std::uint64_t kOlderQuerierMs = 260'000;      // RFC 3810, 9.12
constexpr std::size_t kVersion1Len = 24;                // of a query; version 2 has 28 and more
constexpr std::size_t kRecordLen = 20;
constexpr std::size_t kRecordsAMessage = 60;  // 1200 bytes: what every link takes

constexpr net::IpAddress kAllRouters =
    net::IpAddress::from_v6({0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
constexpr net::IpAddress kAllReporters =
    net::IpAddress::from_v6({0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16});

// A code in milliseconds, above 32767 a float (RFC 3810, 5.1.3).
std::uint64_t delay_of(std::uint16_t code) noexcept {
    if (code < 0x8000) {
        return code;
    }
    return std::uint64_t{(code & 0xfffU) | 0x1000U} << (((code >> 12) & 7) + 3);
}

}  // namespace

std::uint64_t ListenerReports::random_below(std::uint64_t ms) {
    return std::uniform_int_distribution<std::uint64_t>(0, ms)(random_);
}

// Looked at in tick(), when all that changes with it has: an address that is replaced leaves no
// group.
void ListenerReports::address_changed(const route::Address& address, bool removed) {
    Link& link = links_[address.link];
    if (removed) {
        link.addresses.erase(address.prefix.address);
    } else {
        link.addresses.insert(address.prefix.address);
    }
    look_again(link);
}

void ListenerReports::join(LinkId link, const net::IpAddress& group) {
    Link& state = links_[link];
    ++state.joined[group];
    look_again(state);
}

void ListenerReports::leave(LinkId link, const net::IpAddress& group) {
    const auto state = links_.find(link);
    if (state == links_.end()) {
        return;
    }
    auto& joined = state->second.joined;
    const auto known = joined.find(group);
    if (known != joined.end() && --known->second == 0) {
        joined.erase(known);
        look_again(state->second);
    }
}

void ListenerReports::link_gone(LinkId link) {
    const auto state = links_.find(link);
    if (state != links_.end()) {
        state->second.joined.clear();
    }
}

void ListenerReports::look_again(Link& link) {
    if (link.changes_due_ms == 0) {
        link.changes_due_ms = core_.now_ms() + kSoonMs;
    }
    walk_.want(link.changes_due_ms);
}

void ListenerReports::plan_change(Link& link, const net::IpAddress& group, bool is_member) {
    link.changes[group] = {is_member, kRobustness};
    if (is_member) {
        link.groups.insert(group);
    } else {
        link.groups.erase(group);
        link.answers.erase(group);
    }
}

// igmp6_event_query()
bool ListenerReports::handle(
    const rte_mbuf* packet, const net::Ipv6Header& ip, std::size_t offset
) {
    const LinkId id = pipeline::note(const_cast<rte_mbuf*>(packet)).link_in;
    const auto source = net::IpAddress::from_v6(ip.source);
    const std::size_t len = packet->pkt_len - offset;
    const bool has_options = ip.next_header == net::ip_protocol::kHopByHop;
    if (len < kVersion1Len || packet->data_len < offset + kVersion1Len || ip.hop_limit != 1 ||
        !source.is_link_local_v6() || !has_options) {
        return false;
    }
    const auto* query = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset);
    const auto code = static_cast<std::uint16_t>(query[4] << 8 | query[5]);
    std::array<std::uint8_t, 16> bytes{};
    std::copy_n(query + 8, bytes.size(), bytes.begin());
    const auto group = net::IpAddress::from_v6(bytes);
    const bool is_general = group == net::IpAddress{};
    if (!is_general && !group.is_multicast()) {
        return false;
    }
    const auto found = links_.find(id);
    if (found == links_.end()) {
        return true;  // it listens to nothing
    }
    Link& link = found->second;
    const std::uint64_t now_ms = core_.now_ms();
    const bool is_version1 = len == kVersion1Len;
    if (is_version1) {
        link.version1_until_ms = now_ms + kOlderQuerierMs;
    }
    if (is_general) {
        link.answers = link.groups;
    } else if (link.groups.contains(group)) {
        link.answers.insert(group);
    }
    if (link.answers.empty()) {
        return true;
    }
    const std::uint64_t at =
        now_ms + random_below(std::max<std::uint64_t>(is_version1 ? code : delay_of(code), 1));
    link.answer_due_ms = link.answer_due_ms == 0 ? at : std::min(link.answer_due_ms, at);
    walk_.want(link.answer_due_ms);
    return true;
}

void ListenerReports::send(
    LinkId id, const net::IpAddress& destination, std::span<const std::uint8_t> message
) {
    // RFC 3590: without a link-local address of its own it says "::".
    const net::IpAddress source = core_.routing().select_source6(id, kAllReporters);
    Ip6Output::Envelope envelope;
    envelope.source = source.is_link_local_v6() ? source : net::IpAddress{};
    envelope.destination = destination;
    envelope.hop_limit = 1;
    envelope.router_alert = true;
    output_.send_message(id, envelope, message);
}

void ListenerReports::send_version1(LinkId id, const net::IpAddress& group, bool is_member) {
    std::array<std::uint8_t, kVersion1Len> message{
        is_member ? net::icmpv6_type::kListenerReport : net::icmpv6_type::kListenerDone};
    std::copy(group.bytes().begin(), group.bytes().end(), message.begin() + 8);
    send(id, is_member ? group : kAllRouters, message);
}

void ListenerReports::send_records(LinkId id, std::span<const Record> records) {
    while (!records.empty()) {
        const auto some = records.first(std::min(records.size(), kRecordsAMessage));
        records = records.subspan(some.size());
        std::vector<std::uint8_t> message{
            net::icmpv6_type::kListenerReport2,
            0,
            0,
            0,
            0,
            0,
            0,
            static_cast<std::uint8_t>(some.size())};
        for (const Record& record : some) {
            message.insert(message.end(), {record.type, 0, 0, 0});
            const auto& group = record.group.bytes();
            message.insert(message.end(), group.begin(), group.end());
        }
        send(id, kAllReporters, message);
    }
}

void ListenerReports::report_changes(LinkId id, Link& link, std::uint64_t now_ms) {
    link.changes_due_ms = 0;
    const pipeline::Link* published = core_.published_links().read(id);
    // Linux has NOARP where a next hop has no MAC, and on dummies: such devices join nothing
    // (addrconf_join_solict).
    const bool joins = published != nullptr && published->up && published->master == kNoLink &&
                       pipeline::has_link_layer(published->kind) &&
                       published->kind != pipeline::LinkKind::dummy;
    if (!joins) {
        // What it listened to is forgotten with it; up again, it reports all anew.
        std::set<net::IpAddress> addresses = std::move(link.addresses);
        std::map<net::IpAddress, unsigned> joined = std::move(link.joined);
        link = {};
        link.addresses = std::move(addresses);
        link.joined = std::move(joined);
        return;
    }
    std::set<net::IpAddress> wanted;
    for (const net::IpAddress& address : link.addresses) {
        wanted.insert(solicited_group(address));
        wanted.insert(kAllRouters);
    }
    for (const auto& [group, users] : link.joined) {
        wanted.insert(group);
    }
    const std::set<net::IpAddress> before = link.groups;
    for (const net::IpAddress& group : wanted) {
        if (!before.contains(group)) {
            plan_change(link, group, true);
        }
    }
    for (const net::IpAddress& group : before) {
        if (!wanted.contains(group)) {
            plan_change(link, group, false);
        }
    }
    const bool is_version1 = now_ms < link.version1_until_ms;
    std::vector<Record> records;
    for (auto at = link.changes.begin(); at != link.changes.end();) {
        const net::IpAddress group = at->first;
        Change& change = at->second;
        if (is_version1) {
            send_version1(id, group, change.is_member);
        } else {
            records.push_back(
                {change.is_member ? net::group_record::kToExclude : net::group_record::kToInclude,
                 group}
            );
        }
        at = --change.left == 0 ? link.changes.erase(at) : std::next(at);
    }
    send_records(id, records);
    if (!link.changes.empty()) {
        link.changes_due_ms = now_ms + 1 + random_below(kUnsolicitedIntervalMs - 1);
    }
}

void ListenerReports::answer(LinkId id, Link& link, std::uint64_t now_ms) {
    link.answer_due_ms = 0;
    const std::set<net::IpAddress> asked = std::exchange(link.answers, {});
    if (now_ms < link.version1_until_ms) {
        for (const net::IpAddress& group : asked) {
            send_version1(id, group, true);
        }
        return;
    }
    std::vector<Record> records;
    records.reserve(asked.size());
    for (const net::IpAddress& group : asked) {
        records.push_back({net::group_record::kIsExclude, group});
    }
    send_records(id, records);
}

std::uint64_t ListenerReports::tick(std::uint64_t now_ms) {
    if (!walk_.begins(now_ms)) {
        return walk_.next_ms();
    }
    for (auto& [id, link] : links_) {
        if (link.changes_due_ms != 0 && link.changes_due_ms <= now_ms) {
            report_changes(id, link, now_ms);
        }
        if (link.answer_due_ms != 0 && link.answer_due_ms <= now_ms) {
            answer(id, link, now_ms);
        }
        for (const std::uint64_t due : {link.changes_due_ms, link.answer_due_ms}) {
            walk_.want(due == 0 ? UINT64_MAX : due);
        }
    }
    return walk_.next_ms();
}

}  // namespace culvert::control
