// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/fib6.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lpm6.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace culvert::route {

namespace {

// What rte_lpm6 answers: the number of a slot, which holds the adjacency. Slot 0 has none.
constexpr std::uint32_t kNoSlot = 0;
// The route of ::/0, which rte_lpm6 cannot have. Both halves of the address space lead there unless
// a route says otherwise, so that no lookup ends without an answer, also not while a group of the
// table is being made or taken away: each is filled from a valid entry.
constexpr std::uint32_t kDefaultSlot = 1;
constexpr std::uint32_t kFirstSlot = 2;

// Slots are rte_lpm6's 21 bits.
static_assert(Fib6::kMaxRoutes <= std::uint32_t{1} << 20);
constexpr std::uint32_t kMostGroups = (std::uint32_t{1} << 21) - 1;
constexpr std::uint32_t kInitialRoutes = 16384;
constexpr std::uint32_t kInitialGroups = 2048;
constexpr std::uint32_t kGrowth = 4;
constexpr std::uint32_t kSlack = 1024;    // slots that wait for a grace period
constexpr std::uint8_t kFirstTable = 24;  // longer prefixes are in groups, one a further byte
constexpr std::size_t kMaxBulk = 64;

struct Size {
    std::uint32_t routes = 0;
    std::uint32_t groups = 0;
};

// nullptr: rte_errno says why.
rte_lpm6* create_lpm(Size size) {
    static std::atomic<std::uint32_t> count{0};
    const std::string name = fmt::format("l6_{}_{}", ::getpid(), count.fetch_add(1));
    rte_lpm6_config config{};
    config.max_rules = size.routes + 2;  // and the two halves
    config.number_tbl8s = size.groups;
    return rte_lpm6_create(name.c_str(), SOCKET_ID_ANY, &config);
}

// The address space without its first bit.
const net::Prefix& half(bool upper) {
    static const net::Prefix kLower{{}, 1};
    static const net::Prefix kUpper{net::IpAddress::from_v6({0x80}), 1};
    return upper ? kUpper : kLower;
}

bool is_half(const net::Prefix& prefix) noexcept {
    return prefix.length == 1;
}

int add_to(rte_lpm6* lpm, const net::Prefix& prefix, std::uint32_t slot) {
    return rte_lpm6_add(lpm, prefix.address.bytes().data(), prefix.length, slot);
}

}  // namespace

struct Fib6::State {
    // readers
    std::atomic<rte_lpm6*> lpm{nullptr};        // worker: ro, control: wo
    std::atomic<AdjacencyId>* slots = nullptr;  // worker: ro, control: wo

    // writer
    rcu::Domain& domain;
    std::uint32_t max_routes;
    Size size;
    std::uint32_t next_slot = kFirstSlot;
    // Shared with what is retired, which may run after this object is gone.
    std::shared_ptr<std::vector<std::uint32_t>> free_slots =
        std::make_shared<std::vector<std::uint32_t>>();
    std::map<net::Prefix, std::uint32_t> routes;  // -> slot
    // Grace period after the last delete that freed a group.
    std::optional<std::uint64_t> freed_group;

    State(rcu::Domain& rcu_domain, std::uint32_t routes_limit)
        : domain(rcu_domain)
        , max_routes(routes_limit) {}

