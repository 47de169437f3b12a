// SPDX-License-Identifier: BSD-3-Clause
#include "lib/control/output_fdb.hpp"

#include <fmt/format.h>

namespace culvert::control {

namespace {

std::uint32_t seconds_ago(const Context& context, std::uint32_t second) {
    std::uint32_t now_s = context.core.now_s();
    return now_s > second ? now_s - second : 0;
}

struct Flag {
    std::uint8_t bit;
    const char* name;
};

constexpr Flag kFlags[] = {
    {fdb::ntf::kSelf, "self"},
    {fdb::ntf::kRouter, "router"},
    {fdb::ntf::kExtLearned, "extern_learn"},
    {fdb::ntf::kSticky, "sticky"},
};

}  // namespace

std::string_view fdb_state_name(std::uint8_t state) {
    if ((state & fdb::nud::kPermanent) != 0) {
        return "permanent";
    }
    if ((state & fdb::nud::kNoarp) != 0) {
        return "static";
    }
    return (state & fdb::nud::kStale) != 0 ? "stale" : "";
}

std::vector<FdbLine> fdb_lines(const Context& context, const fdb::Table::Entry& entry) {
    const LinkRecord* domain = context.core.links().find(entry.domain);
    if (domain == nullptr) {
        return {};
    }
    FdbLine line;
    line.link = entry.domain;
    line.mac = entry.mac;
    line.used_s = seconds_ago(context, entry.value.used_s);
    line.updated_s = seconds_ago(context, entry.shadow.updated_s);
    line.state = entry.shadow.state;
    line.flags = entry.shadow.flags;
    if (domain->kind != pipeline::LinkKind::vxlan) {
        line.link = static_cast<LinkId>(entry.value.target());
        line.master = entry.domain;
        line.flags &= static_cast<std::uint8_t>(~(fdb::ntf::kSelf | fdb::ntf::kMaster));
        return {line};
    }
    std::vector<FdbLine> lines;
    const fdb::RemoteLists::List* list = context.core.remote_lists().find(entry.value.target());
    if (list == nullptr) {
        return lines;
    }
    line.flags |= fdb::ntf::kSelf;
    for (const fdb::Remote& remote : list->remotes) {
        line.remote = remote;
        line.has_port = remote.port != domain->vxlan.destination_port;
        line.has_vni = remote.vni != domain->vxlan.vni;
        lines.push_back(line);
    }
    return lines;
}

std::string fdb_text(const Context& context, const FdbLine& line, bool with_device) {
    const LinkManager& links = context.core.links();
    std::string text = line.mac.to_string() + " ";
    if (with_device) {
        text += fmt::format("dev {} ", links.name_of(line.link));
    }
    if (line.master == kNoLink) {
        text += fmt::format("dst {} ", line.remote.address.to_string());
        text += line.has_port ? fmt::format("port {} ", line.remote.port) : "";
        text += line.has_vni ? fmt::format("vni {} ", line.remote.vni) : "";
        text += line.remote.via == kNoLink ? ""
                                           : fmt::format("via {} ", links.name_of(line.remote.via));
    }
    if (context.options.statistics > 0) {
        text += fmt::format("used {}/{} ", line.used_s, line.updated_s);
    }
    for (const Flag& flag : kFlags) {
        text += (line.flags & flag.bit) != 0 ? fmt::format("{} ", flag.name) : "";
    }
    if (line.master != kNoLink) {
        text += fmt::format("master {} ", links.name_of(line.master));
    }
    return fmt::format("{}{}\n", text, fdb_state_name(line.state));
}

Json fdb_json(const Context& context, const FdbLine& line, bool with_device) {
    const LinkManager& links = context.core.links();
    Json json;
    json["mac"] = line.mac.to_string();
    if (with_device) {
        json["ifname"] = links.name_of(line.link);
    }
    if (line.master == kNoLink) {
        json["dst"] = line.remote.address.to_string();
        if (line.has_port) {
            json["port"] = line.remote.port;
        }
        if (line.has_vni) {
            json["vni"] = line.remote.vni;
        }
        if (line.remote.via != kNoLink) {
            json["viaIf"] = links.name_of(line.remote.via);
        }
    }
    if (context.options.statistics > 0) {
        json["used"] = line.used_s;
        json["updated"] = line.updated_s;
    }
    json["flags"] = Json::array();
    for (const Flag& flag : kFlags) {
        if ((line.flags & flag.bit) != 0) {
            json["flags"].push_back(flag.name);
        }
    }
    if (line.master != kNoLink) {
        json["master"] = links.name_of(line.master);
    }
    json["state"] = fdb_state_name(line.state);
    return json;
}

}  // namespace culvert::control
