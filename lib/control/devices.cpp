// SPDX-License-Identifier: BSD-3-Clause
// The devices that EAL's options name, and whether they came up: EAL goes on without those that did
// not.
#include "lib/control/ports.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace culvert::control {

namespace {

// The value of `option` at words[i], in either of its forms; moves i on to it.
std::optional<std::string>
value_of(std::span<const std::string> words, std::size_t& i, std::string_view option) {
    const std::string& word = words[i];
    if (word == option && i + 1 < words.size()) {
        return words[++i];
    }
    if (option.starts_with("--") && word.size() > option.size() && word.starts_with(option) &&
        word[option.size()] == '=') {
        return word.substr(option.size() + 1);
    }
    if (!option.starts_with("--") && word.size() > option.size() && word.starts_with(option)) {
        return word.substr(option.size());
    }
    return std::nullopt;
}

std::string name_of(const std::string& device) {
    return device.substr(0, device.find(','));
}

Result<void>
add_once(std::vector<std::string>& names, const std::string& option, const std::string& device) {
    const std::string name = name_of(device);
    if (std::find(names.begin(), names.end(), name) != names.end()) {
        return Error{
            std::errc::invalid_argument,
            fmt::format("{} {}: the device is named twice", option, name)};
    }
    names.push_back(name);
    return {};
}

// words[i] (and the one after it), if it names a device.
Result<void>
take_word(RequestedDevices& devices, std::span<const std::string> words, std::size_t& i) {
    if (auto device = value_of(words, i, "--vdev")) {
        return add_once(devices.virtual_devices, "--vdev", *device);
    }
    if (auto allowed = value_of(words, i, "--allow")) {
        return add_once(devices.allowed, "-a", *allowed);
    }
    if (auto allowed = value_of(words, i, "-a")) {
        return add_once(devices.allowed, "-a", *allowed);
    }
    return {};
}

// Virtual devices of other classes than Ethernet's.
bool is_other_class(const std::string& name) {
    constexpr std::array<std::string_view, 8> kOthers{
        "crypto", "event", "baseband", "compress", "dma", "raw", "regex", "ml_"};
    return std::any_of(kOthers.begin(), kOthers.end(), [&](std::string_view prefix) {
        return name.starts_with(prefix);
    });
}

bool is_port(const std::string& name) {
    std::uint16_t id = 0;
    return rte_eth_dev_get_port_by_name(name.c_str(), &id) == 0;
}

}  // namespace

Result<RequestedDevices> requested_devices(std::span<const std::string> eal_words) {
    RequestedDevices devices;
    for (std::size_t i = 0; i < eal_words.size(); ++i) {
        CULVERT_CHECK(take_word(devices, eal_words, i));
    }
    return devices;
}

Result<void> check_devices(const RequestedDevices& devices) {
    for (const std::string& name : devices.virtual_devices) {
        if (!is_other_class(name) && !is_port(name)) {
            return Error{
                std::errc::no_such_device,
                fmt::format("--vdev {}: no such device came up (EAL's own words say why)", name)};
        }
    }
    for (const std::string& name : devices.allowed) {
        // PCI addresses may be given without their domain.
        if (!is_port(name) && !is_port("0000:" + name)) {
            return Error{
                std::errc::no_such_device,
                fmt::format(
                    "-a {}: no such port came up; is it bound to vfio-pci (dpdk-devbind.py -s)?",
                    name
                )};
        }
    }
    return {};
}

}  // namespace culvert::control
