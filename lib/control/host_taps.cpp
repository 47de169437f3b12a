// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/host_taps.hpp"

#include "lib/control/core.hpp"
#include "lib/encap/mbuf.hpp"
#include "lib/net/ether.hpp"
#include "lib/pipeline/note.hpp"

#include <fmt/format.h>
#include <rte_mbuf.h>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace culvert::control {

namespace {

// A turn of the control loop takes no more of one tap: commands and neighbours wait meanwhile.
constexpr unsigned kFramesPerTurn = 64;
constexpr std::size_t kMostSegments = 64;  // 65,535 bytes in buffers of the usual size and less
constexpr std::uint32_t kMostLinkHeader = sizeof(net::EtherHeader) + 2 * sizeof(net::VlanHeader);

Error refused(const std::string& name, const char* what) {
    return {
        static_cast<std::errc>(errno),
        fmt::format("tap {}: {}: {}", name, what, std::generic_category().message(errno))};
}

ifreq request_for(const std::string& name) {
    ifreq request{};
    std::copy_n(name.data(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1), request.ifr_name);
    return request;
}

// A frame's segments, at most kMostSegments, as the kernel takes them.
struct Pieces {
    std::array<iovec, kMostSegments> vectors{};
    int count = 0;
};

Pieces pieces_of(const rte_mbuf* frame) {
    Pieces pieces;
    for (; frame != nullptr && pieces.count < static_cast<int>(kMostSegments);
         frame = frame->next) {
        pieces.vectors[static_cast<std::size_t>(pieces.count++)] = {
            rte_pktmbuf_mtod(frame, void*), frame->data_len};
    }
    return pieces;
}

// A frame of at least `len` bytes, in as many buffers as it takes. nullptr = the pool is empty.
rte_mbuf* make_room(rte_mempool* pool, std::uint32_t len) {
    rte_mbuf* frame = nullptr;
    do {
        rte_mbuf* segment = rte_pktmbuf_alloc(pool);
        if (segment == nullptr || (frame != nullptr && rte_pktmbuf_chain(frame, segment) != 0)) {
            rte_pktmbuf_free(segment);
            rte_pktmbuf_free(frame);
            return nullptr;
        }
        frame = frame == nullptr ? segment : frame;
        const std::uint16_t room = rte_pktmbuf_tailroom(segment);
        segment->data_len = room;
        frame->pkt_len += room;
    } while (frame->pkt_len < len);
    return frame;
}

// The device's MAC, MTU and flags are set through any socket.
class Settings {
public:
    explicit Settings(const std::string& name)
        : name_(name)
        , socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

    ~Settings() {
        if (socket_ >= 0) {
            ::close(socket_);
        }
    }

    Settings(const Settings&) = delete;
    Settings& operator=(const Settings&) = delete;

    bool set_mac(const net::MacAddress& mac) {
        ifreq request = request_for(name_);
        request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
        std::copy(mac.bytes.begin(), mac.bytes.end(), request.ifr_hwaddr.sa_data);
        return ::ioctl(socket_, SIOCSIFHWADDR, &request) == 0;
    }

    bool set_mtu(std::uint32_t mtu) {
        ifreq request = request_for(name_);
        request.ifr_mtu = static_cast<int>(mtu);
        return ::ioctl(socket_, SIOCSIFMTU, &request) == 0;
    }

    bool set_up() {
        ifreq request = request_for(name_);
        if (::ioctl(socket_, SIOCGIFFLAGS, &request) != 0) {
            return false;
        }
        request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
        return ::ioctl(socket_, SIOCSIFFLAGS, &request) == 0;
    }

private:
    const std::string& name_;
    int socket_;
};

}  // namespace

HostTaps::~HostTaps() {
    for (const auto& [link, tap] : taps_) {
        ::close(tap.fd);
    }
    if (epoll_ >= 0) {
        ::close(epoll_);
    }
}

Result<void> HostTaps::open(const LinkRecord& link, const std::string& name) {
    if (epoll_ < 0) {
        epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    }
    if (epoll_ < 0) {
        return refused(name, "watching it");
    }
    const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return refused(name, "/dev/net/tun");
    }
    const auto fail = [&](const char* what) {
        Error error = refused(name, what);
        ::close(fd);
        return error;
    };
    ifreq request = request_for(name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (::ioctl(fd, TUNSETIFF, &request) != 0) {
        return fail("making it");
    }
    Settings settings(name);
    if (!settings.set_mac(link.mac) || !settings.set_mtu(link.mtu) || !settings.set_up()) {
        return fail("setting MAC, MTU and up");
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = link.id;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail("watching it");
    }
    close(link.id);
    taps_[link.id] = {fd, name};
    return {};
}

