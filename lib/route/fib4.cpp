// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib4.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_rib.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace culvert::route {

namespace {

// What rte_fib answers: the number of a slot, which holds the adjacency. 0 is in no route and is
// not the default: it is seen only by a reader that meets a tbl8 group in the moment it is wiped,
// after its tbl24 entry was written (22.11 wipes at once). Such a reader looks again.
constexpr std::uint64_t kTornSlot = 0;
// rte_fib's default: the route of 0.0.0.0/0, which is not given to rte_fib itself.
constexpr std::uint32_t kDefaultSlot = 1;
constexpr std::uint32_t kFirstSlot = 2;

constexpr std::uint32_t kInitialRoutes = 16384;
constexpr std::uint32_t kInitialGroups = 1024;
constexpr std::uint32_t kGrowth = 4;
// Slots and tbl8 groups beyond the routes: slots that wait for a grace period, and the second group
// that rte_fib wants free when it adds 255.255.255.255/32.
constexpr std::uint32_t kSlack = 1024;
constexpr std::uint8_t kGroupDepth = 24;  // longer prefixes are in a tbl8 group of their /24
constexpr std::size_t kMaxBulk = 64;

struct Size {
    std::uint32_t routes = 0;
    std::uint32_t groups = 0;
};

std::uint64_t key_of(const net::Prefix& prefix) noexcept {
    return (std::uint64_t{prefix.address.v4()} << 8) | prefix.length;
}

// nullptr: rte_errno says why.
rte_fib* create_fib(Size size) {
    static std::atomic<std::uint32_t> count{0};
    // Short: rte_rib puts it into a memory pool's name.
    const std::string name = fmt::format("f4_{}_{}", ::getpid(), count.fetch_add(1));
    rte_fib_conf conf{};
    conf.type = RTE_FIB_DIR24_8;
    conf.default_nh = kDefaultSlot;
    conf.max_routes = static_cast<int>(size.routes);
    conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
    conf.dir24_8.num_tbl8 = size.groups;
    return rte_fib_create(name.c_str(), SOCKET_ID_ANY, &conf);
}

}  // namespace

struct Fib4::State {
    // readers
    std::atomic<rte_fib*> fib{nullptr};         // worker: ro, control: wo
    std::atomic<AdjacencyId>* slots = nullptr;  // worker: ro, control: wo

    // writer
    rcu::Domain& domain;
    std::uint32_t max_routes;
    Size size;
    std::uint32_t next_slot = kFirstSlot;
    // Shared with what is retired, which may run after this object is gone.
    std::shared_ptr<std::vector<std::uint32_t>> free_slots =
        std::make_shared<std::vector<std::uint32_t>>();
    std::unordered_map<std::uint64_t, std::uint32_t> routes;  // key_of(prefix) -> slot
    std::optional<std::uint64_t>
        freed_group;  // grace period after the last delete that freed a tbl8 group

    State(rcu::Domain& rcu_domain, std::uint32_t routes_limit)
        : domain(rcu_domain)
        , max_routes(routes_limit) {}

    ~State() {
        rte_fib_free(fib.load(std::memory_order_relaxed));
        if (slots != nullptr) {
            ::munmap(slots, slots_bytes());
        }
    }

    State(const State&) = delete;
    State& operator=(const State&) = delete;

    [[nodiscard]] std::uint32_t slot_count() const noexcept {
        return max_routes + kFirstSlot + kSlack;
    }

    [[nodiscard]] std::size_t slots_bytes() const noexcept {
        return std::size_t{slot_count()} * sizeof(*slots);
    }

    [[nodiscard]] rte_fib* current() const noexcept { return fib.load(std::memory_order_relaxed); }

    bool map_slots() noexcept;
    [[nodiscard]] bool has_longer(std::uint32_t address, unsigned length) const;
    [[nodiscard]] bool is_hazardous(const net::Prefix& prefix) const;
    Result<void> rebuild(Size next);
    std::uint32_t take_slot();

    void retire_slot(std::uint32_t slot) {
        domain.retire([free = free_slots, slot] { free->push_back(slot); });
    }

    Result<void> insert(const net::Prefix& prefix, std::uint32_t slot);
    Result<void> remove(const net::Prefix& prefix, std::uint32_t slot);
    int insert_once(const net::Prefix& prefix, std::uint32_t slot);
};

bool Fib4::State::map_slots() noexcept {
    void* memory = ::mmap(
        nullptr,
        slots_bytes(),
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
        -1,
        0
    );
    if (memory == MAP_FAILED) {
        return false;
    }
    // Zero pages are "no adjacency": nothing to construct.
    slots = static_cast<std::atomic<AdjacencyId>*>(memory);
    return true;
}

// Is there a route for `address` with a longer prefix than `length`?
bool Fib4::State::has_longer(std::uint32_t address, unsigned length) const {
    for (unsigned longer = length + 1; longer <= 32; ++longer) {
        const net::Prefix prefix{
            net::IpAddress::from_v4(address), static_cast<std::uint8_t>(longer)};
        if (routes.count(key_of(prefix.network())) != 0) {
            return true;
        }
    }
    return false;
}

