// SPDX-License-Identifier: BSD-3-Clause
// A burst's working arrays: room for N elements that nobody clears first. A small burst would
// otherwise pay for the largest one.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

namespace culvert::pipeline {

// Read only what was written. T is created by the storage itself (an implicit-lifetime type).
template <typename T, std::size_t N>
class Scratch {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

public:
    Scratch() noexcept {}  // NOLINT(modernize-use-equals-default): `= default` lets `{}` clear it

    [[nodiscard]] T* data() noexcept { return reinterpret_cast<T*>(bytes_.data()); }

    [[nodiscard]] const T* data() const noexcept {
        return reinterpret_cast<const T*>(bytes_.data());
    }

    [[nodiscard]] T& operator[](std::size_t index) noexcept { return data()[index]; }

    [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return data()[index]; }

private:
    alignas(T) std::array<std::byte, N * sizeof(T)> bytes_;  // NOLINT: see above
};

}  // namespace culvert::pipeline