void HostTaps::close(LinkId link) {
    const auto tap = taps_.find(link);
    if (tap != taps_.end()) {
        ::close(tap->second.fd);  // the device goes with it, and out of epoll's set
        taps_.erase(tap);
    }
}

// A kernel that refuses keeps what it had: its frames then come with that MAC, and are sent so.
void HostTaps::follow(const LinkRecord& link) {
    if (const auto tap = taps_.find(link.id); tap != taps_.end()) {
        Settings settings(tap->second.name);
        (void)settings.set_mac(link.mac);
        (void)settings.set_mtu(link.mtu);
    }
}

bool HostTaps::write(const Tap& tap, const rte_mbuf* frame) {
    if (frame->nb_segs > kMostSegments) {
        return false;
    }
    const Pieces pieces = pieces_of(frame);
    return ::writev(tap.fd, pieces.vectors.data(), pieces.count) ==
           static_cast<ssize_t>(frame->pkt_len);
}

void HostTaps::deliver(LinkId link, rte_mbuf* frame) {
    const auto tap = taps_.find(link);
    if (tap == taps_.end()) {
        core_.drop(frame, link, pipeline::Drop::link_gone);
    } else if (write(tap->second, frame)) {
        core_.consume(frame, link);
    } else {
        core_.drop(frame, link, pipeline::Drop::host_tap_full);
    }
}

void HostTaps::copy(LinkId link, const rte_mbuf* frame) {
    if (const auto tap = taps_.find(link); tap != taps_.end()) {
        (void)write(tap->second, frame);
    }
}

void HostTaps::give(rte_mbuf* packet) {
    const pipeline::Note& note = pipeline::note(packet);
    const LinkId link = note.link_in;
    constexpr std::size_t kEther = sizeof(net::EtherHeader);
    if (note.l3_offset < kEther ||
        rte_pktmbuf_adj(packet, static_cast<std::uint16_t>(note.l3_offset - kEther)) == nullptr) {
        core_.drop(packet, link, pipeline::Drop::ether_truncated);
        return;
    }
    deliver(link, packet);
}

void HostTaps::give_or_drop(rte_mbuf* packet, pipeline::Drop reason) {
    const LinkId link = pipeline::note(packet).link_in;
    if (has(link)) {
        give(packet);
    } else {
        core_.drop(packet, link, reason);
    }
}

void HostTaps::copy_packet(rte_mbuf* packet) {
    const pipeline::Note& note = pipeline::note(packet);
    if (note.l3_offset == sizeof(net::EtherHeader)) {
        copy(note.link_in, packet);
    }
}

void HostTaps::serve() {
    std::array<epoll_event, 8> events{};
    const int n = epoll_ < 0 ? 0 : ::epoll_wait(epoll_, events.data(), events.size(), 0);
    for (int i = 0; i < n; ++i) {
        const auto link = static_cast<LinkId>(events[static_cast<std::size_t>(i)].data.u32);
        if (const auto tap = taps_.find(link); tap != taps_.end()) {
            read(link, tap->second);
        }
    }
}

void HostTaps::read(LinkId link, const Tap& tap) {
    const LinkRecord* record = core_.links().find(link);
    if (record == nullptr) {
        return;
    }
    const std::uint32_t most = record->mtu + kMostLinkHeader;
    for (unsigned i = 0; i < kFramesPerTurn; ++i) {
        rte_mbuf* frame = make_room(core_.pool(), most);
        if (frame == nullptr) {
            return;  // it waits in the kernel
        }
        const Pieces pieces = pieces_of(frame);
        const ssize_t got = ::readv(tap.fd, pieces.vectors.data(), pieces.count);
        if (got < static_cast<ssize_t>(sizeof(net::EtherHeader))) {
            rte_pktmbuf_free(frame);
            return;
        }
        encap::trim_to(frame, static_cast<std::uint32_t>(got));
        core_.send(link, frame, false);
    }
}

}  // namespace culvert::control