// 22.11 writes a prefix range by range, around the longer prefixes within. When it ends at
// 255.255.255.255 and the last two of those meet, the range that is left starts and ends at 2^32 =
// 0, and is taken for the whole table: adding 254.0.0.0/7 to 254.0.0.0/8 and 255.0.0.0/8 would
// overwrite every route.
bool Fib4::State::is_hazardous(const net::Prefix& prefix) const {
    const std::uint32_t host_bits = prefix.length == 32 ? 0 : ~std::uint32_t{0} >> prefix.length;
    if (prefix.length == 32 || (prefix.address.v4() | host_bits) != ~std::uint32_t{0}) {
        return false;
    }
    for (unsigned longer = prefix.length + 1U; longer <= 32; ++longer) {
        const std::uint32_t start = ~std::uint32_t{0} << (32 - longer);
        const net::Prefix last{net::IpAddress::from_v4(start), static_cast<std::uint8_t>(longer)};
        if (routes.count(key_of(last)) != 0) {
            return has_longer(start - 1, prefix.length);
        }
    }
    return false;
}

// Builds another rte_fib with the same routes under the same slots and shows it to the readers.
Result<void> Fib4::State::rebuild(Size next) {
    rte_fib* other = create_fib(next);
    if (other == nullptr) {
        return Error{
            std::errc::not_enough_memory,
            fmt::format(
                "IPv4 FIB: no memory for {} routes: {}", next.routes, rte_strerror(rte_errno)
            )};
    }
    // Shorter prefixes first: none is hazardous then.
    std::vector<std::pair<std::uint64_t, std::uint32_t>> sorted(routes.begin(), routes.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return std::pair(a.first & 0xff, a.first) < std::pair(b.first & 0xff, b.first);
    });
    for (const auto& [key, slot] : sorted) {
        const auto length = static_cast<std::uint8_t>(key & 0xff);
        if (length == 0) {
            continue;
        }
        const int added = rte_fib_add(other, static_cast<std::uint32_t>(key >> 8), length, slot);
        if (added != 0) {
            rte_fib_free(other);
            return Error{
                std::errc::no_space_on_device,
                fmt::format(
                    "IPv4 FIB: rebuild for {} routes: {}", next.routes, rte_strerror(-added)
                )};
        }
    }
    rte_fib* old = fib.exchange(other, std::memory_order_acq_rel);
    domain.retire([old] { rte_fib_free(old); });
    size = next;
    freed_group.reset();
    return {};
}

// 0: all are taken.
std::uint32_t Fib4::State::take_slot() {
    if (free_slots->empty() && next_slot == slot_count()) {
        domain.synchronize();
    }
    if (!free_slots->empty()) {
        const std::uint32_t slot = free_slots->back();
        free_slots->pop_back();
        return slot;
    }
    return next_slot < slot_count() ? next_slot++ : 0;
}

int Fib4::State::insert_once(const net::Prefix& prefix, std::uint32_t slot) {
    // The group that is taken now may be one that a reader still looks into.
    if (prefix.length > kGroupDepth && freed_group.has_value()) {
        if (!domain.has_passed(*freed_group)) {
            domain.synchronize();
        }
        freed_group.reset();
    }
    return rte_fib_add(current(), prefix.address.v4(), prefix.length, slot);
}

// `routes` does not have it yet.
Result<void> Fib4::State::insert(const net::Prefix& prefix, std::uint32_t slot) {
    if (is_hazardous(prefix)) {
        routes.emplace(key_of(prefix), slot);
        Result<void> rebuilt = rebuild({std::min(size.routes + 1, max_routes), size.groups});
        routes.erase(key_of(prefix));
        return rebuilt;
    }
    if (routes.size() >= size.routes) {
        CULVERT_CHECK(rebuild({std::min(size.routes * kGrowth, max_routes), size.groups}));
    }
    const std::uint32_t most_groups = max_routes + kSlack;
    int added = insert_once(prefix, slot);
    while (added == -ENOSPC && size.groups < most_groups) {
        CULVERT_CHECK(rebuild({size.routes, std::min(size.groups * kGrowth, most_groups)}));
        added = insert_once(prefix, slot);
    }
    if (added != 0) {
        return Error{
            added == -ENOMEM ? std::errc::not_enough_memory : std::errc::no_space_on_device,
            fmt::format("IPv4 FIB: add {}: {}", prefix.to_string(), rte_strerror(-added))};
    }
    return {};
}

