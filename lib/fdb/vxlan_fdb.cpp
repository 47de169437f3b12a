// SPDX-License-Identifier: BSD-3-Clause
#include "lib/fdb/vxlan_fdb.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace culvert::fdb {

namespace {

constexpr net::MacAddress kAllZeros{};

// What may have more than one remote (VXLAN-FDB-05, -06).
bool is_group(const net::MacAddress& mac) noexcept {
    return mac.is_zero() || mac.is_multicast();
}

bool is_link_local(const net::IpAddress& address) noexcept {
    return !address.is_v4() && address.bytes()[0] == 0xfe && (address.bytes()[1] & 0xc0) == 0x80;
}

const char* name(FdbVerb verb) noexcept {
    switch (verb) {
    case FdbVerb::add:
        return "add";
    case FdbVerb::append:
        return "append";
    case FdbVerb::replace:
        return "replace";
    case FdbVerb::change:
        break;
    }
    return "change";
}

Error refuse(
    const char* verb, const VxlanFdbRequest& request, std::errc code, const std::string& why
) {
    return {code, fmt::format("fdb {} {}: {}", verb, request.mac.to_string(), why)};
}

Result<void>
check_family(const char* verb, const VxlanFdbDefaults& device, const VxlanFdbRequest& request) {
    if (request.destination->family() != device.family) {
        return refuse(
            verb,
            request,
            std::errc::address_family_not_supported,
            fmt::format(
                "{} is not of the device's family, {}",
                request.destination->to_string(),
                device.family == net::Family::ipv4 ? "IPv4" : "IPv6"
            )
        );
    }
    return {};
}

// VXLAN-FDB-03. Precondition: the destination is given.
Remote resolve(const VxlanFdbDefaults& device, const VxlanFdbRequest& request) {
    return {
        *request.destination,
        request.vni.value_or(device.vni),
        request.port.value_or(device.port),
        request.via.value_or(kNoLink)};
}

bool contains(const std::vector<Remote>& remotes, const Remote& remote) {
    return std::find(remotes.begin(), remotes.end(), remote) != remotes.end();
}

}  // namespace

VxlanFdb::VxlanFdb(Table& table, RemoteLists& lists)
    : table_(table)
    , lists_(lists) {
    // A list knows its device, so a bridge's target that is by chance the id of some list is told
    // apart.
    table_.on_release([this](LinkId domain, std::uint32_t target) {
        const RemoteLists::List* list = lists_.find(target);
        if (list != nullptr && list->device == domain) {
            lists_.release(target);
        }
    });
}

VxlanFdb::~VxlanFdb() {
    table_.on_release({});
}

const VxlanFdb::Remotes& VxlanFdb::remotes_of(const Table::Entry& entry) const {
    static const Remotes kNone;
    const RemoteLists::List* list = lists_.find(entry.value.target());
    return list != nullptr && list->device == entry.domain ? list->remotes : kNone;
}

Result<void> VxlanFdb::write(
    const VxlanFdbDefaults& device,
    const net::MacAddress& mac,
    const Remotes& remotes,
    Shadow shadow,
    std::uint32_t now_s
) {
    const std::optional<Table::Entry> before = table_.get(device.device, mac);
    const RemoteLists::Id id = lists_.acquire(device.device, remotes);
    auto done = table_.set(device.device, mac, id, shadow, now_s);
    // The entry holds the reference, unless it was not written or held one of this list before.
    if (!done || (before.has_value() && before->value.target() == id)) {
        lists_.release(id);
    }
    return done;
}

Result<void> VxlanFdb::modify(
    const VxlanFdbDefaults& device, const VxlanFdbRequest& request, std::uint32_t now_s
) {
    const char* verb = name(request.verb);
    if ((request.state & (nud::kPermanent | nud::kReachable)) == 0) {
        return refuse(
            verb,
            request,
            std::errc::invalid_argument,
            "the state is neither permanent nor reachable"
        );
    }
    if (!request.destination.has_value()) {
        return refuse(verb, request, std::errc::invalid_argument, "a destination (dst) is needed");
    }
    CULVERT_CHECK(check_family(verb, device, request));
    const std::optional<Table::Entry> entry = table_.get(device.device, request.mac);
    if (entry.has_value() && request.verb == FdbVerb::add) {
        return refuse(verb, request, std::errc::file_exists, "there is an entry for this MAC");
    }
    if (request.verb == FdbVerb::replace && is_group(request.mac)) {
        return refuse(
            verb,
            request,
            std::errc::operation_not_supported,
            "only the entry of a unicast MAC can be replaced"
        );
    }
    const Remote remote = resolve(device, request);
    if (entry.has_value()) {
        return update(device, *entry, request, remote, now_s);
    }
    if (request.verb == FdbVerb::change) {
        return refuse(
            verb, request, std::errc::no_such_file_or_directory, "there is no entry for this MAC"
        );
    }
    if (!table_.has_room(device.device)) {
        // Asked before write(), so that no list comes to life in vain; set() words the refusal.
        return table_.set(device.device, request.mac, 0, {}, now_s);
    }
    return write(device, request.mac, {remote}, {now_s, request.state, request.flags, 1}, now_s);
}

