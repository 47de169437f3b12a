// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/neighbour_discovery.hpp"

#include "lib/control/core.hpp"
#include "lib/control/log.hpp"
#include "lib/net/icmp.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace culvert::control {

namespace {

using pipeline::Drop;

constexpr std::uint8_t kHopLimit = 255;        // what no router has let through (RFC 4861, 3.1)
constexpr std::uint64_t kAskDelayMs = 1000;    // MAX_RTR_SOLICITATION_DELAY: at most that late
constexpr std::uint64_t kAnswerTimeMs = 1000;  // RetransTimer
constexpr std::size_t kTargetEnd = 24;         // of solicitations and advertisements, as far as
                                               // they are alike

namespace option {
constexpr std::uint8_t kSourceMac = 1;
constexpr std::uint8_t kTargetMac = 2;
constexpr std::uint8_t kNonce = 14;
constexpr std::size_t kBytes = 8;  // each of these
}  // namespace option

namespace flag {
constexpr std::uint8_t kRouter = 0x80;
constexpr std::uint8_t kSolicited = 0x40;
constexpr std::uint8_t kOverride = 0x20;
}  // namespace flag

constexpr net::IpAddress kAllNodes =
    net::IpAddress::from_v6({0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

using MessageBytes = std::array<std::uint8_t, kTargetEnd + option::kBytes>;

MessageBytes
message_bytes(std::uint8_t type, std::uint8_t flags, const net::IpAddress& target) noexcept {
    MessageBytes bytes{};
    bytes[0] = type;
    bytes[4] = flags;
    std::copy_n(target.bytes().begin(), 16, bytes.begin() + 8);
    return bytes;
}

void put_option(
    MessageBytes& message, std::uint8_t type, const std::array<std::uint8_t, 6>& value
) noexcept {
    message[kTargetEnd] = type;
    message[kTargetEnd + 1] = 1;  // 8 bytes
    std::copy_n(value.begin(), value.size(), message.begin() + kTargetEnd + 2);
}

}  // namespace

net::IpAddress solicited_group(const net::IpAddress& address) noexcept {
    const auto& a = address.bytes();
    return net::IpAddress::from_v6(
        {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a[13], a[14], a[15]}
    );
}

// RFC 4861, 4.6: an option without length makes the message worthless.
bool NeighbourDiscovery::read_options(std::span<const std::uint8_t> options, Message& message) {
    while (!options.empty()) {
        const std::size_t len = options.size() < 2 ? 0 : std::size_t{options[1]} * 8;
        if (len == 0 || len > options.size()) {
            return false;
        }
        std::array<std::uint8_t, 6> value{};
        std::copy_n(options.begin() + 2, value.size(), value.begin());
        if (options[0] == option::kSourceMac && !message.source_mac.has_value()) {
            message.source_mac = net::MacAddress{value};
        } else if (options[0] == option::kTargetMac && !message.target_mac.has_value()) {
            message.target_mac = net::MacAddress{value};
        } else if (options[0] == option::kNonce && len == option::kBytes) {
            message.nonce = value;
        }
        options = options.subspan(len);
    }
    return true;
}

// ndisc_rcv()
void NeighbourDiscovery::handle(rte_mbuf* packet, const net::Ipv6Header& ip, std::size_t offset) {
    using namespace net::icmpv6_type;
    Message message;
    message.link = pipeline::note(packet).link_in;
    message.source = net::IpAddress::from_v6(ip.source);
    message.destination = net::IpAddress::from_v6(ip.destination);
    message.is_unicast = (*rte_pktmbuf_mtod(packet, const std::uint8_t*) & 1) == 0;
    const std::span<const std::uint8_t> bytes(
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, offset), packet->data_len - offset
    );
    const std::uint8_t type = bytes[0];
    const bool has_target = type == kNeighborSolicitation || type == kNeighborAdvertisement;
    const std::size_t options_at = has_target ? kTargetEnd : sizeof(net::Icmpv6Header);
    bool is_good = ip.hop_limit == kHopLimit && bytes[1] == 0 && packet->nb_segs == 1 &&
                   bytes.size() >= options_at;
    if (is_good && (has_target || type == kRouterSolicitation)) {
        is_good = read_options(bytes.subspan(options_at), message);
    }
    if (is_good && has_target) {
        std::array<std::uint8_t, 16> target{};
        std::copy_n(bytes.begin() + 8, target.size(), target.begin());
        message.target = net::IpAddress::from_v6(target);
        message.flags = bytes[4];
        is_good = !message.target.is_multicast() && !message.target.is_v4();
    }
    const LinkRecord* record = core_.links().find(message.link);
    if (is_good && (record == nullptr || !record->admin_up)) {
        core_.consume(packet, message.link);
        return;
    }
    if (is_good && type == kNeighborSolicitation) {
        is_good = on_solicitation(message);
    } else if (is_good && type == kNeighborAdvertisement) {
        is_good = on_advertisement(message);
    } else if (is_good && type == kRouterSolicitation) {
        is_good = on_router_solicitation(message);
    } else if (is_good) {
        // A router takes no advertisements and no redirects from others.
        core_.drop(packet, message.link, Drop::icmp_not_handled);
        return;
    }
    if (is_good) {
        core_.consume(packet, message.link);
    } else {
        core_.drop(packet, message.link, Drop::icmp_malformed);
    }
}

// ndisc_recv_ns(). False: against the rules.
bool NeighbourDiscovery::on_solicitation(const Message& message) {
    const bool is_detection = message.source == net::IpAddress{};
    if (is_detection &&
        (message.destination != solicited_group(message.target) || message.source_mac)) {
        return false;
    }
    if (message.source_mac && !message.source_mac->is_valid_station()) {
        return false;
    }
    const route::Address* own = core_.routing().find_address(message.link, message.target);
    if (own == nullptr) {
        const auto* proxy = core_.routing().neighbours().find_proxy({message.link, message.target});
        if (proxy != nullptr) {
            answer_as_proxy(message, *proxy);
        }
        return true;
    }
    if (own->tentative) {
        // Who else asks for the address is about to take it; a question of our own may come back
        // to us (RFC 7527).
        const auto at = detections_.find({message.link, message.target});
        const bool is_echo = at != detections_.end() && message.nonce == at->second.nonce;
        if (is_detection && !is_echo) {
            object(message);
        }
        return true;
    }
    if (is_detection) {
        send_advertisement(message, true, true, true);
        return true;
    }
    if (core_.routing().is_local_on(message.link, message.source)) {
        return true;
    }
    route::NeighbourTable::Heard heard;
    heard.mac = message.source_mac;
    heard.is_override = true;
    heard.create = message.source_mac.has_value() || !message.destination.is_multicast();
    core_.routing().neighbours().discovery_input(
        {message.link, message.source}, heard, core_.now_ms()
    );
    send_advertisement(message, false, true, true);
    return true;
}

// The kernel asks its sysctl proxy_ndp besides; here the entry says it all.
void NeighbourDiscovery::answer_as_proxy(
    const Message& question, const route::NeighbourTable::Proxy& proxy
) {
    const bool is_detection = question.source == net::IpAddress{};
    if (!is_detection) {
        route::NeighbourTable::Heard heard;
        heard.mac = question.source_mac;
        heard.is_override = true;
        heard.create = question.source_mac.has_value() || !question.destination.is_multicast();
        core_.routing().neighbours().discovery_input(
            {question.link, question.source}, heard, core_.now_ms()
        );
    }
    if (question.is_unicast || !question.destination.is_multicast()) {
        send_advertisement(question, is_detection, proxy.router, false);
        return;
    }
    delayed_.add(core_.now_ms(), [this, question, is_detection, is_router = proxy.router] {
        if (core_.links().find(question.link) != nullptr) {
            send_advertisement(question, is_detection, is_router, false);
        }
    });
}

// ndisc_recv_na(). False: against the rules.
bool NeighbourDiscovery::on_advertisement(const Message& message) {
    const bool is_solicited = (message.flags & flag::kSolicited) != 0;
    if ((message.destination.is_multicast() && is_solicited) ||
        (message.target_mac && !message.target_mac->is_valid_station())) {
        return false;
    }
    if (const route::Address* own = core_.routing().find_address(message.link, message.target);
        own != nullptr) {
        if (own->tentative) {
            object(message);
        }
        return true;
    }
    route::NeighbourTable::Heard heard;
    heard.mac = message.target_mac;
    heard.is_reachable = is_solicited;
    heard.is_override = (message.flags & flag::kOverride) != 0;
    heard.is_router = (message.flags & flag::kRouter) != 0;
    core_.routing().neighbours().discovery_input(
        {message.link, message.target}, heard, core_.now_ms()
    );
    return true;
}

// ndisc_recv_rs(): a router learns who asks. Advertisements are another program's.
bool NeighbourDiscovery::on_router_solicitation(const Message& message) {
    if (message.source == net::IpAddress{}) {
        return !message.source_mac.has_value();
    }
    if (!message.source_mac || !message.source_mac->is_valid_station()) {
        return true;
    }
    route::NeighbourTable::Heard heard;
    heard.mac = message.source_mac;
    heard.is_override = true;
    heard.is_router = false;
    heard.create = true;
    core_.routing().neighbours().discovery_input(
        {message.link, message.source}, heard, core_.now_ms()
    );
    return true;
}

// Somebody else has the address that is asked for, or asks for it, too.
void NeighbourDiscovery::object(const Message& message) {
    if (detections_.erase({message.link, message.target}) == 0) {
        return;
    }
    RTE_LOG(
        WARNING,
        CULVERT,
        "%s: IPv6 duplicate address %s detected\n",
        core_.links().name_of(message.link).c_str(),
        message.target.to_string().c_str()
    );
    core_.routing().end_detection(message.link, message.target, true);
}

// ndisc_send_na(): to a question that came by unicast our MAC is no news.
// Who is asked itself overrides what proxies say.
void NeighbourDiscovery::send_advertisement(
    const Message& question, bool is_detection, bool is_router, bool is_ours
) {
    const bool is_news = is_detection || question.destination.is_multicast();
    std::uint8_t flags = is_router ? flag::kRouter : std::uint8_t{0};
    flags |= is_detection ? std::uint8_t{0} : flag::kSolicited;
    flags |= is_news && is_ours ? flag::kOverride : std::uint8_t{0};
    MessageBytes bytes =
        message_bytes(net::icmpv6_type::kNeighborAdvertisement, flags, question.target);
    if (is_news) {
        put_option(bytes, option::kTargetMac, core_.links().find(question.link)->mac.bytes);
    }
    Ip6Output::Envelope envelope;
    envelope.destination = is_detection ? kAllNodes : question.source;
    // Not from an address that is elsewhere (ndisc_send_na).
    envelope.source = is_ours ? question.target
                              : core_.routing().select_source6(question.link, envelope.destination);
    if (envelope.source == net::IpAddress{}) {
        return;
    }
    envelope.hop_limit = kHopLimit;
    output_.send_message(
        question.link, envelope, std::span(bytes).first(is_news ? bytes.size() : kTargetEnd)
    );
}

void NeighbourDiscovery::send_solicitation(
    LinkId link,
    std::optional<net::MacAddress> unicast_to,
    const net::IpAddress& source,
    const net::IpAddress& target
) {
    const LinkRecord* record = core_.links().find(link);
    if (record == nullptr || source == net::IpAddress{}) {
        return;  // ndisc_send_ns() sends none without an address of the link's own
    }
    MessageBytes bytes = message_bytes(net::icmpv6_type::kNeighborSolicitation, 0, target);
    put_option(bytes, option::kSourceMac, record->mac.bytes);
    Ip6Output::Envelope envelope;
    envelope.source = source;
    envelope.destination = unicast_to ? target : solicited_group(target);
    envelope.hop_limit = kHopLimit;
    rte_mbuf* packet = output_.make(envelope, bytes);
    if (packet == nullptr) {
        return;
    }
    const auto& group = envelope.destination.bytes();
    const net::MacAddress to_group{{0x33, 0x33, group[12], group[13], group[14], group[15]}};
    const net::EtherHeader ether{
        unicast_to.value_or(to_group), record->mac, net::Be16{net::ether_type::kIpv6}};
    std::memcpy(rte_pktmbuf_prepend(packet, sizeof(ether)), &ether, sizeof(ether));
    core_.send(link, packet, false);
}

// --- duplicate address detection

void NeighbourDiscovery::address_changed(const route::Address& address, bool removed) {
    const std::pair key{address.link, address.prefix.address};
    if (removed || !address.tentative || address.dad_failed) {
        detections_.erase(key);
        return;
    }
    const auto [at, is_new] = detections_.try_emplace(key);
    if (is_new) {
        // Not all at once after a power failure.
        std::uniform_int_distribution<std::uint64_t> delay(0, kAskDelayMs - 1);
        at->second.due_ms = core_.now_ms() + delay(random_);
        walk_.want(at->second.due_ms);
        std::uniform_int_distribution<unsigned> byte(0, 255);
        for (std::uint8_t& one : at->second.nonce) {
            one = static_cast<std::uint8_t>(byte(random_));
        }
    }
}

std::uint64_t NeighbourDiscovery::tick(std::uint64_t now_ms) {
    return std::min(delayed_.tick(now_ms), detect(now_ms));
}

std::uint64_t NeighbourDiscovery::detect(std::uint64_t now_ms) {
    if (!walk_.begins(now_ms)) {
        return walk_.next_ms();
    }
    std::vector<std::pair<LinkId, net::IpAddress>> passed;
    for (auto& [key, detection] : detections_) {
        if (detection.due_ms <= now_ms) {
            // A bridge without members has no carrier in Linux. Devices' own is not asked for,
            // since not every one tells it rightly.
            const pipeline::Link* link = core_.published_links().read(key.first);
            const bool is_up = link != nullptr && link->up && link->master == kNoLink &&
                               (link->kind != pipeline::LinkKind::bridge || !link->members.empty());
            if (is_up && detection.has_asked) {
                passed.push_back(key);
                continue;
            }
            detection.due_ms = now_ms + kAnswerTimeMs;
            detection.has_asked = is_up;
            if (is_up) {
                ask(key.first, key.second, detection);
            }
        }
        walk_.want(detection.due_ms);
    }
    for (const auto& key : passed) {
        detections_.erase(key);
        core_.routing().end_detection(key.first, key.second, false);
    }
    return walk_.next_ms();
}

void NeighbourDiscovery::ask(LinkId link, const net::IpAddress& address, Detection& detection) {
    MessageBytes bytes = message_bytes(net::icmpv6_type::kNeighborSolicitation, 0, address);
    put_option(bytes, option::kNonce, detection.nonce);
    Ip6Output::Envelope envelope;
    envelope.destination = solicited_group(address);
    envelope.hop_limit = kHopLimit;
    output_.send_message(link, envelope, bytes);
}

}  // namespace culvert::control
