// The sessions that the program has open, and what is going on in each.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "functions.h"

namespace pkcs11_chaos {

struct Session {
  Session(CK_ULONG handle, CK_ULONG slot) : handle(handle), slot(slot) {}

  const CK_ULONG handle, slot;
  // Guarded by the lock of its shard.
  unsigned active = 0;       // operations under way, by bitOf
  int inside = 0;            // calls in it, wherever they are
  int atToken = 0;           // those of them that may have reached the real module
  Fn lastEntered = Fn::count;
  bool listed = true;        // known by its handle
  bool dropped = false;      // taken from the program: its calls do not reach the real module any more
  bool closeWhenLeft = false;  // closed at the token by the last call that leaves it
};

class Sessions {
 public:
  struct Removed {
    CK_ULONG handle, slot;
    unsigned active;
  };

  struct Entry {
    Session* session = nullptr;
    // another call was inside already: its function
    std::optional<Fn> sharedWith;
    // the session was dropped
    bool dropped = false;
    // operations that were active at the entry
    unsigned active = 0;
  };

  // A call comes in. With `reachesToken` it counts as being at the token at once, unless the session was dropped.
  Entry enter(CK_ULONG handle, Fn fn, bool reachesToken);
  // A call that came in without goes on to the token. False: the session was dropped or closed meanwhile.
  bool reach(Session& session);
  // A call goes, and has set or cleared operations. True: the caller has to close the handle at the token.
  bool leave(Session& session, bool atToken, unsigned set, unsigned clear);

  void add(CK_ULONG handle, CK_ULONG slot) { add(handle, slot, 0); }
  // Opened at the token, but the program was told that it was not.
  void addLost(CK_ULONG handle, CK_ULONG slot);
  // Forgets one that is about to be closed at the token: afterwards the same handle may belong to a new one.
  void remove(Session& session);
  // Forgets one that was dropped. Where it is not closed at the token yet, it still will be.
  void forgetDropped(Session& session);
  // Forgets all, of one slot or at all, before they are closed at the token in bulk.
  std::vector<Removed> removeAll(std::optional<CK_ULONG> slot);
  // What was removed is still open after all.
  void restore(const Removed& removed) { add(removed.handle, removed.slot, removed.active); }

  // Takes sessions from the program; gives those that can be closed at the token at once.
  std::vector<CK_ULONG> drop(std::optional<CK_ULONG> slot);
  // The slots that have open sessions.
  std::set<CK_ULONG> slots();

  // Whether one more is within `limit`. Room is held for it, once, which sets `held`, until `unreserve`.
  bool reserve(uint64_t limit, bool* held);
  void unreserve();

  int64_t open() const { return open_; }
  int64_t peak() const { return peak_; }
  int64_t lost();
  void resetPeak() { peak_ = open_.load(); }

  void lockAll();
  void unlockAll();
  // Everything, with all locks held by this thread.
  void forget();

 private:
  static constexpr size_t kShards = 32;
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<CK_ULONG, Session*> sessions;
  };

  Shard& shardOf(CK_ULONG handle) { return shards_[(handle * 0x9E3779B97F4A7C15ULL) >> 59]; }
  void add(CK_ULONG handle, CK_ULONG slot, unsigned active);
  void countOpened();
  void unlist(Session& session);
  std::vector<Removed> takeLost(std::optional<CK_ULONG> slot);

  std::array<Shard, kShards> shards_;
  std::atomic<int64_t> open_{0}, peak_{0};
  // for the two below
  std::mutex extra_;
  std::vector<Removed> lost_;
  int64_t reserved_ = 0;
};

}  // namespace pkcs11_chaos
