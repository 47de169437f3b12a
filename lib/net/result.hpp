// SPDX-License-Identifier: BSD-3-Clause
// The control plane's way to say "done" or "no, because": a small subset of std::expected (C++23)
// with the same member names, so that it can be replaced by it without touching a caller.
#pragma once

#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace culvert {

// Why an operation was refused. `code` is the errno the kernel would return; `what` names what was
// attempted, on which object and why: `link add vx2: vni 42 on port 4789 is already vx1's`.
struct Error {
    std::errc code = std::errc::invalid_argument;
    std::string what;
};

template <typename T>
class [[nodiscard]] Result {
public:
    // NOLINTNEXTLINE(google-explicit-constructor): `return value;` is the point
    Result(T value)
        : state_(std::in_place_index<0>, std::move(value)) {}

    // NOLINTNEXTLINE(google-explicit-constructor): `return error;` as well
    Result(Error error)
        : state_(std::in_place_index<1>, std::move(error)) {}

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

    explicit operator bool() const noexcept { return has_value(); }

    // Precondition for value(), * and ->: has_value(). For error(): !has_value().
    [[nodiscard]] T& value() & { return std::get<0>(state_); }

    [[nodiscard]] const T& value() const& { return std::get<0>(state_); }

    [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }

    T& operator*() & { return value(); }

    const T& operator*() const& { return value(); }

    T&& operator*() && { return std::move(*this).value(); }

    T* operator->() { return &value(); }

    const T* operator->() const { return &value(); }

    [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;

    // NOLINTNEXTLINE(google-explicit-constructor): `return error;` is the point
    Result(Error error)
        : error_(std::move(error))
        , ok_(false) {}

    [[nodiscard]] bool has_value() const noexcept { return ok_; }

    explicit operator bool() const noexcept { return ok_; }

    [[nodiscard]] const Error& error() const { return error_; }

private:
    Error error_;
    bool ok_ = true;
};

}  // namespace culvert

// Returns the error of `expression` to the caller, or goes on. For Result<T>, the value is in
// `name`.
// NOLINTBEGIN(bugprone-macro-parentheses): `name` is declared, not used
#define CULVERT_TRY(name, expression)                                                              \
    auto name##_result = (expression);                                                             \
    if (!name##_result) {                                                                          \
        return name##_result.error();                                                              \
    }                                                                                              \
    auto name = std::move(name##_result).value()
// NOLINTEND(bugprone-macro-parentheses)

#define CULVERT_CHECK(expression)                                                                  \
    do {                                                                                           \
        if (auto culvert_check_result = (expression); !culvert_check_result) {                     \
            return culvert_check_result.error();                                                   \
        }                                                                                          \
    } while (false)