    ~State() {
        rte_lpm6_free(lpm.load(std::memory_order_relaxed));
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

    [[nodiscard]] rte_lpm6* current() const noexcept { return lpm.load(std::memory_order_relaxed); }

    bool map_slots() noexcept;
    [[nodiscard]] bool frees_group(const net::Prefix& prefix) const;
    Result<void> rebuild(Size next);
    std::uint32_t take_slot();

    void retire_slot(std::uint32_t slot) {
        domain.retire([free = free_slots, slot] { free->push_back(slot); });
    }

    Result<void> insert(const net::Prefix& prefix, std::uint32_t slot);
    Result<void> remove(const net::Prefix& prefix);
    int insert_once(const net::Prefix& prefix, std::uint32_t slot);
};

bool Fib6::State::map_slots() noexcept {
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

// Whether deleting `prefix`, which `routes` still has, frees a group: it is the last one within its
// group's prefix that is longer than that. In the map's order such a route is next to it, since
// those that are not longer stand before all others.
bool Fib6::State::frees_group(const net::Prefix& prefix) const {
    if (prefix.length <= kFirstTable) {
        return false;
    }
    const auto base = static_cast<std::uint8_t>((prefix.length - 1) / 8 * 8);
    const net::Prefix group = net::Prefix{prefix.address, base}.network();
    const auto shares = [&](const net::Prefix& other) {
        return other.length > base && group.contains(other.address);
    };
    const auto at = routes.find(prefix);
    if (at != routes.begin() && shares(std::prev(at)->first)) {
        return false;
    }
    const auto next = std::next(at);
    return next == routes.end() || !shares(next->first);
}

// Builds another rte_lpm6 with the same routes under the same slots and shows it to the readers.
Result<void> Fib6::State::rebuild(Size next) {
    rte_lpm6* other = create_lpm(next);
    if (other == nullptr) {
        return Error{
            std::errc::not_enough_memory,
            fmt::format(
                "IPv6 FIB: no memory for {} routes (at least 70 MB): {}",
                next.routes,
                rte_strerror(rte_errno)
            )};
    }
    int added =
        std::min(add_to(other, half(false), kDefaultSlot), add_to(other, half(true), kDefaultSlot));
    for (const auto& [prefix, slot] : routes) {
        if (prefix.length != 0 && added == 0) {
            added = add_to(other, prefix, slot);
        }
    }
    if (added != 0) {
        rte_lpm6_free(other);
        return Error{
            std::errc::no_space_on_device,
            fmt::format("IPv6 FIB: rebuild for {} routes: {}", next.routes, rte_strerror(-added))};
    }
    rte_lpm6* old = lpm.exchange(other, std::memory_order_acq_rel);
    if (old != nullptr) {
        // At once, not when control comes round to it: the next one takes the same memory.
        domain.synchronize();
        rte_lpm6_free(old);
    }
    size = next;
    freed_group.reset();
    return {};
}

// 0: all are taken.
std::uint32_t Fib6::State::take_slot() {
    if (free_slots->empty() && next_slot == slot_count()) {
        domain.synchronize();
    }
    if (!free_slots->empty()) {
        const std::uint32_t slot = free_slots->back();
        free_slots->pop_back();
        return slot;
    }
    return next_slot < slot_count() ? next_slot++ : kNoSlot;
}

int Fib6::State::insert_once(const net::Prefix& prefix, std::uint32_t slot) {
    // The group that is taken now may be one that a reader still looks into.
    if (prefix.length > kFirstTable && freed_group.has_value()) {
        if (!domain.has_passed(*freed_group)) {
            domain.synchronize();
        }
        freed_group.reset();
    }
    return add_to(current(), prefix, slot);
}

// `routes` does not have it yet.
Result<void> Fib6::State::insert(const net::Prefix& prefix, std::uint32_t slot) {
    if (routes.size() >= size.routes) {
        CULVERT_CHECK(rebuild({std::min(size.routes * kGrowth, max_routes), size.groups}));
    }
    int added = insert_once(prefix, slot);
    while (added == -ENOSPC && size.groups < kMostGroups) {
        CULVERT_CHECK(rebuild({size.routes, std::min(size.groups * kGrowth, kMostGroups)}));
        added = insert_once(prefix, slot);
    }
    if (added != 0) {
        return Error{
            added == -ENOMEM ? std::errc::not_enough_memory : std::errc::no_space_on_device,
            fmt::format("IPv6 FIB: add {}: {}", prefix.to_string(), rte_strerror(-added))};
    }
    return {};
}

// `routes` still has it.
Result<void> Fib6::State::remove(const net::Prefix& prefix) {
    int removed = 0;
    if (is_half(prefix)) {
        removed = add_to(current(), prefix, kDefaultSlot);
    } else {
        removed = rte_lpm6_delete(current(), prefix.address.bytes().data(), prefix.length);
    }
    if (removed != 0) {
        return Error{
            static_cast<std::errc>(-removed),
            fmt::format("IPv6 FIB: delete {}: {}", prefix.to_string(), rte_strerror(-removed))};
    }
    if (frees_group(prefix)) {
        freed_group = domain.start_grace_period();
    }
    return {};
}

Fib6::Fib6(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Fib6::~Fib6() = default;

Result<std::unique_ptr<Fib6>> Fib6::create(rcu::Domain& domain, std::uint32_t max_routes) {
    if (max_routes == 0 || max_routes > kMaxRoutes) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("IPv6 FIB: {} is not a number of routes it can hold", max_routes)};
    }
    auto state = std::make_unique<State>(domain, max_routes);
    state->size = {std::min(kInitialRoutes, max_routes), kInitialGroups};
    if (!state->map_slots()) {
        return Error{std::errc::not_enough_memory, "IPv6 FIB: no memory for its slots"};
    }
    return std::unique_ptr<Fib6>(new Fib6(std::move(state)));
}

void Fib6::lookup_bulk(const Address* addresses, AdjacencyId* ids, unsigned n) const noexcept {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): rte_lpm6 writes what is read
    std::array<std::int32_t, kMaxBulk> hops;
    const rte_lpm6* lpm = state_->lpm.load(std::memory_order_acquire);
    if (lpm == nullptr) [[unlikely]] {
        std::fill_n(ids, n, AdjacencyId{0});
        return;
    }
    // It takes a pointer to non-const but writes nothing there.
    using Wire = std::uint8_t[RTE_LPM6_IPV6_ADDR_SIZE];
    static_assert(sizeof(Address) == sizeof(Wire));
    auto* ips = reinterpret_cast<Wire*>(const_cast<Address*>(addresses));
    rte_lpm6_lookup_bulk_func(lpm, ips, hops.data(), n);
    for (unsigned i = 0; i < n; ++i) {
        const std::uint32_t slot = hops[i] < 0 ? kNoSlot : static_cast<std::uint32_t>(hops[i]);
        ids[i] = state_->slots[slot].load(std::memory_order_acquire);
    }
}

