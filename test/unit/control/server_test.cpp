// SPDX-License-Identifier: BSD-3-Clause
#include "test/unit/control/server_fixture.hpp"

namespace culvert::control::test {

TEST_CASE_METHOD(
    ServerFixture, "server: requests are answered in order, a line each", "[control][server]"
) {
    Peer peer(path);
    peer.send("one\ntwo\nfail\n\n");
    serve();
    auto replies = peer.replies();
    REQUIRE(replies.size() == 4);
    CHECK(replies[0].dump() == R"({"ok":true,"output":"you said one\n","data":[1,2]})");
    CHECK(replies[1]["output"] == "you said two\n");
    CHECK(replies[2].dump() == R"({"ok":false,"errno":"EEXIST","error":"it exists","exit":2})");
    CHECK(replies[3]["ok"] == true);
    CHECK(lines == std::vector<std::string>{"one", "two", "fail", ""});
}

TEST_CASE_METHOD(ServerFixture, "server: a line may come in any pieces", "[control][server]") {
    Peer peer(path);
    for (char c : std::string("slow")) {
        peer.send(std::string(1, c));
        serve();
        CHECK(lines.empty());
    }
    peer.send("ly\r\nnext");
    serve();
    CHECK(lines == std::vector<std::string>{"slowly\r"});
    peer.send("\n");
    serve();
    CHECK(lines.back() == "next");
    CHECK(peer.replies().size() == 2);
}

TEST_CASE_METHOD(
    ServerFixture,
    "server: garbage is answered with an error, and the connection goes on",
    "[control][server]"
) {
    Peer peer(path);
    peer.send(std::string("\xff\xfe\0garbage\n", 11));
    serve();
    auto replies = peer.replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies.front()["ok"] == false);
    CHECK(replies.front()["errno"] == "EILSEQ");
    peer.send("fine\n");
    serve();
    CHECK(lines == std::vector<std::string>{"fine"});
}

TEST_CASE_METHOD(
    ServerFixture,
    "server: a megabyte without a newline ends in an error and a closed connection",
    "[control][server]"
) {
    Peer greedy(path);
    Peer modest(path);
    const std::string flood(4096, 'x');
    std::size_t sent = 0;
    for (int i = 0; i < 1000 && sent < 1000000; ++i) {
        sent += greedy.send(flood);
        serve();
    }
    greedy.receive();
    CHECK(greedy.closed);
    CHECK(greedy.received.find("EMSGSIZE") != std::string::npos);
    CHECK(lines.empty());
    modest.send("hello\n");
    serve();
    CHECK(modest.replies().size() == 1);
    CHECK(server.client_count() == 1);
}

TEST_CASE_METHOD(
    Tight, "server: a whole line beyond the limit is refused too", "[control][server]"
) {
    Peer peer(path);
    peer.send(std::string(2000, 'y') + "\nafter\n");
    serve();
    auto replies = peer.replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0]["errno"] == "EMSGSIZE");
    CHECK(peer.closed);
    CHECK(lines.empty());
}

TEST_CASE_METHOD(
    Tight,
    "server: one client's flood of commands leaves the others their turns",
    "[control][server]"
) {
    Peer flooding(path);
    Peer other(path);
    std::string flood;
    for (int i = 0; i < 100; ++i) {
        flood += "f\n";
    }
    flooding.send(flood);
    server.serve();  // accepts
    server.serve();
    CHECK(lines.size() == 4);
    other.send("o\n");
    server.serve();
    CHECK(std::count(lines.begin(), lines.end(), "o") == 1);
    CHECK(lines.size() < 20);
    serve();
    CHECK(lines.size() == 101);
    CHECK(flooding.replies().size() == 100);
}

TEST_CASE_METHOD(
    Tight,
    "server: a client that takes nothing is held up, then closed; others are served",
    "[control][server]"
) {
    Peer stalled(path);
    Peer other(path);
    stalled.send("big 1000000\nbig 1000000\nbig 1000000\n");
    serve();
    CHECK(lines.size() == 1);  // the next one waits until this one is taken
    other.send("hello\n");
    serve();
    CHECK(other.replies().size() == 1);
    CHECK(server.client_count() == 2);

    now_ms += 4999;
    other.send("hello\n");
    serve();
    CHECK(server.client_count() == 2);
    now_ms += 1;
    other.send("hello\n");
    serve();
    CHECK(server.client_count() == 1);
    CHECK(other.replies().size() == 2);
}

