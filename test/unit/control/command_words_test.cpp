// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/command_lines.hpp"
#include "lib/control/output.hpp"
#include "lib/control/parse_words.hpp"
#include "lib/control/protocol.hpp"

#include <catch2/catch.hpp>

#include <stdlib.h>

#include <sstream>

namespace culvert::control::test {

namespace {

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("words: blanks, quotes, escapes and comments are a shell's", "[control][words]") {
    CHECK(parse_words("").value().empty());
    CHECK(parse_words(" \t ").value().empty());
    CHECK(parse_words("link  show\tvx0\r\n").value() == Words{"link", "show", "vx0"});
    CHECK(parse_words(R"(a 'b c' "d \" e" f\ g)").value() == Words{"a", "b c", "d \" e", "f g"});
    CHECK(parse_words(R"('a\b' x'y'z "")").value() == Words{"a\\b", "xyz", ""});
    CHECK(parse_words("link show # all of them").value() == Words{"link", "show"});
    CHECK(parse_words("name a#b").value() == Words{"name", "a#b"});
    CHECK(parse_words("# nothing").value().empty());
}

TEST_CASE("words: an open quote and control characters are refused", "[control][words]") {
    for (std::string_view line :
         {"link 'show",
          "link \"show",
          "a\x01"
          "b",
          "\x7f"}) {
        auto words = parse_words(line);
        REQUIRE_FALSE(words);
        CHECK(words.error().code == std::errc::invalid_argument);
    }
}

TEST_CASE("words: what is quoted is read back the same", "[control][words]") {
    const Words words{
        "plain", "two words", "", "quote\"", "back\\slash", "it's", "#hash", "tab\there"};
    const std::string line = quote_words(std::span(words).first(7));
    CHECK(parse_words(line).value() == Words(words.begin(), words.begin() + 7));
    CHECK(quote_words(Words{"link", "show"}) == "link show");
}

TEST_CASE("words: UTF-8 is told from what is none", "[control][words]") {
    for (std::string_view good :
         {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
        CHECK(is_utf8(good));
    }
    for (std::string_view bad :
         {"\xff",
          "\x80",
          "\xc3",
          "\xc0\xaf",
          "\xe0\x80\x80",
          "\xed\xa0\x80",
          "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80",
          "\xe2\x82",
          "a\xc3(",
          "\xf0\x8f\xbf\xbf"}) {
        CHECK_FALSE(is_utf8(bad));
    }
}

TEST_CASE(
    "lines: comments, empty lines and continuations, with their numbers", "[control][config]"
) {
    std::istringstream input("# a comment\n"
                             "\n"
                             "link add br0 \\\n"
                             "    type bridge   # the access side\n"
                             "  link set br0 up\r\n"
                             "link set '#odd' up\n"
                             "last \\\n");
    auto commands = read_commands(input);
    REQUIRE(commands.size() == 4);
    CHECK(commands[0].number == 3);
    CHECK(parse_words(commands[0].text).value() == Words{"link", "add", "br0", "type", "bridge"});
    CHECK(commands[1].number == 5);
    CHECK(commands[1].text == "  link set br0 up");
    CHECK(parse_words(commands[2].text).value() == Words{"link", "set", "#odd", "up"});
    CHECK(commands[3].number == 7);
    CHECK(parse_words(commands[3].text).value() == Words{"last"});
}

TEST_CASE("protocol: replies are one line and come back the same", "[control][protocol]") {
    Reply good;
    good.output = "two\nlines \"quoted\"\n";
    good.data = R"([{"ifname":"vx0"}])";
    const std::string line = encode_reply(good);
    CHECK(line == R"({"ok":true,"output":"two\nlines \"quoted\"\n","data":[{"ifname":"vx0"}]})");
    Reply back = decode_reply(line).value();
    CHECK(back.ok);
    CHECK(back.output == good.output);
    CHECK(back.data == good.data);

    Reply bad;
    bad.ok = false;
    bad.errno_name = "EEXIST";
    bad.error = "link add vx0: no";
    bad.exit_status = 2;
    CHECK(
        encode_reply(bad) == R"({"ok":false,"errno":"EEXIST","error":"link add vx0: no","exit":2})"
    );
    back = decode_reply(encode_reply(bad)).value();
    CHECK_FALSE(back.ok);
    CHECK(back.errno_name == "EEXIST");
    CHECK(back.exit_status == 2);
    CHECK(
        encode_reply({.ok = true, .output = "\xff", .data = "", .errno_name = "", .error = ""})
            .find('\xff') == std::string::npos
    );
}

TEST_CASE("protocol: what is no reply is refused", "[control][protocol]") {
    for (std::string_view line : {"", "hello", "{", "[]", "{}", R"({"ok":1})"}) {
        auto reply = decode_reply(line);
        REQUIRE_FALSE(reply);
        CHECK(reply.error().code == std::errc::bad_message);
    }
}

TEST_CASE(
    "protocol: errors for people carry the errno's name unless the line was wrong",
    "[control][protocol]"
) {
    CHECK(error_line("link add vx0: no", "EEXIST", 2) == "Error: link add vx0: no (EEXIST)");
    CHECK(
        error_line("argument \"id\" is a duplicate", "EINVAL", 1) ==
        "Error: argument \"id\" is a duplicate"
    );
    CHECK(errno_name(std::errc::address_not_available) == "EADDRNOTAVAIL");
}

TEST_CASE("protocol: the socket's default path follows the environment", "[control][protocol]") {
    auto environment = [](const char* name) {
        const char* value = getenv(name);
        return value == nullptr ? std::string() : std::string(value);
    };
    const std::string old_socket = environment("CULVERT_SOCKET");
    const std::string old_runtime = environment("XDG_RUNTIME_DIR");
    setenv("CULVERT_SOCKET", "/tmp/elsewhere.sock", 1);
    CHECK(default_socket_path(SocketUse::listen) == "/tmp/elsewhere.sock");
    CHECK(default_socket_path(SocketUse::connect) == "/tmp/elsewhere.sock");
    unsetenv("CULVERT_SOCKET");
    unsetenv("XDG_RUNTIME_DIR");
    CHECK(default_socket_path(SocketUse::listen) == "/run/culvert/culvert.sock");
    CHECK(default_socket_path(SocketUse::connect) == "/run/culvert/culvert.sock");
    if (!old_socket.empty()) {
        setenv("CULVERT_SOCKET", old_socket.c_str(), 1);
    }
    if (!old_runtime.empty()) {
        setenv("XDG_RUNTIME_DIR", old_runtime.c_str(), 1);
    }
}

TEST_CASE("output: pretty JSON looks like iproute2's", "[control][output]") {
    Output out(true, true);
    out.entry(
        {{"ifindex", 5},
         {"flags", {"UP", "LOWER_UP"}},
         {"none", Json::array()},
         {"info", {{"kind", "x"}}}}
    );
    out.entry({{"ifindex", 6}});
    const std::string expected = "[ {\n"
                                 "        \"ifindex\": 5,\n"
                                 "        \"flags\": [ \"UP\",\"LOWER_UP\" ],\n"
                                 "        \"none\": [ ],\n"
                                 "        \"info\": {\n"
                                 "            \"kind\": \"x\"\n"
                                 "        }\n"
                                 "    },{\n"
                                 "        \"ifindex\": 6\n"
                                 "    } ]\n";
    CHECK(out.take_text() == expected);
    CHECK(
        out.take_json() ==
        R"([{"ifindex":5,"flags":["UP","LOWER_UP"],"none":[],"info":{"kind":"x"}},{"ifindex":6}])"
    );
}

TEST_CASE("output: an empty list is a list, and nothing is nothing", "[control][output]") {
    Output pretty(true, true);
    pretty.list();
    CHECK(pretty.take_text() == "[ ]\n");
    Output plain(true, false);
    plain.list();
    CHECK(plain.take_text() == "[]\n");
    CHECK(plain.take_json() == "[]");
    Output nothing(true, false);
    CHECK(nothing.take_text().empty());
    CHECK(nothing.take_json() == "null");
}

}  // namespace culvert::control::test
