// SPDX-License-Identifier: BSD-3-Clause
#include "lib/fdb/vxlan_fdb.hpp"

namespace culvert::fdb {

RemoteLists::Id RemoteLists::acquire(LinkId device, const std::vector<Remote>& remotes) {
    auto [known, is_new] = by_content_.try_emplace({device, remotes}, 0);
    if (!is_new) {
        ++lists_[known->second].references;
        return known->second;
    }
    Id id = 0;
    if (free_->empty()) {
        id = static_cast<Id>(lists_.size());
        lists_.emplace_back();
    } else {
        id = free_->back();
        free_->pop_back();
    }
    known->second = id;
    lists_[id] = List{device, remotes, 1};
    count_ways(lists_[id], true);
    if (observer_) {
        observer_(id, &lists_[id]);
    }
    return id;
}

void RemoteLists::count_ways(const List& list, bool is_new) {
    for (const Remote& remote : list.remotes) {
        if (remote.via == kNoLink) {
            continue;
        }
        std::size_t& remotes = by_via_[remote.via];
        remotes = is_new ? remotes + 1 : remotes - 1;
        if (remotes == 0) {
            by_via_.erase(remote.via);
        }
    }
}

void RemoteLists::retain(Id id) {
    ++lists_[id].references;
}

void RemoteLists::release(Id id) {
    List& list = lists_[id];
    if (--list.references > 0) {
        return;
    }
    by_content_.erase({list.device, list.remotes});
    count_ways(list, false);
    list = List{};
    if (observer_) {
        observer_(id, nullptr);
    }
    auto reuse = [free = free_, id] { free->push_back(id); };
    if (defer_) {
        defer_(reuse);
    } else {
        reuse();
    }
}

const RemoteLists::List* RemoteLists::find(Id id) const noexcept {
    return id < lists_.size() && lists_[id].references > 0 ? &lists_[id] : nullptr;
}

void RemoteLists::for_each(const std::function<void(Id, const List&)>& visit) const {
    for (Id id = 1; id < lists_.size(); ++id) {
        if (lists_[id].references > 0) {
            visit(id, lists_[id]);
        }
    }
}

}  // namespace culvert::fdb