TEST_CASE_METHOD(
    Tight,
    "server: an answer larger than the backlog arrives whole when it is taken",
    "[control][server]"
) {
    Peer peer(path);
    peer.send("big 3000000\nbig 10\n");
    for (int i = 0; i < 1000 && std::count(peer.received.begin(), peer.received.end(), '\n') < 2;
         ++i) {
        serve();
        peer.receive();
        now_ms += 1000;  // slow, but it goes on
    }
    auto replies = peer.replies();
    REQUIRE(replies.size() == 2);
    CHECK(replies[0]["output"].get<std::string>().size() == 3000000);
    CHECK(replies[1]["output"].get<std::string>().size() == 10);
    CHECK(server.client_count() == 1);
}

TEST_CASE_METHOD(Tight, "server: no more clients than the limit", "[control][server]") {
    Peer a(path);
    Peer b(path);
    Peer c(path);
    Peer d(path);
    serve();
    CHECK(server.client_count() == 3);
    auto replies = d.replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0]["error"] == "there are 3 clients already");
    CHECK(d.closed);
    a.close();
    serve();
    CHECK(server.client_count() == 2);
    Peer e(path);
    e.send("hello\n");
    serve();
    CHECK(e.replies().size() == 1);
}

TEST_CASE_METHOD(
    ServerFixture, "server: what was asked before the client's end is answered", "[control][server]"
) {
    Peer peer(path);
    peer.send("one\ntwo\nhalf");
    peer.half_close();
    serve();
    CHECK(peer.replies().size() == 2);
    CHECK(lines == std::vector<std::string>{"one", "two"});
    peer.receive();
    CHECK(peer.closed);
    CHECK(server.client_count() == 0);
}

TEST_CASE_METHOD(
    Tight,
    "server: monitors get events as lines, and are closed when they stall",
    "[control][server]"
) {
    Peer text(path);
    Peer json(path);
    Peer plain(path);
    text.send("monitor\n");
    json.send("-j monitor\n");
    serve();
    CHECK(server.has_monitor(1));
    CHECK_FALSE(server.has_monitor(2));
    CHECK(text.replies().size() == 1);
    CHECK(json.replies().size() == 1);

    server.publish(1, "an event\n", R"({"event":"link"})");
    server.publish(2, "another object's\n", "{}");
    auto seen = text.replies();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].dump() == R"({"ok":true,"output":"an event\n","data":{"event":"link"}})");
    CHECK(json.replies()[0]["output"] == "{\"event\":\"link\"}\n");
    CHECK(plain.replies().empty());

    text.send("link show\n");  // a monitor's words are not read
    serve();
    CHECK(lines.size() == 2);

    const std::string event(10000, 'e');
    for (int i = 0; i < 1000 && server.client_count() == 3; ++i) {
        server.publish(1, event, "{}");
        json.receive();
        plain.send("tick\n");
        serve();
        plain.receive();
    }
    CHECK(server.client_count() == 2);
    CHECK(server.has_monitor(1));
    json.receive();
    CHECK_FALSE(json.closed);
}

TEST_CASE_METHOD(
    ServerFixture, "server: garbage of all kinds leaves it standing", "[control][server]"
) {
    std::uint32_t state = 12345;
    auto next = [&] { return state = state * 1664525 + 1013904223; };
    for (int round = 0; round < 200; ++round) {
        Peer peer(path);
        std::string bytes;
        for (std::uint32_t n = next() % 500; n > 0; --n) {
            bytes += static_cast<char>(next() >> 24);
        }
        peer.send(bytes);
        server.serve();
        if (round % 3 == 0) {
            serve();
        }
    }
    Peer peer(path);
    peer.send("still there\n");
    serve();
    CHECK(peer.replies().size() == 1);
    CHECK(server.client_count() == 1);
}

}  // namespace culvert::control::test
