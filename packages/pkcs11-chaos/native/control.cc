#include "control.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <new>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "chaos.h"
#include "json.h"

namespace pkcs11_chaos {

namespace {

using Lock = std::lock_guard<std::mutex>;

constexpr size_t kLongestRequest = 4096;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + strerror(errno)); }

void makePrivateDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot make the directory " + path);
  struct stat status;
  if (stat(path.c_str(), &status) != 0) fail("cannot look at " + path);
  // whoever may write there decides over this process
  if (!S_ISDIR(status.st_mode) || (status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & 022) != 0)
    throw std::runtime_error(path + " is not a directory that only its owner may write to: make it with mode 0700");
}

// Starts a thread that nobody waits for. It takes no signals, which belong to the program's own threads.
bool startThread(std::function<void()> run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 1 << 20);
  auto* body = new std::function<void()>(std::move(run));
  pthread_t thread;
  const int status = pthread_create(
      &thread, &attributes,
      [](void* argument) -> void* {
        auto* body = static_cast<std::function<void()>*>(argument);
        (*body)();
        delete body;
        return nullptr;
      },
      body);
  if (status != 0) delete body;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status == 0;
}

// Nothing where there is no such file any more.
std::optional<std::string> readFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (file) return text.str();
  if (access(path.c_str(), F_OK) != 0) return std::nullopt;
  throw std::runtime_error("cannot read " + path);
}

std::vector<Rule> listRules(const std::string& path) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) fail("cannot list " + path);
  std::vector<std::string> ids;
  const std::string suffix = ".rule";
  while (const dirent* entry = readdir(folder)) {
    const std::string name = entry->d_name;
    if (name.size() > suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
      ids.push_back(name.substr(0, name.size() - suffix.size()));
  }
  closedir(folder);
  std::sort(ids.begin(), ids.end());
  std::vector<Rule> rules;
  for (const auto& id : ids) {
    try {
      if (const auto text = readFile(path + "/" + id + suffix)) rules.push_back(parseRule(id, *text));
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error("rule " + id + ": " + error.what());
    }
  }
  return rules;
}

}  // namespace

void Control::open(const std::string& directory) {
  directory_ = directory;
  for (const char* each : {"", "/rules", "/ended"}) makePrivateDirectory(directory_ + each);
  startedAt_ = std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
  // first the socket, then the rules: who changes them writes the files first, so that a change reaches this process one way or the other
  listen();
  readRules();
}

void Control::listen() {
  socketPath_ = directory_ + "/" + std::to_string(getpid()) + ".sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // it gets its name once it listens: a controller takes a socket that refuses for one whose process is gone, and removes it
  const std::string partial = socketPath_ + ".new";
  if (partial.size() >= sizeof address.sun_path)
    throw std::runtime_error(partial + " is too long a path for a socket: choose a shorter PKCS11_CHAOS_CONTROL");
  memcpy(address.sun_path, partial.c_str(), partial.size() + 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) fail("cannot make a socket");
  // of an earlier process with the same number
  unlink(partial.c_str());
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 128) != 0 ||
      rename(partial.c_str(), socketPath_.c_str()) != 0) {
    close(listener);
    fail("cannot listen on " + socketPath_);
  }
  {
    Lock lock(mutex_);
    listener_ = listener;
  }
  if (!startThread([this] { serve(); })) throw std::runtime_error("cannot start the control thread");
}

void Control::serve() {
  const int listener = [this] {
    Lock lock(mutex_);
    return listener_;
  }();
  for (;;) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // out of descriptors or memory: the program may give some back
      usleep(10'000);
      continue;
    }
    {
      Lock lock(mutex_);
      connections_.push_back(connection);
    }
    // a thread each, because an action may have to wait for the token
    if (!startThread([this, connection] { serveOne(connection); })) serveOne(connection);
  }
}

void Control::serveOne(int connection) {
  const timeval patience{2, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string request;
  char buffer[256];
  while (request.find('\n') == std::string::npos && request.size() < kLongestRequest) {
    const ssize_t got = recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0) break;
    request.append(buffer, static_cast<size_t>(got));
  }
  const auto end = request.find('\n');
  if (end != std::string::npos) {
    const std::string reply = answer(request.substr(0, end)) + "\n";
    for (size_t sent = 0; sent < reply.size();) {
      const ssize_t now = send(connection, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) break;
      sent += static_cast<size_t>(now);
    }
  }
  Lock lock(mutex_);
  connections_.erase(std::find(connections_.begin(), connections_.end(), connection));
  close(connection);
}

std::string Control::answer(const std::string& request) {
  std::istringstream words(request);
  std::string command, first, second;
  words >> command >> first >> second;
  try {
    if (command == "report") return chaos().report();
    if (command == "reset") {
      chaos().reset();
    } else if (command == "sync") {
      readRules();
    } else if (command == "release") {
      chaos().rules.release(first);
    } else if (command == "act") {
      const auto action = actionNamed(first);
      if (!action) throw std::runtime_error("got action '" + first + "', which is none");
      const auto slot = second.empty() ? std::nullopt : std::optional<CK_ULONG>(std::stoul(second));
      const std::string failure = chaos().token.act(*action, slot);
      if (!failure.empty()) throw std::runtime_error(failure);
    } else {
      throw std::runtime_error("got command '" + command + "', expected report, reset, sync, release or act");
    }
  } catch (const std::exception& error) {
    return "{\"error\":" + jsonString(error.what()) + "}";
  }
  return "{\"ok\":true}";
}

void Control::readRules() {
  std::vector<std::optional<CK_ULONG>> gone;
  {
    Lock lock(reading_);
    gone = chaos().token.setRemovedByRules(chaos().rules.set(listRules(directory_ + "/rules")));
  }
  // may have to wait for the token
  for (const auto& slot : gone) chaos().token.drop(slot);
}

void Control::end() {
  const std::string path = directory_ + "/ended/" + std::to_string(getpid()) + "-" + startedAt_ + ".json";
  const std::string partial = path + ".partial";
  {
    std::ofstream file(partial);
    file << chaos().report() << "\n";
  }
  rename(partial.c_str(), path.c_str());
  unlink(socketPath_.c_str());
}

void Control::forget() {
  // another thread may have held it at the fork
  new (&reading_) std::mutex;
  if (listener_ >= 0) close(listener_);
  for (int connection : connections_) close(connection);
  listener_ = -1;
  connections_.clear();
}

}  // namespace pkcs11_chaos
