// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_arguments.hpp"
#include "lib/control/command_grammar.hpp"
#include "lib/control/parse_words.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <set>
#include <sstream>

namespace culvert::control::test {

namespace {

// "object verb" that the line means, or the error.
std::string meaning(std::string_view line) {
    auto words = parse_words(line).value();
    auto resolved = resolve(words);
    if (!resolved) {
        return resolved.error().what;
    }
    const Command& command = *resolved->command;
    return std::string(command.object) + (command.verb.empty() ? "" : " ") +
           std::string(command.verb);
}

Result<Arguments> parse(std::string_view line) {
    auto words = parse_words(line).value();
    auto resolved = resolve(words).value();
    return parse_arguments(
        *resolved.command,
        std::span(words).subspan(resolved.used),
        [](std::string_view name) { return name == "vx0" || name == "m" ? LinkId{7} : kNoLink; }
    );
}

std::string why_not(std::string_view line) {
    auto arguments = parse(line);
    return arguments ? "accepted" : arguments.error().what;
}

}  // namespace

TEST_CASE(
    "grammar: objects and verbs may be shortened, ip and bridge may stand in front",
    "[control][grammar]"
) {
    CHECK(meaning("link show") == "link show");
    CHECK(meaning("ip link show") == "link show");
    CHECK(meaning("ip l sh") == "link show");
    CHECK(meaning("l") == "link show");
    CHECK(meaning("ip a") == "addr show");
    CHECK(meaning("address add") == "addr add");
    CHECK(meaning("ip r") == "route show");
    CHECK(meaning("ip r a") == "route add");
    CHECK(meaning("ip route ap") == "route append");
    CHECK(meaning("r g") == "route get");
    CHECK(meaning("ip n del") == "neigh del");
    CHECK(meaning("neighbour delete") == "neigh del");
    CHECK(meaning("bridge fdb add") == "fdb add");
    CHECK(meaning("b f a") == "fdb add");
    CHECK(meaning("fdb append") == "fdb append");
    CHECK(meaning("bridge link") == "bridge link show");
    CHECK(meaning("bridge link set") == "bridge link set");
    CHECK(meaning("link set") == "link set");
    CHECK(meaning("sh d") == "show drops");
    CHECK(meaning("show lcores") == "show lcores");
    CHECK(meaning("q") == "quit");
    CHECK(meaning("m") == "monitor");
}

TEST_CASE(
    "grammar: what is unknown or ambiguous is refused with what there is", "[control][grammar]"
) {
    CHECK(
        meaning("foo") ==
        "Object \"foo\" is unknown; there is: link tunnel addr route neigh fdb fou show "
        "sysctl clear monitor start stop quit version help complete"
    );
    CHECK(
        meaning("s drops") ==
        "Object \"s\" is ambiguous; there is: link tunnel addr route neigh fdb fou show "
        "sysctl clear monitor start stop quit version help complete"
    );
    CHECK(
        meaning("ip fdb") ==
        "Object \"fdb\" is unknown; there is: link tunnel addr route neigh monitor"
    );
    CHECK(meaning("bridge vlan") == "Object \"vlan\" is unknown; there is: link fdb monitor");
    CHECK(meaning("link frob") == "Command \"frob\" is unknown; link has: add set del show");
    CHECK(
        meaning("show") ==
        "show: a command is missing; there is: port drops lcores process snmp tunnels "
        "sysctl"
    );
    CHECK(meaning("ip") == "an object is missing; there is: link tunnel addr route neigh monitor");
    CHECK(meaning("trace add 5").starts_with("Object \"trace\" is unknown"));
    CHECK(meaning("save").starts_with("Object \"save\" is unknown"));
}

TEST_CASE("grammar: keywords stand in any order and may be shortened", "[control][grammar]") {
    auto arguments = parse("link add vx9 mtu 1400 type vxlan dstp 4789 remo 192.0.2.2 id 42 "
                           "nolearn srcport 100 0xc8")
                         .value();
    CHECK(arguments.text("name") == "vx9");
    CHECK(arguments.number<std::uint32_t>("mtu") == 1400U);
    REQUIRE(arguments.type() != nullptr);
    CHECK(arguments.type()->name == "vxlan");
    const Arguments& vxlan = arguments.type_arguments();
    CHECK(vxlan.number<std::uint32_t>("id") == 42U);
    CHECK(vxlan.number<std::uint16_t>("dstport") == 4789);
    CHECK(vxlan.get<net::IpAddress>("remote")->to_string() == "192.0.2.2");
    CHECK(vxlan.get<bool>("learning") == false);
    CHECK(vxlan.get<NumberPair>("srcport") == NumberPair{100, 200});
    CHECK_FALSE(vxlan.has("local"));

    auto other =
        parse("link add type vxlan vni 0x2a address 02:00:00:00:00:01 name vx9 mtu 1400").value();
    CHECK(other.text("name") == "vx9");
    CHECK(other.type_arguments().number<std::uint32_t>("id") == 42U);
    CHECK(other.get<net::MacAddress>("address")->to_string() == "02:00:00:00:00:01");
}

TEST_CASE("grammar: a name is not taken for a keyword's beginning", "[control][grammar]") {
    auto arguments = parse("link set m mtu 1400").value();
    CHECK(arguments.get<LinkId>("dev") == LinkId{7});
    CHECK(arguments.number<std::uint32_t>("mtu") == 1400U);
    CHECK(parse("link add m type dummy").value().text("name") == "m");
}

TEST_CASE("grammar: modifiers and words in a number's place", "[control][grammar]") {
    auto locked = parse("route add 10.0.0.0/8 via inet 192.0.2.1 mtu lock 1300").value();
    CHECK(locked.find("mtu")->modified);
    CHECK(locked.number<std::uint32_t>("mtu") == 1300U);
    CHECK(locked.get<net::IpAddress>("via")->to_string() == "192.0.2.1");
    CHECK_FALSE(parse("route add 10.0.0.0/8 mtu 1300").value().find("mtu")->modified);

    auto vxlan =
        parse("link add v type vxlan id 1 ttl inherit tos inherit ageing none maxaddress unlimited")
            .value();
    CHECK(vxlan.type_arguments().text("ttl") == "inherit");
    CHECK_FALSE(vxlan.type_arguments().get<std::uint64_t>("ttl"));
    CHECK(vxlan.type_arguments().text("ageing") == "none");
    auto hex = parse("link add v type vxlan id 1 tos 10").value();
    CHECK(hex.type_arguments().number<std::uint8_t>("tos") == 0x10);
    CHECK(
        parse("link add v type vxlan id 1 tos 0xb8")
            .value()
            .type_arguments()
            .number<std::uint8_t>("tos") == 0xb8
    );
}

TEST_CASE("wrong arguments are named, in iproute2's words", "[control][grammar]") {
    CHECK(why_not("link add v type vxlan id 1 id 2") == "argument \"id\" is a duplicate");
    CHECK(why_not("link add v type vxlan id 1 vni 2") == "argument \"id\" is a duplicate");
    CHECK(
        why_not("link add v type vxlan learning nolearning") ==
        "argument \"learning\" is a duplicate"
    );
    CHECK(
        why_not("link add v type vxlan id 16777216") == "argument \"16777216\" is wrong: invalid id"
    );
    CHECK(
        why_not("link add v type vxlan id 1 ttl 256") ==
        "argument \"256\" is wrong: TTL must be <= 255"
    );
    CHECK(
        why_not("link add v type vxlan id 1 tos zz") == "argument \"zz\" is wrong: bad TOS value"
    );
    CHECK(
        why_not("link add v type vxlan id 1 tos 100") == "argument \"100\" is wrong: bad TOS value"
    );
    CHECK(
        why_not("link add v type vxlan id 1 df maybe") ==
        "argument \"maybe\" is wrong: \"df\" is one of: unset set inherit"
    );
    CHECK(
        why_not("link add v type vxlan id 1 remote") ==
        "Command line is not complete: \"remote\" takes ADDR"
    );
    CHECK(
        why_not("link add v type vxlan id 1 srcport 5") ==
        "Command line is not complete: \"srcport\" takes LOW HIGH"
    );
    CHECK(
        why_not("link add v type vxlan id 1 dstport 65536") ==
        "argument \"65536\" is wrong: dst port"
    );
    CHECK(
        why_not("link add v type vxlan id 1 remote 1.2.3") ==
        "any valid address is expected rather than \"1.2.3\""
    );
    CHECK(why_not("link add v type vxlan id 1x") == "argument \"1x\" is wrong: invalid id");
    CHECK(why_not("link add v type vxlan id -1") == "argument \"-1\" is wrong: invalid id");
    CHECK(
        why_not("link add v type vxlan id 99999999999999999999") ==
        "argument \"99999999999999999999\" is wrong: invalid id"
    );
    CHECK(why_not("link add v type vxlan id 1 frob")
              .starts_with("\"frob\" is unknown or ambiguous here; there is: id remote group"));
    CHECK(why_not("link add v type vxlan id 1 rem 192.0.2.2")
              .starts_with("\"rem\" is unknown or ambiguous here"));
    CHECK(why_not("link add v type vxlan id 1 l2").starts_with("l2miss is not supported yet"));
    CHECK(
        why_not("link add type dummy") == "Not enough information: \"name\" argument is required"
    );
    CHECK(
        why_not("link add v type frob") ==
        "Unknown device type \"frob\"; there is: vxlan, ipip, gre, gretap, sit, ip6tnl, "
        "ip6gre, ip6gretap, bridge, vlan, vrf, dummy"
    );
    CHECK(why_not("link set vx0 mtu x") == "argument \"x\" is wrong: Invalid \"mtu\" value");
    CHECK(why_not("link set nope up") == "Cannot find device \"nope\"");
    CHECK(why_not("link show nope") == "Device \"nope\" does not exist");
    CHECK(why_not("link set vx0 vx0").starts_with("\"vx0\" is unknown"));
    CHECK(
        why_not("addr add 10.0.0.1/33 dev vx0") ==
        "any valid prefix is expected rather than \"10.0.0.1/33\""
    );
    CHECK(
        why_not("addr add 10.0.0.1/24") == "Not enough information: \"dev\" argument is required"
    );
    CHECK(
        why_not("bridge link set dev vx0 learning maybe") ==
        "argument of \"learning\" must be \"on\" or \"off\", not \"maybe\""
    );
    CHECK(
        why_not("show drops all") == "\"all\" is unknown or ambiguous here; there is: nothing more"
    );
}

TEST_CASE("fdb arguments are checked", "[control][grammar]") {
    CHECK(why_not("fdb add 02:00 dev vx0") == "Invalid mac address \"02:00\"");
    CHECK(
        why_not("fdb add 02:00:00:00:00:01 dst 192.0.2.1") ==
        "Not enough information: \"dev\" argument is required"
    );
    CHECK(
        why_not("fdb add 02:00:00:00:00:01 dev vx0 vni 16777216") ==
        "argument \"16777216\" is wrong: invalid VNI"
    );
    CHECK(why_not("fdb add 02:00:00:00:00:01 dev nope") == "Cannot find device \"nope\"");
    CHECK(why_not("fdb add to 02:00:00:00:00:01 dev vx0 dst 192.0.2.1") == "accepted");
}

TEST_CASE("route arguments are checked", "[control][grammar]") {
    CHECK(
        why_not("route add via 192.0.2.1") == "Not enough information: \"to\" argument is required"
    );
    CHECK(
        why_not("route add 10.0.0.0/8 table x") ==
        "argument \"x\" is wrong: \"table\" value is invalid"
    );
    CHECK(why_not("route add 10.0.0.0/8 metric 4294967296")
              .starts_with("argument \"4294967296\" is wrong"));
}

TEST_CASE(
    "grammar: what is not there yet is accepted only where it asks for nothing",
    "[control][grammar]"
) {
    for (std::string_view keyword :
         {"noproxy",
          "norsc",
          "nol2miss",
          "nol3miss",
          "noremcsumtx",
          "noremcsumrx",
          "noexternal",
          "novnifilter",
          "localbypass"}) {
        CHECK(why_not("link add v type vxlan id 1 " + std::string(keyword)) == "accepted");
    }
    for (std::string_view keyword :
         {"proxy",
          "rsc",
          "l2miss",
          "l3miss",
          "remcsumtx",
          "remcsumrx",
          "external",
          "vnifilter",
          "gbp",
          "gpe",
          "nolocalbypass"}) {
        auto arguments = parse("link add v type vxlan id 1 " + std::string(keyword));
        REQUIRE_FALSE(arguments);
        CHECK(arguments.error().code == std::errc::operation_not_supported);
        CHECK(arguments.error().what == std::string(keyword) + " is not supported yet");
    }
    CHECK(why_not("fdb add 02:00:00:00:00:01 dev vx0 vlan 5") == "vlan is not supported yet");
    CHECK(
        why_not("link add b type bridge vlan_filtering 1") == "vlan_filtering is not supported yet"
    );
    CHECK(why_not("link add b type bridge vlan_filtering 0 ageing_time 100") == "accepted");
}

TEST_CASE(
    "grammar: the table has no two keywords or verbs of one name, and every command a handler",
    "[control][grammar]"
) {
    std::set<std::string> commands_seen;
    for (const Command& command : commands()) {
        INFO(command.object << " " << command.verb);
        CHECK(commands_seen.insert(std::string(command.object) + " " + std::string(command.verb))
                  .second);
        CHECK((command.handler != nullptr || command.object == "help"));
        CHECK_FALSE(command.help.empty());
        std::set<std::string_view> names;
        for (const Keyword& keyword : command.keywords) {
            CHECK(names.insert(keyword.name).second);
            CHECK_FALSE(keyword.help.empty());
        }
    }
    for (const LinkType& type : link_types()) {
        std::set<std::string_view> names;
        for (const Keyword& keyword : type.keywords) {
            CHECK(names.insert(keyword.name).second);
        }
    }
}

TEST_CASE(
    "grammar: completion offers objects, verbs, keywords, values and links", "[control][grammar]"
) {
    using List = std::vector<std::string>;
    const List links{"port0", "vx0"};
    auto complete = [&](std::string_view line) { return completions(line, links); };
    CHECK(complete("li") == List{"link"});
    CHECK(complete("st") == List{"start", "stop"});
    CHECK(complete("ip li") == List{"link"});
    CHECK(complete("bridge ") == List{"fdb", "link", "monitor"});
    CHECK(complete("ip ") == List{"addr", "link", "monitor", "neigh", "route", "tunnel"});
    CHECK(complete("b") == List{"bridge"});
    CHECK(complete("link s") == List{"set", "show"});
    CHECK(complete("link set v") == List{"vrf", "vx0"});
    CHECK(complete("link set vx0 m") == List{"master", "mtu"});
    CHECK(complete("link set vx0 master p") == List{"port0"});
    CHECK(complete("link add vx1 type v") == List{"vlan", "vrf", "vxlan"});
    CHECK(complete("link add vx1 type vxlan df ") == List{"inherit", "set", "unset"});
    CHECK(
        complete("link add vx1 type vxlan nol") ==
        List{"nol2miss", "nol3miss", "nolearning", "nolocalbypass"}
    );
    CHECK(complete("bridge link set dev vx0 learning o") == List{"off", "on"});
    CHECK(complete("-j link sh") == List{"show"});
    CHECK(complete("show port ").front() == "info");
    CHECK(complete("frob ").empty());
    CHECK(complete("link 'x ").empty());
}

TEST_CASE("grammar: help tells more the more it is asked", "[control][grammar]") {
    CHECK(help({}).find("link add") != std::string::npos);
    const std::vector<std::string> object{"ip", "link"};
    CHECK(help(object).starts_with("link add [name] NAME"));
    const std::vector<std::string> verb{"link", "add"};
    const std::string text = help(verb);
    CHECK(text.find("type vxlan") != std::string::npos);
    CHECK(text.find("ttl { N | auto | inherit }") != std::string::npos);
    CHECK(text.find("[no]learning") != std::string::npos);
}

TEST_CASE("docs/commands.md is what the grammar says", "[control][grammar][docs]") {
    std::ifstream file(CULVERT_SOURCE_ROOT "/docs/commands.md");
    std::ostringstream text;
    text << file.rdbuf();
    INFO("make it anew: culvertctl help markdown > docs/commands.md");
    CHECK((text.str() == commands_markdown()));
}

}  // namespace culvert::control::test