// `routes` still has it.
Result<void> Fib4::State::remove(const net::Prefix& prefix, std::uint32_t slot) {
    if (is_hazardous(prefix)) {
        routes.erase(key_of(prefix));
        Result<void> rebuilt = rebuild(size);
        routes.emplace(key_of(prefix), slot);
        return rebuilt;
    }
    const std::uint32_t address = prefix.address.v4();
    if (const int removed = rte_fib_delete(current(), address, prefix.length); removed != 0) {
        return Error{
            static_cast<std::errc>(-removed),
            fmt::format("IPv4 FIB: delete {}: {}", prefix.to_string(), rte_strerror(-removed))};
    }
    if (prefix.length > kGroupDepth) {
        rte_rib* rib = rte_fib_get_rib(current());
        const std::uint32_t group = address & 0xffffff00;
        if (rte_rib_get_nxt(rib, group, kGroupDepth, nullptr, RTE_RIB_GET_NXT_COVER) == nullptr) {
            freed_group = domain.start_grace_period();
        }
    }
    return {};
}

Fib4::Fib4(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Fib4::~Fib4() = default;

Result<std::unique_ptr<Fib4>> Fib4::create(rcu::Domain& domain, std::uint32_t max_routes) {
    if (max_routes == 0 || max_routes > std::uint32_t{1} << 28) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("IPv4 FIB: {} is not a number of routes it can hold", max_routes)};
    }
    auto state = std::make_unique<State>(domain, max_routes);
    state->size = {std::min(kInitialRoutes, max_routes), kInitialGroups};
    state->fib.store(create_fib(state->size), std::memory_order_release);
    if (state->current() == nullptr || !state->map_slots()) {
        return Error{
            std::errc::not_enough_memory,
            fmt::format(
                "IPv4 FIB: no memory for its tables (about 70 MB): {}", rte_strerror(rte_errno)
            )};
    }
    return std::unique_ptr<Fib4>(new Fib4(std::move(state)));
}

void Fib4::lookup_bulk(const std::uint32_t* addresses, AdjacencyId* ids, unsigned n)
    const noexcept {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): rte_fib writes what is read
    std::array<std::uint64_t, kMaxBulk> hops;
    rte_fib* fib = state_->fib.load(std::memory_order_acquire);
    const std::atomic<AdjacencyId>* slots = state_->slots;
    // It takes a pointer to non-const but writes nothing there.
    auto* ips = const_cast<std::uint32_t*>(addresses);
    rte_fib_lookup_bulk(fib, ips, hops.data(), static_cast<int>(n));
    bool torn = false;
    for (unsigned i = 0; i < n; ++i) {
        ids[i] = slots[hops[i]].load(std::memory_order_acquire);
        torn |= hops[i] == kTornSlot;
    }
    if (torn) [[unlikely]] {
        for (unsigned i = 0; i < n; ++i) {
            if (hops[i] == kTornSlot) {
                ids[i] = lookup(addresses[i]);
            }
        }
    }
}

AdjacencyId Fib4::lookup(std::uint32_t address) const noexcept {
    rte_fib* fib = state_->fib.load(std::memory_order_acquire);
    std::uint64_t hop = kTornSlot;
    do {
        rte_fib_lookup_bulk(fib, &address, &hop, 1);
    } while (hop == kTornSlot);
    return state_->slots[hop].load(std::memory_order_acquire);
}

Result<void> Fib4::set(const net::Prefix& prefix, AdjacencyId adjacency) {
    const std::uint64_t key = key_of(prefix);
    if (const auto found = state_->routes.find(key); found != state_->routes.end()) {
        state_->slots[found->second].store(adjacency, std::memory_order_release);
        return {};
    }
    const bool is_full = state_->routes.size() >= state_->max_routes;
    std::uint32_t slot = 0;
    if (!is_full) {
        slot = prefix.length == 0 ? kDefaultSlot : state_->take_slot();
    }
    if (slot == 0) {
        return Error{
            std::errc::no_space_on_device,
            fmt::format(
                "IPv4 FIB: add {}: all {} routes are in use", prefix.to_string(), state_->max_routes
            )};
    }
    state_->slots[slot].store(adjacency, std::memory_order_release);
    if (prefix.length == 0) {
        state_->routes.emplace(key, slot);
        return {};
    }
    Result<void> added = state_->insert(prefix, slot);
    if (added) {
        state_->routes.emplace(key, slot);
    } else {
        state_->retire_slot(slot);
    }
    return added;
}

Result<void> Fib4::erase(const net::Prefix& prefix) {
    const auto found = state_->routes.find(key_of(prefix));
    if (found == state_->routes.end()) {
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("IPv4 FIB: no route {}", prefix.to_string())};
    }
    const std::uint32_t slot = found->second;
    if (prefix.length == 0) {
        state_->slots[kDefaultSlot].store(0, std::memory_order_release);
    } else {
        CULVERT_CHECK(state_->remove(prefix, slot));
        // It keeps its adjacency for readers that have its number, until it is used again.
        state_->retire_slot(slot);
    }
    state_->routes.erase(key_of(prefix));
    return {};
}

std::size_t Fib4::size() const noexcept {
    return state_->routes.size();
}

}  // namespace culvert::route