AdjacencyId Fib6::lookup(const Address& address) const noexcept {
    AdjacencyId id = 0;
    lookup_bulk(&address, &id, 1);
    return id;
}

Result<void> Fib6::set(const net::Prefix& prefix, AdjacencyId adjacency) {
    if (const auto found = state_->routes.find(prefix); found != state_->routes.end()) {
        state_->slots[found->second].store(adjacency, std::memory_order_release);
        return {};
    }
    if (state_->current() == nullptr) {
        CULVERT_CHECK(state_->rebuild(state_->size));
    }
    const bool is_full = state_->routes.size() >= state_->max_routes;
    std::uint32_t slot = kNoSlot;
    if (!is_full) {
        slot = prefix.length == 0 ? kDefaultSlot : state_->take_slot();
    }
    if (slot == kNoSlot) {
        return Error{
            std::errc::no_space_on_device,
            fmt::format(
                "IPv6 FIB: add {}: all {} routes are in use", prefix.to_string(), state_->max_routes
            )};
    }
    state_->slots[slot].store(adjacency, std::memory_order_release);
    if (prefix.length != 0) {
        if (Result<void> added = state_->insert(prefix, slot); !added) {
            state_->retire_slot(slot);
            return added;
        }
    }
    state_->routes.emplace(prefix, slot);
    return {};
}

Result<void> Fib6::erase(const net::Prefix& prefix) {
    const auto found = state_->routes.find(prefix);
    if (found == state_->routes.end()) {
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("IPv6 FIB: no route {}", prefix.to_string())};
    }
    if (prefix.length == 0) {
        state_->slots[kDefaultSlot].store(0, std::memory_order_release);
    } else {
        CULVERT_CHECK(state_->remove(prefix));
        // It keeps its adjacency for readers that have its number, until it is used again.
        state_->retire_slot(found->second);
    }
    state_->routes.erase(found);
    return {};
}

std::size_t Fib6::size() const noexcept {
    return state_->routes.size();
}

}  // namespace culvert::route
