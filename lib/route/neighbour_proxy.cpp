// SPDX-License-Identifier: BSD-3-Clause
// Proxy entries (pneigh): kept beside the neighbours, since one says nothing about the other.
#include "lib/route/neighbour.hpp"

#include <fmt/format.h>

namespace culvert::route {

Result<void> NeighbourTable::set_proxy(const Proxy& proxy) {
    if (proxy.key.link == kNoLink || proxy.key.address.is_unspecified()) {
        return Error{
            std::errc::invalid_argument,
            fmt::format(
                "proxy {}: {}",
                proxy.key.address.to_string(),
                proxy.key.link == kNoLink ? "Device not specified" : "Network address not specified"
            )};
    }
    proxies_[proxy.key] = proxy;
    return {};
}

Result<void> NeighbourTable::del_proxy(const NeighbourKey& key) {
    if (proxies_.erase(key) == 0) {
        return Error{
            std::errc::no_such_file_or_directory,
            fmt::format("proxy {}: there is none to delete", key.address.to_string())};
    }
    return {};
}

const NeighbourTable::Proxy* NeighbourTable::find_proxy(const NeighbourKey& key) const {
    const auto found = proxies_.find(key);
    return found == proxies_.end() ? nullptr : &found->second;
}

void NeighbourTable::for_each_proxy(const std::function<void(const Proxy&)>& visit) const {
    for (const auto& [key, proxy] : proxies_) {
        visit(proxy);
    }
}

// pneigh_ifdown()
void NeighbourTable::drop_proxies(LinkId link, std::optional<net::Family> family) {
    std::erase_if(proxies_, [&](const auto& entry) {
        const NeighbourKey& key = entry.first;
        return key.link == link && (!family.has_value() || key.address.family() == *family);
    });
}

}  // namespace culvert::route
