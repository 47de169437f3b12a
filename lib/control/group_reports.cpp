// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/group_reports.hpp"

#include "lib/control/core.hpp"
#include "lib/control/ip_output.hpp"
#include "lib/control/slow_path.hpp"
#include "lib/net/checksum.hpp"
#include "lib/net/igmp.hpp"
#include "lib/net/ip_protocol.hpp"
#include "lib/net/ipv4.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace culvert::control {

namespace {

constexpr unsigned kRobustness = 2;                     // how often a change is reported
constexpr std::uint64_t kUnsolicitedIntervalMs = 1000;  // RFC 3376, 8.11
constexpr std::uint64_t kOlderQuerierMs = 260'000;      // RFC 3376, 8.12
constexpr std::uint64_t kVersion1AnswerMs = 10'000;     // RFC 2236, 4
constexpr std::size_t kVersion3QueryLen = 12;
constexpr std::uint32_t kAllHosts = 0xe0000001;    // 224.0.0.1
constexpr std::uint32_t kAllRouters = 0xe0000002;  // 224.0.0.2
constexpr std::uint32_t kReporters3 = 0xe0000016;  // 224.0.0.22
constexpr std::uint8_t kInternetControl = 0xc0;
constexpr std::array<std::uint8_t, 4> kRouterAlert{0x94, 4, 0, 0};

// Tenths of a second, above 127 a float (RFC 3376, 4.1.1), as milliseconds.
std::uint64_t delay_of(std::uint8_t code) noexcept {
    const std::uint64_t tenths =
        code < 0x80 ? code : std::uint64_t{(code & 0xfU) | 0x10U} << (((code >> 4) & 7) + 3);
    return tenths * 100;
}

constexpr net::IpAddress kAllHostsGroup = net::IpAddress::from_v4(kAllHosts);

}  // namespace

std::uint64_t GroupReports::random_below(std::uint64_t ms) {
    return std::uniform_int_distribution<std::uint64_t>(0, ms)(random_);
}

std::uint8_t GroupReports::version_on(LinkId link) const {
    const auto known = queriers_.find(link);
    const bool counts = known != queriers_.end() && core_.now_ms() < known->second.until_ms;
    return counts ? known->second.version : std::uint8_t{3};
}

// igmp_group_added()
Result<void> GroupReports::join(LinkId link, const net::IpAddress& group) {
    if (!group.is_v4()) {
        return join6(link, group);
    }
    const auto known = memberships_.find({link, group});
    if (known != memberships_.end() && known->second.users != 0) {
        ++known->second.users;
        return {};
    }
    CULVERT_CHECK(core_.routing().join(link, group));
    if (auto heard = core_.routing().join(link, kAllHostsGroup); !heard) {
        core_.routing().leave(link, group);
        return heard;
    }
    Membership& membership = memberships_[{link, group}];
    membership = {.users = 1};
    plan_reports(membership);
    return {};
}

// Of a change, from now on.
void GroupReports::plan_reports(Membership& membership) {
    membership.reports_left = kRobustness;
    membership.report_due_ms = core_.now_ms();
    walk_.want(membership.report_due_ms);
}

Result<void> GroupReports::join6(LinkId link, const net::IpAddress& group) {
    CULVERT_CHECK(core_.routing().join(link, group));
    core_.slow_path().listener().join(link, group);
    return {};
}

// igmp_group_dropped(): VXLAN-MC-03, the last one says so.
void GroupReports::leave(LinkId link, const net::IpAddress& group) {
    if (!group.is_v4()) {
        core_.routing().leave(link, group);
        core_.slow_path().listener().leave(link, group);
        return;
    }
    const auto known = memberships_.find({link, group});
    if (known == memberships_.end() || known->second.users == 0 || --known->second.users != 0) {
        return;
    }
    core_.routing().leave(link, group);
    core_.routing().leave(link, kAllHostsGroup);
    known->second = {};
    plan_reports(known->second);
}

void GroupReports::link_gone(LinkId link) {
    for (auto at = memberships_.begin(); at != memberships_.end();) {
        if (at->first.first != link) {
            ++at;
            continue;
        }
        if (at->second.users != 0) {
            core_.routing().leave(link, at->first.second);
            core_.routing().leave(link, kAllHostsGroup);
        }
        at = memberships_.erase(at);
    }
    queriers_.erase(link);
    core_.slow_path().listener().link_gone(link);
}

void GroupReports::link_up(LinkId link) {
    for (auto& [key, membership] : memberships_) {
        if (key.first == link && membership.users != 0) {
            plan_reports(membership);
        }
    }
}

// igmp_heard_query()
void GroupReports::handle(rte_mbuf* packet) {
    const pipeline::Note& note = pipeline::note(packet);
    const auto& ip = *rte_pktmbuf_mtod_offset(packet, const net::Ipv4Header*, note.l3_offset);
    const std::size_t offset = note.l3_offset + ip.header_len_bytes();
    if (packet->data_len < offset + sizeof(net::IgmpHeader) || packet->nb_segs != 1) {
        return;
    }
    const std::size_t len = packet->data_len - offset;
    const auto* bytes = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset);
    net::IgmpHeader igmp{};
    std::memcpy(&igmp, bytes, sizeof(igmp));
    if (igmp.type != net::igmp::kQuery || !net::sum_is_valid(net::sum_bytes(bytes, len))) {
        return;
    }
    const bool is_older = len < kVersion3QueryLen;
    if (is_older) {
        const std::uint8_t version = igmp.code == 0 ? 1 : 2;
        queriers_[note.link_in] = {version, core_.now_ms() + kOlderQuerierMs};
    }
    const std::uint64_t longest = !is_older        ? delay_of(igmp.code)
                                  : igmp.code == 0 ? kVersion1AnswerMs
                                                   : std::uint64_t{igmp.code} * 100;
    const std::uint32_t asked = igmp.group.host();
    for (auto& [key, membership] : memberships_) {
        if (key.first == note.link_in && membership.users != 0 &&
            (asked == 0 || key.second.v4() == asked)) {
            const std::uint64_t due = core_.now_ms() + random_below(longest);
            membership.answer_due_ms = std::min(membership.answer_due_ms, due);
            walk_.want(due);
        }
    }
}

