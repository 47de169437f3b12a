// SPDX-License-Identifier: BSD-3-Clause
#include "app/culvert/environment.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace culvert::app {

namespace {

constexpr unsigned kCapNetAdmin = 12;  // linux/capability.h
constexpr unsigned kCapNetRaw = 13;

std::uint64_t read_number(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    file >> value;
    return value;
}

struct Hugepages {
    std::uint64_t configured = 0;
    std::uint64_t free = 0;
};

Hugepages count_hugepages() {
    Hugepages count;
    std::error_code none;
    for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", none)) {
        count.configured += read_number(size.path() / "nr_hugepages");
        count.free += read_number(size.path() / "free_hugepages");
    }
    return count;
}

bool has_capability(unsigned capability) {
    std::ifstream status("/proc/self/status");
    std::string key;
    while (status >> key) {
        if (key == "CapEff:") {
            std::uint64_t set = 0;
            status >> std::hex >> set;
            return (set >> capability & 1) != 0;
        }
        status.ignore(4096, '\n');
    }
    return true;
}

// A hugetlbfs that this user may write to.
bool has_writable_hugetlbfs(std::string& seen) {
    std::ifstream mounts("/proc/mounts");
    std::string device;
    std::string folder;
    std::string type;
    while (mounts >> device >> folder >> type) {
        mounts.ignore(4096, '\n');
        if (type == "hugetlbfs") {
            seen = folder;
            if (::access(folder.c_str(), W_OK) == 0) {
                return true;
            }
        }
    }
    return false;
}

Result<void> check_hugepages(const Options& options, const Proposals& proposals) {
    const bool own_folder = std::any_of(
        options.eal_words.begin(),
        options.eal_words.end(),
        [](const std::string& word) { return word.starts_with("--huge-dir"); }
    );
    const Hugepages pages = count_hugepages();
    if (pages.configured == 0) {
        return Error{
            std::errc::not_enough_memory,
            fmt::format(
                "no hugepages are configured. Configure some:\n"
                "  echo 512 | sudo tee /proc/sys/vm/nr_hugepages && {}\n"
                "or do without:\n"
                "  {}",
                proposals.as_typed,
                proposals.without_hugepages
            )};
    }
    if (pages.free == 0) {
        return Error{
            std::errc::not_enough_memory,
            fmt::format(
                "all {} hugepages are in use by others: configure more "
                "(/proc/sys/vm/nr_hugepages), or add --no-huge -m 1024",
                pages.configured
            )};
    }
    std::string folder;
    if (!options.has_eal_flag("--in-memory") && !own_folder && !has_writable_hugetlbfs(folder)) {
        return Error{
            std::errc::permission_denied,
            folder.empty()
                ? "hugepages: no hugetlbfs is mounted: add --in-memory, or --no-huge -m 1024"
                : fmt::format(
                      "hugepages: no permission to write to {}: run as root, or add --in-memory or "
                      "--no-huge -m 1024",
                      folder
                  )};
    }
    return {};
}

}  // namespace

std::string shell_line(int argc, char** argv, const std::string& insert) {
    std::string line;
    for (int i = 0; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
            constexpr std::string_view kPlain = "-_=,.:/@+%";
            return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                   kPlain.find(c) != std::string_view::npos;
        });
        line += i == 0 ? "" : " ";
        line += plain ? std::string(word) : fmt::format("'{}'", word);
        if (i == 0 && !insert.empty()) {
            line += " " + insert;
        }
    }
    return line;
}

Result<void> check_environment(
    const Options& options, const control::RequestedDevices& devices, const Proposals& proposals
) {
    for (const std::string& device : devices.virtual_devices) {
        const bool is_tap = device.starts_with("net_tap") || device.starts_with("net_tun");
        if (is_tap && ::access("/dev/net/tun", F_OK) != 0) {
            return Error{
                std::errc::no_such_file_or_directory,
                fmt::format("--vdev {}: there is no /dev/net/tun (modprobe tun)", device)};
        }
        if (is_tap &&
            (!has_capability(kCapNetAdmin) || ::access("/dev/net/tun", R_OK | W_OK) != 0)) {
            return Error{
                std::errc::permission_denied,
                fmt::format(
                    "--vdev {}: no permission for taps: run as root (CAP_NET_ADMIN)", device
                )};
        }
        if (device.starts_with("net_af_packet") && !has_capability(kCapNetRaw)) {
            return Error{
                std::errc::permission_denied,
                fmt::format(
                    "--vdev {}: no permission for packet sockets: run as root (CAP_NET_RAW)", device
                )};
        }
    }
    if (options.has_eal_flag("--no-huge")) {
        return {};
    }
    return check_hugepages(options, proposals);
}

}  // namespace culvert::app
