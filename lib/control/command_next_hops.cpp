// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_next_hops.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace culvert::control {

namespace {

// The words behind the first `nexthop`: what iproute2's parse_one_nh() takes, in any order.
class NextHopReader {
public:
    NextHopReader(Context& context, std::span<const std::string> words, bool is_v4)
        : context_(context)
        , words_(words)
        , is_v4_(is_v4) {}

    Result<std::vector<route::NextHop>> read() {
        std::vector<route::NextHop> hops;
        do {
            CULVERT_TRY(hop, read_one());
            hops.push_back(hop);
        } while (position_ < words_.size());
        return hops;
    }

private:
    // Up to the next `nexthop`, which it takes.
    Result<route::NextHop> read_one() {
        route::NextHop hop;
        while (position_ < words_.size()) {
            const std::string& word = words_[position_++];
            if (word == "nexthop") {
                return check(hop, position_ == words_.size());
            }
            CULVERT_CHECK(take(word, hop));
        }
        return check(hop, false);
    }

    [[nodiscard]] Error syntax(std::string what) { return syntax_error(context_, std::move(what)); }

    // `is_cut_short`: a last `nexthop` with nothing behind it.
    Result<route::NextHop> check(const route::NextHop& hop, bool is_cut_short) {
        if (is_cut_short || (!hop.gateway && hop.link == kNoLink)) {
            return syntax("a nexthop needs \"via\" or \"dev\"");
        }
        return hop;
    }

    Result<void> take(const std::string& word, route::NextHop& hop) {
        if (word == "onlink") {
            hop.onlink = true;
            return {};
        }
        std::string modifier;
        if (word == "via" && position_ < words_.size() &&
            (words_[position_] == "inet" || words_[position_] == "inet6")) {
            modifier = words_[position_++];
        }
        if (word != "via" && word != "dev" && word != "weight") {
            return syntax(
                fmt::format("\"nexthop\" or end of line is expected instead of \"{}\"", word)
            );
        }
        if (position_ == words_.size()) {
            return syntax(fmt::format("Command line is not complete: \"{}\" takes a value", word));
        }
        const std::string& value = words_[position_++];
        return word == "via"   ? take_gateway(value, modifier, hop)
               : word == "dev" ? take_link(value, hop)
                               : take_weight(value, hop);
    }

    Result<void>
    take_gateway(const std::string& value, std::string_view modifier, route::NextHop& hop) {
        const auto address = net::IpAddress::parse(value);
        if (!address) {
            return syntax(fmt::format("any valid address is expected rather than \"{}\"", value));
        }
        hop.gateway = *address;
        return check_gateway(is_v4_, *address, modifier);
    }

    Result<void> take_link(const std::string& value, route::NextHop& hop) {
        const LinkRecord* link = context_.core.links().find(value);
        if (link == nullptr) {
            return Error{
                std::errc::no_such_device, fmt::format("Cannot find device \"{}\"", value)};
        }
        hop.link = link->id;
        return {};
    }

    Result<void> take_weight(const std::string& value, route::NextHop& hop) {
        const auto weight = parse_number(value);
        if (!weight || *weight == 0 || *weight > kMostWeight) {
            return syntax(fmt::format("argument \"{}\" is wrong: \"weight\" is 1 to 256", value));
        }
        hop.weight = static_cast<std::uint16_t>(*weight);
        return {};
    }

    static constexpr std::uint64_t kMostWeight = 256;

    Context& context_;
    std::span<const std::string> words_;
    bool is_v4_;
    std::size_t position_ = 0;
};

}  // namespace

Result<void>
check_gateway(bool is_v4_route, const net::IpAddress& gateway, std::string_view modifier) {
    const bool wants_v4 = modifier.empty() ? is_v4_route : modifier == "inet";
    if (gateway.is_v4() != wants_v4) {
        return Error{
            std::errc::invalid_argument,
            fmt::format(
                "{} address is expected rather than \"{}\"",
                wants_v4 ? "inet" : "inet6",
                gateway.to_string()
            )};
    }
    if (!is_v4_route && wants_v4) {
        return Error{std::errc::invalid_argument, "IPv6 does not support RTA_VIA attribute"};
    }
    return {};
}

Result<std::vector<route::NextHop>>
read_next_hops(Context& context, std::span<const std::string> words, bool is_v4) {
    return NextHopReader(context, words, is_v4).read();
}

}  // namespace culvert::control
