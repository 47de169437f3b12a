// SPDX-License-Identifier: BSD-3-Clause
#include "lib/net/parse.hpp"

namespace culvert::net::detail {

namespace {

// The first two bytes of every extension header but the fragment header's second.
struct ExtensionHeader {
    std::uint8_t next_header;
    std::uint8_t length;
};

static_assert(kIsWireHeader<ExtensionHeader, 2>);

// RFC 8200, 4.2; AH counts 4-byte words less 2 (RFC 4302, 2.2).
std::size_t extension_len_bytes(std::uint8_t protocol, const ExtensionHeader& header) noexcept {
    if (protocol == ip_protocol::kAuthentication) {
        return (std::size_t{header.length} + 2) * 4;
    }
    return (std::size_t{header.length} + 1) * 8;
}

}  // namespace

void walk_extension_headers(
    const std::uint8_t* data, std::size_t len, std::size_t offset, ParsedPacket& packet
) noexcept {
    for (int count = 0; count < kMaxExtensionHeaders; ++count) {
        if (packet.protocol == ip_protocol::kFragment) {
            const auto* fragment = header_at<Ipv6FragmentHeader>(data, len, offset);
            if (fragment == nullptr) {
                return;
            }
            const bool first = fragment->fragment_offset_bytes() == 0;
            packet.is_fragment = packet.is_fragment || !first || fragment->more_fragments();
            packet.first_fragment = packet.is_fragment && first;
            packet.protocol = fragment->next_header;
            offset += sizeof(Ipv6FragmentHeader);
            if (!first) {
                return;
            }
        } else {
            const auto* extension = header_at<ExtensionHeader>(data, len, offset);
            if (extension == nullptr) {
                return;
            }
            const std::size_t extension_len = extension_len_bytes(packet.protocol, *extension);
            if (extension_len > len - offset) {
                return;
            }
            packet.protocol = extension->next_header;
            offset += extension_len;
        }
        if (!is_extension_header(packet.protocol)) {
            packet.l4_offset = static_cast<std::uint16_t>(offset);
            return;
        }
    }
}

}  // namespace culvert::net::detail
