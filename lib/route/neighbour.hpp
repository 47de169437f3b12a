// SPDX-License-Identifier: BSD-3-Clause
// The neighbour table: the kernel's state machine and timings (catalogue 4.6, NEI-*), ARP in and
// out, and the packets that wait for an answer. Control only. It knows no clock, no device and no
// packet pool: time is an argument, and what it wants done it says through NeighbourActions, so
// that tests drive it without waiting.
#pragma once

#include "lib/net/address.hpp"
#include "lib/net/arp.hpp"
#include "lib/net/ether.hpp"
#include "lib/net/link_id.hpp"
#include "lib/net/result.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

struct rte_mbuf;

namespace culvert::route {

// Values as in the kernel (include/uapi/linux/neighbour.h).
enum class NeighbourState : std::uint8_t {
    none = 0x00,
    incomplete = 0x01,
    reachable = 0x02,
    stale = 0x04,
    delay = 0x08,
    probe = 0x10,
    failed = 0x20,
    noarp = 0x40,
    permanent = 0x80,
};

struct NeighbourKey {
    LinkId link = kNoLink;
    net::IpAddress address;
    // NOLINTNEXTLINE(modernize-use-nullptr): the tool takes the comparison with 0 for a pointer
    friend auto operator<=>(const NeighbourKey&, const NeighbourKey&) = default;
};

// net.ipv4.neigh.*: the kernel's defaults.
struct NeighbourParameters {
    std::uint32_t mcast_solicit = 3;
    std::uint32_t ucast_solicit = 3;
    std::uint32_t retrans_time_ms = 1000;
    std::uint32_t base_reachable_time_ms = 30000;
    std::uint32_t delay_first_probe_time_ms = 5000;
    std::uint32_t gc_stale_time_ms = 60000;
    std::uint32_t locktime_ms = 1000;
    std::uint32_t queue_packets =
        101;                           // that wait for one neighbour; the kernel counts their bytes
    std::uint32_t queue_total = 2048;  // that wait for any: a scan must not empty the packet pool
    std::uint32_t gc_thresh1 = 128;    // fewer are never collected
    std::uint32_t gc_thresh3 = 65536;  // --neigh-size; garbage is forced out down to half of it
    std::uint32_t random_seed = 0;     // for the reachable time; 0 = a random one
};

// What an administrator says of a neighbour beside its state.
struct NeighbourTraits {
    bool router = false;
    bool extern_learn = false;  // by a routing daemon: never collected
    bool managed = false;       // resolved, and kept so, without traffic
    std::string protocol{};     // who said it; empty = nobody in particular
};

struct Neighbour {
    NeighbourKey key;
    net::MacAddress mac;
    NeighbourState state = NeighbourState::none;
    bool router = false;
    bool extern_learn = false;
    bool managed = false;
    bool has_mac = false;  // exactly in the kernel's NUD_VALID states
    std::uint32_t probes = 0;
    std::uint64_t confirmed_ms = 0;
    std::uint64_t updated_ms = 0;
    std::uint64_t used_ms = 0;
    std::uint64_t timer_ms = 0;    // when the state machine acts next; 0 = never
    std::uint32_t references = 0;  // routes whose gateway it is: not garbage collected
    std::string protocol{};
    std::deque<rte_mbuf*> queue;  // complete but for the link header's addresses, oldest first
};

enum class QueueVerdict : std::uint8_t { failed, overflow, removed, table_full };

struct NeighbourCounters {
    std::uint64_t res_failed = 0;      // resolutions that nobody answered
    std::uint64_t unres_discards = 0;  // packets dropped since too many waited
    std::uint64_t table_fulls = 0;     // neighbours not created for lack of room
    std::uint64_t forced_gc_runs = 0;
};

// Called from within the table's own calls: must not call back into it but for find().
class NeighbourActions {
public:
    virtual ~NeighbourActions() = default;
    // An ARP request or a neighbour solicitation for key.address out of key.link; to `unicast_to`
    // when probing, else to all (IPv6: to its group).
    virtual void solicit(const NeighbourKey& key, std::optional<net::MacAddress> unicast_to) = 0;
    // The neighbour's state, MAC or existence changed (state none + removed = true: gone; who holds
    // it keeps an entry in state none).
    virtual void changed(const Neighbour& neighbour, bool removed) = 0;
    // A waiting packet may go to `neighbour` now / is given up. Ownership of the packet passes.
    virtual void send(const Neighbour& neighbour, rte_mbuf* packet) = 0;
    virtual void give_up(const Neighbour& neighbour, rte_mbuf* packet, QueueVerdict why) = 0;
};

class NeighbourTable {
public:
    NeighbourTable(NeighbourActions& actions, NeighbourParameters parameters);

