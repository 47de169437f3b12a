// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/encap/ip_tunnel_packets.hpp"

namespace culvert::encap::test {

namespace {

constexpr std::uint16_t kL3 = 14;

// An outer IPv4 packet of `protocol` with `behind` in it. Of the header only what pop reads is
// right.
Bytes outer_of(std::uint8_t protocol, const Bytes& behind, std::size_t option_words = 0) {
    Bytes bytes(12, 0);
    bytes.insert(bytes.end(), {8, 0, static_cast<std::uint8_t>(0x45 + option_words), 0x10});
    bytes.insert(bytes.end(), {0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1});
    bytes.resize(bytes.size() + 4 * option_words, 1);
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    return bytes;
}

Bytes gre_of(const Bytes& header, std::size_t payload = 40) {
    Bytes bytes = header;
    for (std::size_t i = 0; i < payload; ++i) {
        bytes.push_back(static_cast<std::uint8_t>(i == 0 ? 0x45 : i));
    }
    return bytes;
}

IpTunnelVerdict parse(const Pool& pool, const Bytes& bytes, IpTunnelOuter& outer) {
    return ip_tunnel_parse(make_exact(pool, bytes).get(), kL3, outer);
}

IpTunnelVerdict parse_gre(const Pool& pool, const Bytes& gre) {
    IpTunnelOuter outer{};
    return parse(pool, outer_of(47, gre), outer);
}

}  // namespace

TEST_CASE(
    "IPIP-RX-01 TUN-LKP-01 ipip cut off at every length, with options and without", "[encap]"
) {
    const Pool pool;
    const std::uint8_t protocol = GENERATE(std::uint8_t{4}, std::uint8_t{137});
    for (std::size_t words = 0; words <= 10; ++words) {
        for (std::size_t len = 0; len < 30; ++len) {
            IpTunnelOuter outer{};
            const IpTunnelVerdict verdict =
                parse(pool, outer_of(protocol, Bytes(len, 0x45), words), outer);
            REQUIRE(
                verdict == (len < 20 ? IpTunnelVerdict::ipip_truncated : IpTunnelVerdict::good)
            );
            if (verdict == IpTunnelVerdict::good) {
                REQUIRE(outer.payload_offset == kL3 + 20 + 4 * words);
                REQUIRE(outer.payload_type == (protocol == 4 ? 0x0800 : 0x8847));
                REQUIRE(outer.tos == 0x10);
                const auto key = IpTunnelKey::make(
                    IpTunnelKind::ipip, net::Be32{0xc0000201}.raw(), net::Be32{0xc0000202}.raw()
                );
                REQUIRE(outer.key == key);
            }
        }
    }
}

TEST_CASE("GRE-RX-01 GRE-RX-04 GRE cut off at every length, whatever the flags", "[encap]") {
    const Pool pool;
    for (const std::uint8_t flags : Bytes{0x00, 0x80, 0x20, 0x10, 0xa0, 0x30, 0x90, 0xb0}) {
        const std::size_t header =
            net::gre_header_len_bytes(static_cast<std::uint16_t>(flags << 8));
        for (std::size_t len = 0; len < 40; ++len) {
            Bytes gre{flags, 0, 8, 0};
            gre.resize(len);
            if ((flags & 0x80) != 0 && len >= 6) {
                const auto sum = static_cast<std::uint16_t>(~reference_sum(gre));
                gre[4] = static_cast<std::uint8_t>(sum >> 8);
                gre[5] = static_cast<std::uint8_t>(sum);
            }
            IpTunnelOuter outer{};
            const IpTunnelVerdict verdict = parse(pool, outer_of(47, gre), outer);
            const bool is_whole = len >= std::max<std::size_t>(12, header);
            CAPTURE(flags, len);
            REQUIRE(verdict == (is_whole ? IpTunnelVerdict::good : IpTunnelVerdict::gre_truncated));
            REQUIRE((!is_whole || outer.payload_offset == kL3 + 20 + header));
        }
    }
}

TEST_CASE("GRE-RX-02 GRE-RX-03 GRE-HDR-01 every flag of the GRE header", "[encap]") {
    const Pool pool;
    for (unsigned first = 0; first < 256; ++first) {
        for (unsigned second = 0; second < 256; ++second) {
            const auto high = static_cast<std::uint8_t>(first & 0x7f);  // without a checksum
            const Bytes gre = gre_of({high, static_cast<std::uint8_t>(second), 8, 0});
            IpTunnelVerdict expected = IpTunnelVerdict::good;
            if ((second & 0x7f) != 0) {
                expected = IpTunnelVerdict::gre_version;
            } else if ((high & 0x40) != 0) {
                expected = IpTunnelVerdict::gre_flags;
            }
            CAPTURE(first, second);
            REQUIRE(parse_gre(pool, gre) == expected);
        }
    }
}

TEST_CASE("GRE-RX-10 key and number of a packet, wherever they stand", "[encap]") {
    const Pool pool;
    IpTunnelOuter outer{};
    REQUIRE(
        parse(pool, outer_of(47, gre_of({0x30, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8})), outer) ==
        IpTunnelVerdict::good
    );
    CHECK(outer.key.key == 0x01020304);
    CHECK(outer.key.kind_and_flags == (IpTunnelKey::kHasKey | 1));
    CHECK(outer.has_sequence);
    CHECK(outer.sequence == 0x05060708);
    CHECK_FALSE(outer.has_checksum);
    REQUIRE(
        parse(pool, outer_of(47, gre_of({0x20, 0, 8, 0, 0, 0, 0, 0})), outer) ==
        IpTunnelVerdict::good
    );
    CHECK(outer.key.key == 0);
    CHECK(outer.key.kind_and_flags == (IpTunnelKey::kHasKey | 1));
    REQUIRE(parse(pool, outer_of(47, gre_of({0, 0, 0x65, 0x58})), outer) == IpTunnelVerdict::good);
    CHECK(outer.key.kind_and_flags == 2);  // GRE-RX-09
    REQUIRE(parse(pool, outer_of(47, gre_of({0, 0, 0x86, 0xdd})), outer) == IpTunnelVerdict::good);
    CHECK(outer.payload_type == 0x86dd);  // GRE-RX-12
}

TEST_CASE("GRE-RX-05 a wrong checksum, wherever the wrong bit is", "[encap]") {
    const Pool pool;
    Bytes gre = gre_of({0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1}, 33);
    const auto sum = static_cast<std::uint16_t>(~reference_sum(gre));
    gre[4] = static_cast<std::uint8_t>(sum >> 8);
    gre[5] = static_cast<std::uint8_t>(sum);
    CHECK(parse_gre(pool, gre) == IpTunnelVerdict::good);
    for (std::size_t at = 2; at < gre.size(); ++at) {
        Bytes wrong = gre;
        wrong[at] ^= 0x10;
        CAPTURE(at);
        REQUIRE(parse_gre(pool, wrong) == IpTunnelVerdict::gre_checksum);
    }
}

TEST_CASE("GRE-RX-06 WCCP is IPv4, of version 2 with four bytes in front", "[encap]") {
    const Pool pool;
    IpTunnelOuter outer{};
    Bytes gre = gre_of({0, 0, 0x88, 0x3e});
    REQUIRE(parse(pool, outer_of(47, gre), outer) == IpTunnelVerdict::good);
    CHECK(outer.payload_type == 0x0800);
    CHECK(outer.payload_offset == kL3 + 24);
    gre[4] = 0x01;
    REQUIRE(parse(pool, outer_of(47, gre), outer) == IpTunnelVerdict::good);
    CHECK(outer.payload_type == 0x0800);
    CHECK(outer.payload_offset == kL3 + 28);
    gre[0] = 0x08;  // any flag
    REQUIRE(parse(pool, outer_of(47, gre), outer) == IpTunnelVerdict::good);
    CHECK(outer.payload_type == 0x883e);
}

TEST_CASE("GRE-RX-07 protocols that no kind has", "[encap]") {
    const Pool pool;
    IpTunnelOuter outer{};
    CHECK(parse(pool, outer_of(50, Bytes(40, 0x60)), outer) == IpTunnelVerdict::no_device);
    CHECK(parse_gre(pool, gre_of({0x10, 0, 0x88, 0xbe, 0, 0, 0, 1})) == IpTunnelVerdict::no_device);
    CHECK(parse_gre(pool, gre_of({0x10, 0, 0x22, 0xeb, 0, 0, 0, 1})) == IpTunnelVerdict::no_device);
    CHECK(parse_gre(pool, gre_of({0, 0, 0x88, 0xbe})) == IpTunnelVerdict::good);
}

TEST_CASE("a packet like the last one is what the long look says it is", "[encap]") {
    const Pool pool;
    const std::vector<Bytes> packets{
        outer_of(4, Bytes(40, 0x45)),
        outer_of(4, Bytes(40, 0x46)),
        outer_of(4, Bytes(19, 0x45)),
        outer_of(137, Bytes(40, 0x45)),
        outer_of(4, Bytes(40, 0x45), 1),
        outer_of(47, gre_of({0, 0, 8, 0})),
        outer_of(47, gre_of({0, 0, 8, 0}, 90)),
        outer_of(47, gre_of({0, 0, 0x65, 0x58})),
        outer_of(47, gre_of({0x20, 0, 8, 0, 0, 0, 0, 1})),
        outer_of(47, gre_of({0x20, 0, 8, 0, 0, 0, 0, 2})),
        outer_of(47, gre_of({0x20, 0, 8, 0, 0, 0, 0, 1}, 13)),
        outer_of(47, gre_of({0x10, 0, 8, 0, 0, 0, 0, 1})),
        outer_of(47, gre_of({0x40, 0, 8, 0})),
        outer_of(47, gre_of({0, 1, 8, 0})),
        outer_of(47, gre_of({0, 0, 0x88, 0x3e})),
        outer_of(41, Bytes(40, 0x45)),
    };
    unsigned alike = 0;
    for (const Bytes& first : packets) {
        IpTunnelOuter known{};
        const Packet one = make_exact(pool, first);
        IpTunnelWords words;
        if (ip_tunnel_parse(one.get(), kL3, known) != IpTunnelVerdict::good ||
            !words.load(one.get(), kL3, known)) {
            continue;
        }
        for (const Bytes& second : packets) {
            const Packet other = make_exact(pool, second);
            if (!ip_tunnel_is_like(other.get(), kL3, words)) {
                continue;
            }
            ++alike;
            IpTunnelOuter outer{};
            REQUIRE(ip_tunnel_parse(other.get(), kL3, outer) == IpTunnelVerdict::good);
            REQUIRE(outer.key == known.key);
            REQUIRE(outer.payload_offset == known.payload_offset);
            REQUIRE(outer.payload_type == known.payload_type);
            REQUIRE(outer.tos == known.tos);
            REQUIRE(outer.has_checksum == known.has_checksum);
            REQUIRE(outer.has_sequence == known.has_sequence);
        }
    }
    CHECK(alike > 10);
}

TEST_CASE("IPIP-RX-03 GRETAP-TX-01 pop(push(p)) == p for every kind", "[encap]") {
    const Pool pool;
    IpTunnelConfig config =
        config_of_kind(GENERATE(IpTunnelKind::ipip, IpTunnelKind::gre, IpTunnelKind::gretap));
    if (config.kind != IpTunnelKind::ipip && GENERATE(false, true)) {
        config.out_key = 9;
        config.out_checksum = true;
        config.out_sequence = true;
    }
    for (std::size_t payload = 0; payload < 80; ++payload) {
        const Bytes frame = ipv4_frame(payload);
        const Packet packet = payload % 3 == 0
                                  ? make_packet(pool, frame)
                                  : make_chain(pool, frame, {frame.size() - payload / 2});
        REQUIRE(push_packet(packet, make_outer(config)) == IpTunnelPushed::done);
        IpTunnelOuter said{};
        REQUIRE(ip_tunnel_parse(packet.get(), kL3, said) == IpTunnelVerdict::good);
        if (config.kind == IpTunnelKind::gretap) {
            ip_tunnel_strip_to_frame(packet.get(), said.payload_offset);
            REQUIRE(bytes_of(packet.get()) == frame);
        } else {
            ip_tunnel_strip(packet.get(), said.payload_offset, said.payload_type);
            Bytes expected(12, 0);
            const Bytes rest = behind(frame, 12);
            expected.insert(expected.end(), rest.begin(), rest.end());
            REQUIRE(bytes_of(packet.get()) == expected);
        }
        REQUIRE(packet->pkt_len == frame.size());
        REQUIRE(packet->ol_flags == 0);
    }
}

}  // namespace culvert::encap::test
