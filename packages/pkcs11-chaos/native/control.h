// The way in from outside: a directory with the rules, and in it one Unix socket for each process that has loaded the module.
//
//   DIRECTORY/rules/ID.rule          one rule each; read at the start, and again when a process is told to
//   DIRECTORY/PID.sock               where a process listens: one line a connection, answered with one line of JSON
//   DIRECTORY/ended/PID-START.json   what a process had to report at its end
#pragma once

#include <mutex>
#include <string>
#include <vector>

namespace pkcs11_chaos {

class Control {
 public:
  // Opens it for this process. Throws std::runtime_error that says what is wrong.
  void open(const std::string& directory);
  // Leaves the last report behind and takes the socket away.
  void end();

  const std::string& startedAt() const { return startedAt_; }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  // After a fork, with the lock held by this thread: what is open belongs to the parent.
  void forget();

 private:
  void listen();
  void serve();
  void serveOne(int connection);
  std::string answer(const std::string& request);
  void readRules();

  std::string directory_, socketPath_, startedAt_;
  // held while the rules are read and set: who has read less must not have the last word
  std::mutex reading_;
  std::mutex mutex_;
  // guarded by the lock: descriptors that a forked child has to close
  int listener_ = -1;
  std::vector<int> connections_;
};

}  // namespace pkcs11_chaos
