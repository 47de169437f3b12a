// SPDX-License-Identifier: BSD-3-Clause
// A copy of bytes in memory of exactly their number, so that ASan sees the first byte read past
// them. (Of no bytes it has one.)
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace culvert::net {

class ExactBuffer {
public:
    ExactBuffer(const std::uint8_t* data, std::size_t len)
        : bytes_(static_cast<std::uint8_t*>(std::malloc(std::max<std::size_t>(len, 1))))
        , len_(len) {
        if (len > 0) {
            std::memcpy(bytes_.get(), data, len);
        }
    }

    [[nodiscard]] std::uint8_t* data() noexcept { return bytes_.get(); }

    [[nodiscard]] std::size_t size() const noexcept { return len_; }

private:
    struct Free {
        void operator()(std::uint8_t* bytes) const noexcept { std::free(bytes); }
    };

    std::unique_ptr<std::uint8_t, Free> bytes_;
    std::size_t len_;
};

}  // namespace culvert::net