    [[nodiscard]] const NeighbourParameters& parameters() const noexcept { return parameters_; }

    // For what begins from now on; timers that run keep their time.
    void set_parameters(const NeighbourParameters& parameters) { parameters_ = parameters; }

    // Gives up what still waits.
    ~NeighbourTable();
    NeighbourTable(const NeighbourTable&) = delete;
    NeighbourTable& operator=(const NeighbourTable&) = delete;

    // A packet needs `key`: NEI-01, -03, -06, -07. Takes the packet. When the neighbour has a MAC
    // it is sent at once.
    void resolve(const NeighbourKey& key, rte_mbuf* packet, std::uint64_t now_ms);
    // The same without a packet: a route or tunnel wants the neighbour known.
    void request(const NeighbourKey& key, std::uint64_t now_ms);
    // Workers said that packets went to this neighbour: STALE -> DELAY (NEI-06), and "used" for
    // NEI-05.
    void used(const NeighbourKey& key, std::uint64_t now_ms);

    // ARP input after the header was checked (NEI-10). `to_us`: the packet's target is an address
    // of ours; `unicast`: the frame was sent to our MAC. Replying is the caller's business.
    void arp_input(
        LinkId link, const net::ArpHeader& arp, bool to_us, bool unicast, std::uint64_t now_ms
    );

    // IPv6: a neighbour's link-layer address, from a checked message of neighbour discovery. The
    // caller knows the message's rules (neighbour_discovery.cpp); `create`: also of one that is not
    // in the table.
    struct Heard {
        std::optional<net::MacAddress> mac{};  // of its option
        bool is_reachable = false;             // a solicited advertisement
        bool is_override = false;
        std::optional<bool> is_router{};  // said by the message
        bool create = false;
    };

    void discovery_input(const NeighbourKey& key, const Heard& heard, std::uint64_t now_ms);

    enum class Verb : std::uint8_t { add, replace, change };
    // ip neigh add|replace|change|del: NEI-14 errors (EEXIST, ENOENT, EINVAL, ENOBUFS).
    Result<void>
    set(Verb verb,
        const NeighbourKey& key,
        std::optional<net::MacAddress> mac,
        NeighbourState state,
        bool router,
        std::uint64_t now_ms);
    Result<void> del(const NeighbourKey& key);
    // What set() has made or changed: NTF_EXT_LEARNED, NTF_EXT_MANAGED, NDA_PROTOCOL. A neighbour
    // in state none that is managed is asked for at once.
    void set_traits(const NeighbourKey& key, const NeighbourTraits& traits, std::uint64_t now_ms);
    // An entry in state none that is not held by anybody, for NTF_USE and NTF_EXT_MANAGED. Error
    // ENOBUFS.
    Result<void> create(const NeighbourKey& key, std::uint64_t now_ms);
    // ip neigh flush: all but permanent and noarp, of one link (kNoLink = all). Returns how many.
    std::size_t flush(LinkId link);
    // NEI-13: the link went down (all, permanent too) or away.
    void link_down(LinkId link, std::optional<net::Family> family);

    // --- proxies: addresses for which a link answers ARP or neighbour discovery although they are
    // elsewhere (ip neigh add proxy) --- errors EINVAL, ENOENT
    struct Proxy {
        NeighbourKey key;
        bool router = false;
        std::string protocol{};
    };

    Result<void> set_proxy(const Proxy& proxy);
    Result<void> del_proxy(const NeighbourKey& key);
    [[nodiscard]] const Proxy* find_proxy(const NeighbourKey& key) const;
    void for_each_proxy(const std::function<void(const Proxy&)>& visit) const;

