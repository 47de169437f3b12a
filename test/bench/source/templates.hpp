// SPDX-License-Identifier: BSD-3-Clause
// The packets that a bench port delivers, one after the other and then again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace culvert::bench {

inline constexpr std::uint32_t kLine = 64;

struct Template {
    std::uint32_t offset;  // into the bytes
    std::uint16_t length;  // of the packet
    std::uint16_t copied;  // bytes, rounded up to lines
    std::uint32_t hash;    // what a NIC would say
    std::uint32_t packet_type;
};

class Templates {
public:
    // `header`: bytes of each that are copied into packets; 0 = all. Throws std::runtime_error.
    Templates(const std::string& pcap_file, std::uint32_t header);

    [[nodiscard]] const std::vector<Template>& all() const noexcept { return templates_; }

    [[nodiscard]] const std::uint8_t* bytes() const noexcept { return bytes_.get(); }

    // The first packet, whole: what lies behind the copied bytes in every buffer.
    [[nodiscard]] const std::vector<std::uint8_t>& first() const noexcept { return first_; }

private:
    void add(const std::vector<std::uint8_t>& packet, std::uint32_t header);

    struct Free {
        void operator()(std::uint8_t* bytes) const noexcept;
    };

    std::vector<Template> templates_;
    std::vector<std::uint8_t> collected_;
    std::unique_ptr<std::uint8_t, Free> bytes_;
    std::vector<std::uint8_t> first_;
};

}  // namespace culvert::bench
