// SPDX-License-Identifier: BSD-3-Clause
#include "test/bench/source/templates.hpp"

#include <rte_ether.h>
#include <rte_hash_crc.h>
#include <rte_mbuf.h>
#include <rte_net.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace culvert::bench {

namespace {

constexpr std::uint32_t kPcapMagic = 0xa1b2c3d4;
constexpr std::uint32_t kLongest = 9216;

std::uint32_t packet_type_of(std::vector<std::uint8_t> packet) {
    rte_mbuf mbuf{};
    mbuf.buf_addr = packet.data();
    mbuf.data_len = static_cast<std::uint16_t>(packet.size());
    mbuf.pkt_len = mbuf.data_len;
    mbuf.nb_segs = 1;
    return rte_net_get_ptype(&mbuf, nullptr, RTE_PTYPE_ALL_MASK);
}

}  // namespace

void Templates::Free::operator()(std::uint8_t* bytes) const noexcept {
    std::free(bytes);
}

Templates::Templates(const std::string& pcap_file, std::uint32_t header) {
    std::ifstream file(pcap_file, std::ios::binary);
    std::array<std::uint32_t, 6> file_header{};
    file.read(reinterpret_cast<char*>(file_header.data()), sizeof(file_header));
    if (!file || file_header[0] != kPcapMagic) {
        throw std::runtime_error(pcap_file + ": no pcap file of this machine's byte order");
    }
    std::array<std::uint32_t, 4> record{};  // seconds, microseconds, captured, length
    while (file.read(reinterpret_cast<char*>(record.data()), sizeof(record))) {
        if (record[2] < sizeof(rte_ether_hdr) || record[2] > kLongest) {
            throw std::runtime_error(
                pcap_file + ": a packet of " + std::to_string(record[2]) + " bytes"
            );
        }
        std::vector<std::uint8_t> packet(record[2]);
        file.read(reinterpret_cast<char*>(packet.data()), record[2]);
        add(packet, header);
    }
    if (templates_.empty()) {
        throw std::runtime_error(pcap_file + ": no packets");
    }
    bytes_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kLine, collected_.size())));
    std::copy(collected_.begin(), collected_.end(), bytes_.get());
    collected_ = {};
}

void Templates::add(const std::vector<std::uint8_t>& packet, std::uint32_t header) {
    const auto length = static_cast<std::uint32_t>(packet.size());
    const std::uint32_t wanted = header == 0 ? length : std::min(header, length);
    const std::uint32_t copied = (wanted + kLine - 1) / kLine * kLine;
    Template made{};
    made.offset = static_cast<std::uint32_t>(collected_.size());
    made.length = static_cast<std::uint16_t>(length);
    made.copied = static_cast<std::uint16_t>(copied);
    // Any good hash over the addresses and ports stands for Toeplitz's.
    const std::uint32_t l3_and_l4 = std::min<std::uint32_t>(length - 12, 30);
    made.hash = rte_hash_crc(packet.data() + 12, l3_and_l4, 0xdeadbeef) ^
                rte_hash_crc(packet.data(), 12, 1);
    made.packet_type = packet_type_of(packet);
    collected_.resize(made.offset + copied);
    std::memcpy(collected_.data() + made.offset, packet.data(), std::min(copied, length));
    if (templates_.empty()) {
        first_ = packet;
    }
    templates_.push_back(made);
}

}  // namespace culvert::bench
