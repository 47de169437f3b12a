// SPDX-License-Identifier: BSD-3-Clause
#include "lib/route/routing.hpp"

#include "lib/route/routing_impl.hpp"

#include <algorithm>
#include <utility>

namespace culvert::route {

namespace {

// Beside users' routes and neighbours the FIB holds the routes of addresses.
constexpr std::uint32_t kFibReserve = 65536;

}  // namespace

Routing::Impl::Impl(
    rcu::Domain& domain,
    RoutingActions& actions,
    const Limits& limits,
    NeighbourParameters neighbour_parameters,
    std::unique_ptr<Fib4> fib,
    std::unique_ptr<Fib6> fib6
)
    : domain_(domain)
    , actions_(actions)
    , limits_(limits)
    , adjacencies_(
          domain, limits.adjacencies, [this](const AdjacencyKey& key) { return describe(key); }
      )
    , multipaths_(
          {[this](const MultipathHop& hop) { return acquire(hop); },
           [this](AdjacencyEntry* entry, bool holds_neighbour) { release(entry, holds_neighbour); }}
      )
    , neighbours_(*this, neighbour_parameters) {
    const auto made =
        tables_.emplace(kMainTable, std::make_unique<RoutingTable>(kMainTable, std::move(fib)));
    main_ = made.first->second.get();
    main_->fib6 = std::move(fib6);
}

Routing::Impl::~Impl() {
    // What was retired refers to members.
    while (domain_.retired_count() != 0) {
        domain_.synchronize();
    }
}

Result<void> Routing::Impl::start() {
    return sync(*main_, {kLimitedBroadcast, 32});
}

Routing::Routing(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

Routing::~Routing() = default;

Result<std::unique_ptr<Routing>> Routing::create(
    rcu::Domain& domain,
    RoutingActions& actions,
    Limits limits,
    NeighbourParameters neighbour_parameters
) {
    neighbour_parameters.gc_thresh3 = limits.neighbours;
    CULVERT_TRY(fib, Fib4::create(domain, limits.routes4 + limits.neighbours + kFibReserve));
    CULVERT_TRY(
        fib6,
        Fib6::create(
            domain, std::min(limits.routes6 + limits.neighbours + kFibReserve, Fib6::kMaxRoutes)
        )
    );
    auto impl = std::make_unique<Impl>(
        domain, actions, limits, neighbour_parameters, std::move(fib), std::move(fib6)
    );
    CULVERT_CHECK(impl->start());
    return std::unique_ptr<Routing>(new Routing(std::move(impl)));
}

const Fib4& Routing::fib4() const noexcept {
    return impl_->fib();
}

const Fib6& Routing::fib6() const noexcept {
    return impl_->fib6();
}

const OwnAddresses& Routing::own_addresses6() const noexcept {
    return impl_->own_addresses6();
}

const AdjacencyTable& Routing::adjacencies() const noexcept {
    return impl_->adjacencies();
}

const OwnAddresses& Routing::own_addresses() const noexcept {
    return impl_->own_addresses();
}

void Routing::set_link(LinkId link, const LinkParameters& parameters, std::uint64_t now_ms) {
    impl_->set_link(link, parameters, now_ms);
}

void Routing::del_link(LinkId link) {
    impl_->del_link(link);
}

Result<void> Routing::add_address(const Address& address, bool replace) {
    return impl_->add_address(address, replace);
}

Result<void> Routing::join(LinkId link, const net::IpAddress& group) {
    return impl_->join(link, group);
}

void Routing::leave(LinkId link, const net::IpAddress& group) {
    impl_->leave(link, group);
}

Result<void> Routing::del_address(
    LinkId link, const net::Prefix& prefix, const std::optional<net::IpAddress>& peer
) {
    return impl_->del_address(link, prefix, peer);
}

std::size_t Routing::flush_addresses(LinkId link) {
    return impl_->flush_addresses(link);
}

const std::vector<Address>& Routing::addresses() const noexcept {
    return impl_->addresses().all();
}

bool Routing::is_local(const net::IpAddress& address, LinkId near) const noexcept {
    return impl_->is_local(address, near);
}

LinkId Routing::vrf_of(LinkId link) const noexcept {
    return impl_->vrf_of(link);
}

TableId Routing::table_of(LinkId link) const noexcept {
    return impl_->table_id_of(link);
}

Result<const TableView*> Routing::open_table(TableId table) {
    return impl_->open_table(table);
}

bool Routing::is_local_on(LinkId link, const net::IpAddress& address) const noexcept {
    return impl_->is_local_on(link, address);
}

bool Routing::has_address(LinkId link, net::Family family) const noexcept {
    return impl_->addresses().has(link, family);
}

const Address* Routing::find_address(LinkId link, const net::IpAddress& address) const noexcept {
    return impl_->addresses().find(link, address);
}

void Routing::end_detection(LinkId link, const net::IpAddress& address, bool is_duplicate) {
    impl_->end_detection(link, address, is_duplicate);
}

net::IpAddress Routing::select_source6(LinkId link, const net::IpAddress& destination) const {
    return impl_->select_source6(link, destination);
}

Result<void> Routing::modify_route(RouteVerb verb, const Route& route) {
    return impl_->modify_route(verb, route);
}

Result<void> Routing::del_route(const Route& pattern) {
    return impl_->del_route(pattern);
}

void Routing::for_each_route(const std::function<void(const Route&)>& visit) const {
    impl_->for_each_route(visit);
}

Path Routing::lookup(
    const net::IpAddress& destination, LinkId link, const net::IpAddress& source, std::uint8_t tos
) const {
    return impl_->lookup(destination, link, source, tos);
}

Path Routing::lookup_forward(
    const net::IpAddress& destination,
    const net::IpAddress& source,
    LinkId link_in,
    std::uint8_t tos
) const {
    return impl_->lookup_forward(destination, source, link_in, tos);
}

void Routing::learn_path_mtu(
    const net::IpAddress& destination, std::uint32_t mtu, std::uint64_t now_ms, LinkId near
) {
    impl_->learn_path_mtu(destination, mtu, now_ms, near);
}

std::shared_ptr<const Ways>
Routing::ways(const net::IpAddress& destination, LinkId link, std::optional<std::uint8_t> tos) {
    return impl_->ways(destination, link, tos);
}

const net::SharedMultipathSettings& Routing::multipath_settings() const noexcept {
    return impl_->multipath_settings();
}

void Routing::set_multipath(const net::MultipathSettings& settings) noexcept {
    impl_->set_multipath(settings);
}

std::uint64_t Routing::generation() const noexcept {
    return impl_->generation();
}

NeighbourTable& Routing::neighbours() noexcept {
    return impl_->neighbours();
}

void Routing::resolve(
    LinkId link, const net::IpAddress& next_hop, rte_mbuf* frame, std::uint64_t now_ms
) {
    impl_->resolve(link, next_hop, frame, now_ms);
}

std::optional<Adjacency> Routing::neighbour_adjacency(
    LinkId link, const net::IpAddress& next_hop, net::Family family
) const {
    return impl_->neighbour_adjacency(link, next_hop, family);
}

std::uint64_t Routing::tick(std::uint64_t now_ms) {
    return impl_->tick(now_ms);
}

}  // namespace culvert::route