    // References held by routes; a referenced neighbour is not garbage collected. hold() creates it
    // in state none.
    Result<void> hold(const NeighbourKey& key, std::uint64_t now_ms);
    void release(const NeighbourKey& key);

    // Runs due timers and garbage collection. Returns when it wants to be called next (ms),
    // UINT64_MAX = never.
    std::uint64_t tick(std::uint64_t now_ms);

    [[nodiscard]] const Neighbour* find(const NeighbourKey& key) const;
    void for_each(const std::function<void(const Neighbour&)>& visit) const;

    [[nodiscard]] std::size_t size() const noexcept { return neighbours_.size(); }

    [[nodiscard]] std::size_t queued_packets() const noexcept { return queued_packets_; }

    [[nodiscard]] const NeighbourCounters& counters() const noexcept { return counters_; }

private:
    using Neighbours = std::map<NeighbourKey, Neighbour>;

    struct Update {
        std::optional<net::MacAddress> mac;
        NeighbourState state = NeighbourState::none;
        bool is_override = false;  // may replace a known MAC
        bool is_admin = false;     // a user's word: may change permanent and noarp
        // Where it may not replace a MAC that is confirmed, that one becomes stale.
        bool is_weak_override = false;
    };

    // neighbour.cpp: the table
    void drop_proxies(LinkId link, std::optional<net::Family> family);
    Result<Neighbour*> find_or_create(const NeighbourKey& key, std::uint64_t now_ms);
    bool make_room(std::uint64_t now_ms);
    std::size_t force_garbage_out(std::size_t most, std::uint64_t now_ms);
    void collect_garbage(std::uint64_t now_ms);
    void reset(Neighbour& neighbour);
    Neighbours::iterator remove(Neighbours::iterator at);
    template <typename Pick>
    std::size_t remove_if(Pick pick);

    // neighbour_state.cpp: the state machine
    void begin_resolution(Neighbour& neighbour, std::uint64_t now_ms);
    void probe(Neighbour& neighbour);
    void note_use(Neighbour& neighbour, std::uint64_t now_ms);
    void enqueue(Neighbour& neighbour, rte_mbuf* packet);
    rte_mbuf* dequeue(Neighbour& neighbour);
    void give_up_queue(Neighbour& neighbour, QueueVerdict why);
    void on_timer(Neighbour& neighbour, std::uint64_t now_ms);
    void on_reachable_timer(Neighbour& neighbour, std::uint64_t now_ms);
    void on_delay_timer(Neighbour& neighbour, std::uint64_t now_ms);
    void on_probe_timer(Neighbour& neighbour, std::uint64_t now_ms);
    void update(Neighbour& neighbour, const Update& update, std::uint64_t now_ms);
    void invalidate(Neighbour& neighbour, NeighbourState state, std::uint64_t now_ms);
    void enter(Neighbour& neighbour, NeighbourState state, std::uint64_t now_ms);
    void set_timer(Neighbour& neighbour, std::uint64_t at_ms);
    void draw_reachable_time(std::uint64_t now_ms);
    void refresh_managed(std::uint64_t now_ms);

    NeighbourActions& actions_;
    NeighbourParameters parameters_;
    Neighbours neighbours_;
    std::set<std::pair<std::uint64_t, NeighbourKey>>
        timers_;  // (Neighbour::timer_ms, key) of those that run
    std::minstd_rand random_;
    std::uint64_t reachable_time_ms_ = 0;
    std::uint64_t next_draw_ms_ = 0;
    std::size_t queued_packets_ = 0;
    std::size_t exempt_ = 0;  // permanent ones: they do not count against gc_thresh3
    std::set<NeighbourKey> managed_;
    std::map<NeighbourKey, Proxy> proxies_;
    std::uint64_t next_refresh_ms_ = 0;     // of managed ones
    std::uint64_t next_gc_ms_ = 0;          // 0 = not planned
    std::uint64_t next_soft_force_ms_ = 0;  // above half of gc_thresh3
    std::uint64_t next_hard_force_ms_ = 0;  // at gc_thresh3, after a try that found nothing
    NeighbourCounters counters_;
};

}  // namespace culvert::route