// VXLAN-FDB-05, -06, -08.
Result<void> VxlanFdb::update(
    const VxlanFdbDefaults& device,
    const Table::Entry& entry,
    const VxlanFdbRequest& request,
    const Remote& remote,
    std::uint32_t now_s
) {
    Remotes remotes = remotes_of(entry);
    if (remotes.empty()) {
        remotes = {remote};
    } else if (request.verb == FdbVerb::replace && !contains(remotes, remote)) {
        remotes.front() = remote;
    } else if (request.verb == FdbVerb::append && is_group(request.mac) && !contains(remotes, remote)) {
        remotes.push_back(remote);
    }
    Shadow shadow = entry.shadow;
    if ((request.flags & ntf::kExtLearned) == 0 || entry.shadow.by_user == 0) {
        shadow = {now_s, request.state, request.flags, 1};
    }
    shadow.flags |= static_cast<std::uint8_t>(request.flags & ntf::kUse);
    return write(device, request.mac, remotes, shadow, now_s);
}

Result<void> VxlanFdb::del(const VxlanFdbDefaults& device, const VxlanFdbRequest& request) {
    const bool is_whole = !request.destination.has_value() || request.destination->is_unspecified();
    if (request.destination.has_value()) {
        CULVERT_CHECK(check_family("del", device, request));
    }
    const std::optional<Table::Entry> entry = table_.get(device.device, request.mac);
    if (!entry.has_value()) {
        return refuse(
            "del", request, std::errc::no_such_file_or_directory, "there is no entry for this MAC"
        );
    }
    if (is_whole) {
        table_.erase(device.device, request.mac);
        return {};
    }
    return remove_remote(device, *entry, resolve(device, request));
}

// A remote that is not there is no error (VXLAN-FDB-10).
Result<void> VxlanFdb::remove_remote(
    const VxlanFdbDefaults& device, const Table::Entry& entry, const Remote& remote
) {
    Remotes remotes = remotes_of(entry);
    auto found = std::find(remotes.begin(), remotes.end(), remote);
    if (found == remotes.end()) {
        return {};
    }
    remotes.erase(found);
    if (remotes.empty()) {
        table_.erase(device.device, entry.mac);
        return {};
    }
    // Losing one of several remotes is no update: the stamp stays.
    return write(device, entry.mac, remotes, entry.shadow, entry.shadow.updated_s);
}

Result<void> VxlanFdb::append_default(
    const VxlanFdbDefaults& device, const Remote& remote, std::uint32_t now_s
) {
    Remotes remotes;
    if (const std::optional<Table::Entry> entry = table_.get(device.device, kAllZeros);
        entry.has_value()) {
        remotes = remotes_of(*entry);
    }
    if (!contains(remotes, remote)) {
        remotes.push_back(remote);
    }
    const Shadow shadow{now_s, nud::kReachable | nud::kPermanent, ntf::kSelf, 0};
    return write(device, kAllZeros, remotes, shadow, now_s);
}

Result<void> VxlanFdb::set_default_remote(
    const VxlanFdbDefaults& device,
    std::optional<Remote> old_remote,
    std::optional<Remote> new_remote,
    std::uint32_t now_s
) {
    if (new_remote.has_value() && !new_remote->address.is_unspecified()) {
        CULVERT_CHECK(append_default(device, *new_remote, now_s));
    }
    const bool is_same = old_remote == new_remote;
    if (!is_same && old_remote.has_value() && !old_remote->address.is_unspecified()) {
        if (const auto entry = table_.get(device.device, kAllZeros); entry.has_value()) {
            return remove_remote(device, *entry, *old_remote);
        }
    }
    return {};
}

Table::Learned VxlanFdb::learn(
    const VxlanFdbDefaults& device,
    const net::MacAddress& mac,
    const net::IpAddress& source,
    std::uint32_t now_s,
    LinkId received_on
) {
    const LinkId via = is_link_local(source) ? received_on : kNoLink;
    const std::optional<Table::Entry> entry = table_.get(device.device, mac);
    Remotes remotes;
    if (entry.has_value()) {
        remotes = remotes_of(*entry);
        const bool is_here =
            !remotes.empty() && remotes[0].address == source && remotes[0].via == via;
        if (is_here || entry->value.is_pinned()) {
            // Only the stamp.
            table_.learn(device.device, mac, entry->value.target(), now_s);
            return is_here ? Table::Learned::unchanged : Table::Learned::pinned;
        }
    } else if (!table_.has_room(device.device)) {
        // Asked before a list comes to life in vain: a flood of MACs ends here.
        return table_.learn(device.device, mac, 0, now_s);
    }
    if (remotes.empty()) {
        remotes.push_back({source, device.vni, device.port, via});
    } else {
        remotes[0].address = source;  // LRN-05: nothing else
    }
    const RemoteLists::Id id = lists_.acquire(device.device, remotes);
    const Table::Learned learned = table_.learn(device.device, mac, id, now_s, ntf::kSelf);
    if (learned != Table::Learned::added && learned != Table::Learned::moved) {
        lists_.release(id);
    }
    return learned;
}

void VxlanFdb::flush_on_stop(LinkId device) {
    table_.flush(device, [](const Table::Entry& entry) {
        return (entry.shadow.state & (nud::kNoarp | nud::kPermanent)) == 0 && !entry.mac.is_zero();
    });
}

}  // namespace culvert::fdb
