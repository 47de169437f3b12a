// SPDX-License-Identifier: BSD-3-Clause
// The slow path's ARP: what is heard, and what is said.
#include "lib/control/core.hpp"
#include "lib/control/host_taps.hpp"
#include "lib/control/slow_path.hpp"
#include "lib/net/arp.hpp"
#include "lib/net/header.hpp"

#include <rte_mbuf.h>

#include <cstring>

namespace culvert::control {

namespace {

using pipeline::Drop;

constexpr std::uint16_t kEtherLen = sizeof(net::EtherHeader);
constexpr std::uint16_t kArpFrameLen = kEtherLen + sizeof(net::ArpHeader);

template <typename Header>
const Header* header_in(const rte_mbuf* packet, std::size_t offset) {
    return net::header_at<Header>(
        rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len, offset
    );
}

}  // namespace

// NEI-10, NEI-11; the order of checks is the kernel's (arp_rcv, arp_process).
void SlowPath::handle_arp(rte_mbuf* packet) {
    const LinkId link = pipeline::note(packet).link_in;
    const auto* ether = header_in<net::EtherHeader>(packet, 0);
    const auto* arp = header_in<net::ArpHeader>(packet, kEtherLen);
    if (arp == nullptr || !arp->is_ethernet_ipv4() || !arp->sender_mac.is_valid_station() ||
        (arp->operation.host() != net::arp::kRequest && arp->operation.host() != net::arp::kReply
        )) {
        core_.drop(packet, link, Drop::arp_malformed);
        return;
    }
    const LinkRecord* record = core_.links().find(link);
    const auto sender = net::IpAddress::from_v4(arp->sender_ip.host());
    const auto target = net::IpAddress::from_v4(arp->target_ip.host());
    const bool is_request = arp->operation.host() == net::arp::kRequest;
    const bool usable =
        record != nullptr && record->admin_up && !target.is_multicast() && !target.is_loopback();
    const bool martian = sender.is_multicast() || sender.is_loopback() ||
                         sender.v4() == net::kIpv4LimitedBroadcast ||
                         core_.routing().is_local(sender, link);
    if (!usable || martian) {
        core_.consume(packet, link);
        return;
    }
    const bool to_us = core_.routing().is_local(target, link);
    const bool is_probe = sender.is_unspecified();  // duplicate address detection (RFC 5227)
    if (!is_probe) {
        const bool unicast = ether->destination == record->mac;
        core_.routing().neighbours().arp_input(link, *arp, to_us, unicast, core_.now_ms());
    }
    if (!is_request && to_us) {
        core_.host_taps().copy(link, packet);  // the kernel may have asked
    }
    const ArpFields reply{net::arp::kReply, arp->sender_mac, arp->sender_mac, target, sender};
    if (is_request && to_us) {
        send_arp(link, reply);
    } else if (is_request && is_proxy_for(link, target, sender)) {
        core_.routing().neighbours().arp_input(link, *arp, true, false, core_.now_ms());
        if (ether->destination == record->mac) {
            send_arp(link, reply);
        } else {
            delayed_.add(core_.now_ms(), [this, link, reply] { send_arp(link, reply); });
        }
    }
    core_.consume(packet, link);
}

// NEI-11 (arp_process): for an entry of proxies whose target lies behind another link.
bool SlowPath::is_proxy_for(
    LinkId link, const net::IpAddress& target, const net::IpAddress& sender
) {
    if (sender.is_unspecified() ||
        core_.routing().neighbours().find_proxy({link, target}) == nullptr) {
        return false;
    }
    const route::Path path = core_.routing().lookup(target, core_.routing().vrf_of(link));
    return route::leads_on(path.kind) && path.link != link;
}

void SlowPath::send_arp_request(
    LinkId link,
    const net::MacAddress& destination,
    const net::IpAddress& source,
    const net::IpAddress& target
) {
    const net::MacAddress known = destination.is_broadcast() ? net::MacAddress{} : destination;
    send_arp(link, {net::arp::kRequest, destination, known, source, target});
}

void SlowPath::send_arp(LinkId link, const ArpFields& fields) {
    const LinkRecord* record = core_.links().find(link);
    if (record == nullptr) {
        return;
    }
    rte_mbuf* frame = rte_pktmbuf_alloc(core_.pool());
    if (frame == nullptr) {
        return;  // as lost as on the wire: whoever needs it asks again
    }
    auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, kArpFrameLen));
    const net::EtherHeader ether{
        fields.ether_destination, record->mac, net::Be16{net::ether_type::kArp}};
    net::ArpHeader arp{};
    arp.hardware_type = net::Be16{net::arp::kHardwareEthernet};
    arp.protocol_type = net::Be16{net::ether_type::kIpv4};
    arp.hardware_length = 6;
    arp.protocol_length = 4;
    arp.operation = net::Be16{fields.operation};
    arp.sender_mac = record->mac;
    arp.sender_ip = net::Be32{fields.source.is_v4() ? fields.source.v4() : 0};
    arp.target_mac = fields.target_mac;
    arp.target_ip = net::Be32{fields.target.is_v4() ? fields.target.v4() : 0};
    std::memcpy(data, &ether, sizeof(ether));
    std::memcpy(data + kEtherLen, &arp, sizeof(arp));
    core_.send(link, frame, false);
}

}  // namespace culvert::control