void GroupReports::report(const Key& key, const Membership& membership, bool is_change) {
    const auto& [link, group] = key;
    const bool is_member = membership.users != 0;
    const pipeline::Link* published = core_.published_links().read(link);
    if (published == nullptr || !published->up) {
        return;
    }
    switch (version_on(link)) {
    case 1:
        if (is_member) {
            send_older(link, net::igmp::kReport1, group);
        }
        break;
    case 2:
        send_older(link, is_member ? net::igmp::kReport2 : net::igmp::kLeave2, group);
        break;
    default:
        if (!is_change) {
            send_record(link, net::group_record::kIsExclude, group);
        } else {
            using namespace net::group_record;
            send_record(link, is_member ? kToExclude : kToInclude, group);
        }
    }
}

std::uint64_t GroupReports::tick(std::uint64_t now_ms) {
    if (!walk_.begins(now_ms)) {
        return walk_.next_ms();
    }
    for (auto at = memberships_.begin(); at != memberships_.end();) {
        Membership& membership = at->second;
        if (membership.report_due_ms <= now_ms) {
            report(at->first, membership, true);
            --membership.reports_left;
            membership.report_due_ms = membership.reports_left == 0
                                           ? UINT64_MAX
                                           : now_ms + 1 + random_below(kUnsolicitedIntervalMs);
        }
        if (membership.answer_due_ms <= now_ms) {
            report(at->first, membership, false);
            membership.answer_due_ms = UINT64_MAX;
        }
        if (membership.users == 0 && membership.reports_left == 0) {
            at = memberships_.erase(at);
            continue;
        }
        walk_.want(std::min(membership.report_due_ms, membership.answer_due_ms));
        ++at;
    }
    return walk_.next_ms();
}

void GroupReports::send_record(LinkId link, std::uint8_t type, const net::IpAddress& group) {
    struct {
        net::IgmpHeader header;
        net::IgmpRecord record;
    } report{{net::igmp::kReport3, 0, {}, net::Be32{1}}, {type, 0, {}, net::Be32{group.v4()}}};

    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&report);
    report.header.checksum = net::checksum_from_sum(net::sum_bytes(bytes, sizeof(report)));
    send(link, kReporters3, {bytes, sizeof(report)});
}

void GroupReports::send_older(LinkId link, std::uint8_t type, const net::IpAddress& group) {
    net::IgmpHeader message{type, 0, {}, net::Be32{group.v4()}};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&message);
    message.checksum = net::checksum_from_sum(net::sum_bytes(bytes, sizeof(message)));
    send(link, type == net::igmp::kLeave2 ? kAllRouters : group.v4(), {bytes, sizeof(message)});
}

// igmpv3_newpack(): one hop, and routers are to look at it.
void GroupReports::send(
    LinkId link, std::uint32_t destination, std::span<const std::uint8_t> message
) {
    const auto group = net::IpAddress::from_v4(destination);
    route::Path path = core_.routing().lookup(group, link, {});
    rte_mbuf* packet = rte_pktmbuf_alloc(core_.pool());
    if (packet == nullptr) {
        return;
    }
    constexpr std::size_t kHeaderLen = sizeof(net::Ipv4Header) + kRouterAlert.size();
    const std::size_t len = kHeaderLen + message.size();
    auto* bytes =
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet, static_cast<std::uint16_t>(len))
        );
    net::Ipv4Header ip{};
    ip.version_and_ihl = net::kIpv4VersionIhl + 1;
    ip.type_of_service = kInternetControl;
    ip.total_length = net::Be16{static_cast<std::uint16_t>(len)};
    ip.identification = net::Be16{identification_++};
    ip.flags_and_offset = net::Be16{net::kIpv4DontFragment};
    ip.time_to_live = 1;
    ip.protocol = net::ip_protocol::kIgmp;
    ip.source = net::Be32{path.source.is_v4() ? path.source.v4() : 0};
    ip.destination = net::Be32{destination};
    std::memcpy(bytes, &ip, sizeof(ip));
    std::memcpy(bytes + sizeof(ip), kRouterAlert.data(), kRouterAlert.size());
    std::memcpy(bytes + kHeaderLen, message.data(), message.size());
    const net::Be16 checksum = net::checksum_from_sum(net::sum_bytes(bytes, kHeaderLen));
    std::memcpy(bytes + offsetof(net::Ipv4Header, checksum), &checksum, sizeof(checksum));
    pipeline::note(packet) = pipeline::Note::arrived(link);
    core_.own_counters().originated.add(1);
    path.link = link;
    path.next_hop = group;
    send_by(core_, packet, path);
}

}  // namespace culvert::control
