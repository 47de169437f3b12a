// SPDX-License-Identifier: BSD-3-Clause
// MLD as a host: what switches and multicast routers hear of us.
#include "test/unit/control/ip6_node.hpp"

#include <map>

namespace culvert::control::test {

namespace {

constexpr std::size_t kMessageAt = kIcmpAt + 8;  // behind the router alert
const std::string kOurGroup = "ff02::1:ff00:10";
const std::string kAllRouters = "ff02::2";

struct Listener : Node {
    explicit Listener(bool is_settled = true)
        : Node(is_settled) {}

    // The next listener report, frames of other kinds thrown away; empty = none.
    Bytes report() {
        for (Bytes bytes = CoreFixture::sent_bytes(); !bytes.empty();
             bytes = CoreFixture::sent_bytes()) {
            if (bytes.size() > kMessageAt && bytes[14 + 6] == 0 && bytes[kMessageAt] >= 131) {
                return bytes;
            }
        }
        return {};
    }

    void query(const std::string& group, bool is_version1, const Icmp& like = {}) {
        Icmp what = like;
        what.message.assign(is_version1 ? 24 : 28, 0);
        what.message[0] = 130;
        what.message[5] = 100;  // ms
        const auto address = ip(group).bytes();
        std::copy(address.begin(), address.end(), what.message.begin() + 8);
        Bytes bytes = frame(what);
        if (has_options) {
            bytes[14 + 5] = static_cast<std::uint8_t>(bytes[14 + 5] + 8);
            bytes[14 + 6] = 0;
            const Bytes alert{58, 0, 5, 2, 0, 0, 1, 0};
            bytes.insert(bytes.begin() + kIcmpAt, alert.begin(), alert.end());
        }
        punt(bytes, Punt::icmp6, port);
    }

    bool has_options = true;
};

// Group to record type of a report of version 2.
std::map<std::string, int> records(const Bytes& report) {
    std::map<std::string, int> records;
    REQUIRE(report.size() >= kMessageAt + 8);
    CHECK(int{report[kMessageAt]} == 143);
    const std::size_t count = report[kMessageAt + 7];
    REQUIRE(report.size() == kMessageAt + 8 + count * 20);
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = kMessageAt + 8 + i * 20;
        records[text_at(report, at + 4)] = report[at];
    }
    return records;
}

const Icmp kQuerier{.destination = "ff02::1", .hop_limit = 1};

}  // namespace

TEST_CASE("MLD: a link that has addresses reports its groups, twice", "[control][mld]") {
    Listener node(false);
    node.pass(100);
    const Bytes first = node.report();
    CHECK(records(first) == std::map<std::string, int>{{kAllRouters, 4}, {kOurGroup, 4}});
    CHECK(text_at(first, 22) == "::");  // it is still asked whether the address is free
    CHECK(text_at(first, 38) == "ff02::16");
    CHECK(first[0] == 0x33);
    CHECK(first[5] == 0x16);
    CHECK(int{first[21]} == 1);
    CHECK(
        Bytes(first.begin() + kIcmpAt, first.begin() + kMessageAt) == Bytes{58, 0, 5, 2, 0, 0, 1, 0}
    );
    node.pass(1100);
    CHECK(records(node.report()).size() == 2);
    node.pass(3000);
    CHECK(node.report().empty());

    SECTION("a new address: its group alone") {
        node.add_address6("2001:db8::77/64");
        node.pass(100);
        const Bytes report = node.report();
        CHECK(records(report) == std::map<std::string, int>{{"ff02::1:ff00:77", 4}});
        CHECK(text_at(report, 22) == kOurLocal);
        SECTION("and it is left with it") {
            node.pass(2000);
            while (!node.report().empty()) {
            }
            REQUIRE(node.core->routing().del_address(node.port, prefix("2001:db8::77/64")));
            node.pass(100);
            CHECK(records(node.report()) == std::map<std::string, int>{{"ff02::1:ff00:77", 3}});
        }
    }
    SECTION("two addresses in one group: nothing new") {
        node.add_address6("2001:db8::ff:fe00:10/64");
        node.pass(3000);
        CHECK(node.report().empty());
    }
}

TEST_CASE("MLD: queries are answered within the time they say", "[control][mld]") {
    Listener node;
    const std::map<std::string, int> all{{kAllRouters, 2}, {kOurGroup, 2}, {"ff02::1:ff00:1", 2}};
    SECTION("general") {
        node.query("::", false, kQuerier);
        CHECK(node.report().empty());
        node.pass(150);
        CHECK(records(node.report()) == all);
        CHECK(node.report().empty());
    }
    SECTION("of one group") {
        node.query(kOurGroup, false, {.destination = kOurGroup, .hop_limit = 1});
        node.pass(150);
        CHECK(records(node.report()) == std::map<std::string, int>{{kOurGroup, 2}});
    }
    SECTION("of a group that we are not in") {
        node.query("ff02::1:ff12:3456", false, kQuerier);
        node.pass(150);
        CHECK(node.report().empty());
    }
    SECTION("version 1: a report to each group") {
        node.query("::", true, kQuerier);
        node.pass(150);
        for (int i = 0; i < 3; ++i) {
            const Bytes report = node.report();
            REQUIRE(report.size() == kMessageAt + 24);
            CHECK(int{report[kMessageAt]} == 131);
            CHECK(text_at(report, 38) == text_at(report, kMessageAt + 8));
        }
        REQUIRE(node.core->routing().del_address(node.port, prefix("2001:db8::1/64")));
        node.pass(100);
        const Bytes done = node.report();
        REQUIRE(done.size() == kMessageAt + 24);
        CHECK(int{done[kMessageAt]} == 132);
        CHECK(text_at(done, 38) == kAllRouters);
    }
}

TEST_CASE("MLD: queries that are none", "[control][mld]") {
    Listener node;
    Icmp wrong = kQuerier;
    SECTION("through a router") {
        wrong.hop_limit = 2;
    }
    SECTION("from no link-local address") {
        wrong.source = "2001:db8::9";
    }
    SECTION("without a router alert") {
        node.has_options = false;
    }
    node.query("::", false, wrong);
    node.pass(200);
    CHECK(node.report().empty());
    CHECK(node.drops(Drop::icmp_not_handled) == 1);
}

}  // namespace culvert::control::test
