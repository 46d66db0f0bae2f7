#include "sessions.h"

namespace pkcs11_chaos {

using Lock = std::lock_guard<std::mutex>;

Sessions::Entry Sessions::enter(CK_ULONG handle, Fn fn, bool reachesToken) {
  Shard& shard = shardOf(handle);
  Lock lock(shard.mutex);
  auto found = shard.sessions.find(handle);
  if (found == shard.sessions.end()) return {};
  Session& session = *found->second;
  Entry entry{&session, std::nullopt, session.dropped, session.active};
  if (session.inside > 0 && fn != Fn::C_SessionCancel) entry.sharedWith = session.lastEntered;
  session.inside++;
  session.lastEntered = fn;
  if (reachesToken && !session.dropped) session.atToken++;
  return entry;
}

bool Sessions::reach(Session& session) {
  Lock lock(shardOf(session.handle).mutex);
  // closed while the call was held: the handle may be another's by now
  if (session.dropped || !session.listed) return false;
  session.atToken++;
  return true;
}

bool Sessions::leave(Session& session, bool atToken, unsigned set, unsigned clear) {
  Lock lock(shardOf(session.handle).mutex);
  session.active = (session.active | set) & ~clear;
  session.inside--;
  if (atToken) session.atToken--;
  const bool close = session.closeWhenLeft && session.atToken == 0;
  if (close) session.closeWhenLeft = false;
  if (session.inside == 0 && !session.listed) delete &session;
  return close;
}

void Sessions::add(CK_ULONG handle, CK_ULONG slot, unsigned active) {
  Shard& shard = shardOf(handle);
  Lock lock(shard.mutex);
  auto& place = shard.sessions[handle];
  // one that was dropped and closed at the token, which has given its handle to this one
  if (place != nullptr) {
    place->listed = false;
    if (!place->dropped) open_--;
    if (place->inside == 0) delete place;
  }
  place = new Session(handle, slot);
  place->active = active;
  countOpened();
}

void Sessions::addLost(CK_ULONG handle, CK_ULONG slot) {
  Lock lock(extra_);
  lost_.push_back({handle, slot, 0});
}

int64_t Sessions::lost() {
  Lock lock(extra_);
  return static_cast<int64_t>(lost_.size());
}

std::vector<Sessions::Removed> Sessions::takeLost(std::optional<CK_ULONG> slot) {
  Lock lock(extra_);
  std::vector<Removed> taken, kept;
  for (const Removed& each : lost_) (slot && each.slot != *slot ? kept : taken).push_back(each);
  lost_ = std::move(kept);
  return taken;
}

void Sessions::countOpened() {
  const int64_t now = ++open_;
  int64_t peak = peak_;
  while (now > peak && !peak_.compare_exchange_weak(peak, now)) continue;
}

void Sessions::remove(Session& session) {
  Shard& shard = shardOf(session.handle);
  Lock lock(shard.mutex);
  // the call that removes it closes it
  session.closeWhenLeft = false;
  if (!session.listed) return;
  shard.sessions.erase(session.handle);
  unlist(session);
}

void Sessions::forgetDropped(Session& session) {
  Shard& shard = shardOf(session.handle);
  Lock lock(shard.mutex);
  if (!session.listed) return;
  shard.sessions.erase(session.handle);
  unlist(session);
}

void Sessions::unlist(Session& session) {
  session.listed = false;
  if (!session.dropped) open_--;
  if (session.inside == 0) delete &session;
}

std::vector<Sessions::Removed> Sessions::removeAll(std::optional<CK_ULONG> slot) {
  std::vector<Removed> removed;
  for (Shard& shard : shards_) {
    Lock lock(shard.mutex);
    for (auto at = shard.sessions.begin(); at != shard.sessions.end();) {
      Session& session = *at->second;
      if (slot && session.slot != *slot) {
        ++at;
        continue;
      }
      if (!session.dropped) removed.push_back({session.handle, session.slot, session.active});
      // the token closes it with the others; its handle may then belong to a new one
      session.closeWhenLeft = false;
      at = shard.sessions.erase(at);
      unlist(session);
    }
  }
  takeLost(slot);
  return removed;
}

std::vector<CK_ULONG> Sessions::drop(std::optional<CK_ULONG> slot) {
  std::vector<CK_ULONG> closable;
  for (Shard& shard : shards_) {
    Lock lock(shard.mutex);
    for (auto& [handle, session] : shard.sessions) {
      if (session->dropped || (slot && session->slot != *slot)) continue;
      session->dropped = true;
      session->active = 0;
      open_--;
      // a call that is in the real module still uses it there
      if (session->atToken > 0) session->closeWhenLeft = true;
      else closable.push_back(handle);
    }
  }
  for (const Removed& each : takeLost(slot)) closable.push_back(each.handle);
  return closable;
}

std::set<CK_ULONG> Sessions::slots() {
  std::set<CK_ULONG> found;
  for (Shard& shard : shards_) {
    Lock lock(shard.mutex);
    for (auto& [handle, session] : shard.sessions)
      if (!session->dropped) found.insert(session->slot);
  }
  return found;
}

bool Sessions::reserve(uint64_t limit, bool* held) {
  Lock lock(extra_);
  const int64_t others = open_ + static_cast<int64_t>(lost_.size()) + reserved_ - (*held ? 1 : 0);
  if (static_cast<uint64_t>(others) >= limit) return false;
  if (!*held) reserved_++;
  *held = true;
  return true;
}

void Sessions::unreserve() {
  Lock lock(extra_);
  reserved_--;
}

void Sessions::lockAll() {
  for (Shard& shard : shards_) shard.mutex.lock();
  extra_.lock();
}

void Sessions::unlockAll() {
  extra_.unlock();
  for (Shard& shard : shards_) shard.mutex.unlock();
}

void Sessions::forget() {
  for (Shard& shard : shards_) {
    // what calls of other threads were in is not deleted: they were cut off in the middle of it
    for (auto& [handle, session] : shard.sessions)
      if (session->inside == 0) delete session;
    shard.sessions.clear();
  }
  open_ = peak_ = 0;
  lost_.clear();
  reserved_ = 0;
}

}  // namespace pkcs11_chaos
