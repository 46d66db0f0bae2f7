// Drives the executor without Node, from several threads at once, so that ThreadSanitizer and valgrind can watch it: sessions opened
// and closed, encryptions with deadlines from none to generous, cancels, and in the middle of it an end, an unloading, all sessions
// dropped, or the module initialised again by two clients at once.
//
//   stress MODULE TOKEN-LABEL PIN ROUNDS
//
// Exit status 0 when every job that was not cancelled came back exactly once (late returns aside), else 1 with the reason.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "../../native/executor.h"

using namespace pkcs11_pool;

namespace {

constexpr CK_MECHANISM_TYPE kAesKeyGen = 0x1080;
constexpr CK_MECHANISM_TYPE kAesEcb = 0x1081;

[[noreturn]] void fail(const std::string& reason) {
  std::fprintf(stderr, "stress: %s\n", reason.c_str());
  std::exit(1);
}

// What JavaScript is to an executor: submits, waits, counts.
class Driver {
 public:
  Driver() : executor_(std::make_shared<Executor>([this] { notify(); })) {}
  ~Driver() { executor_->dispose(); }

  Executor& executor() { return *executor_; }

  JobPointer make(Operation operation, uint32_t session, std::chrono::microseconds deadline) {
    auto job = std::make_shared<Job>();
    job->id = nextId_++;
    job->operation = job->step.operation = operation;
    job->session = session;
    job->deadline = Clock::now() + deadline;
    return job;
  }

  void submit(const JobPointer& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      waiting_[job->id] = 0;
    }
    executor_->submit(job);
  }

  void cancel(uint32_t id) {
    if (!executor_->cancel(id)) return;
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.erase(id);
  }

  // The outcome of one job, and everything else that is complete counted.
  Outcome await(const JobPointer& job) {
    std::unique_lock<std::mutex> lock(mutex_);
    signal_.wait(lock, [&] { return done_.count(job->id) > 0; });
    return done_[job->id];
  }

  void awaitAll() {
    std::unique_lock<std::mutex> lock(mutex_);
    signal_.wait(lock, [&] { return waiting_.empty(); });
  }

 private:
  void notify() {
    for (const auto& [job, outcome] : executor_->takeCompletions()) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (outcome == Outcome::late) continue;
      if (waiting_.erase(job->id) == 0) fail("job " + std::to_string(job->id) + " came back twice, or after it was cancelled");
      done_[job->id] = outcome;
      signal_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable signal_;
  std::map<uint32_t, int> waiting_;
  std::map<uint32_t, Outcome> done_;
  std::atomic<uint32_t> nextId_{1};
  std::shared_ptr<Executor> executor_;
};

constexpr auto kLong = std::chrono::seconds(30);

void expectOk(Driver& driver, const JobPointer& job, const char* what) {
  driver.submit(job);
  if (driver.await(job) != Outcome::returned || job->rv != CKR_OK) fail(std::string(what) + " failed with " + std::to_string(job->rv));
}

uint32_t openSession(Driver& driver, CK_SLOT_ID slot) {
  auto job = driver.make(Operation::openSession, 0, kLong);
  job->more().number = slot;
  job->more().flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
  expectOk(driver, job, "C_OpenSession");
  return job->session;
}

void load(Driver& driver, const std::string& module) {
  auto job = driver.make(Operation::load, 0, kLong);
  job->more().path = module;
  expectOk(driver, job, "C_Initialize");
}

CK_SLOT_ID findSlot(Driver& driver, const std::string& label) {
  auto job = driver.make(Operation::inspect, 0, kLong);
  job->more();
  expectOk(driver, job, "C_GetSlotList");
  for (const auto& slot : job->details->report.slots) {
    if (!slot.token) continue;
    const std::string padded(reinterpret_cast<const char*>(slot.token->label), sizeof(slot.token->label));
    if (padded.compare(0, label.size(), label) == 0 && padded[label.size()] == ' ') return slot.id;
  }
  fail("no token " + label);
}

CK_OBJECT_HANDLE generateKey(Driver& driver, uint32_t session) {
  auto job = driver.make(Operation::generateKey, session, kLong);
  job->step.mechanism.value.mechanism = kAesKeyGen;
  static CK_ULONG length = 32;
  static CK_BBOOL yes = CK_TRUE;
  constexpr CK_ATTRIBUTE_TYPE kValueLength = 0x161, kEncrypt = 0x104;
  job->more().first.attributes = {{kValueLength, &length, sizeof(length)}, {kEncrypt, &yes, sizeof(yes)}};
  expectOk(driver, job, "C_GenerateKey");
  return job->details->handles[0];
}

void encryptMany(Driver& driver, const std::vector<uint32_t>& sessions, CK_OBJECT_HANDLE key, unsigned seed, int rounds) {
  std::mt19937 random(seed);
  auto chance = [&](int outOf) { return static_cast<int>(random() % static_cast<unsigned>(outOf)); };
  for (int round = 0; round < rounds; round++) {
    // Deadlines around the length of a call: some expire in the queue, some inside the module.
    const auto deadline = chance(8) == 0 ? std::chrono::microseconds(chance(400)) : std::chrono::microseconds(kLong);
    auto job = driver.make(Operation::encrypt, sessions[static_cast<size_t>(chance(static_cast<int>(sessions.size())))], deadline);
    job->step.key = key;
    job->step.mechanism.value.mechanism = kAesEcb;
    const CK_BYTE block[16] = {};
    job->step.data.assign(block, sizeof(block));
    driver.submit(job);
    if (chance(10) == 0) driver.cancel(job->id);
    else if (chance(4) == 0) driver.await(job);
    if (chance(50) == 0) driver.executor().setMaxThreads(static_cast<size_t>(1 + chance(6)));
    if (chance(50) == 0) driver.executor().stats();
  }
}

void login(Driver& driver, uint32_t session, const std::string& pin) {
  auto job = driver.make(Operation::login, session, kLong);
  job->more().number = 1;
  job->more().pin = std::make_shared<PinSecret>();
  job->more().pin->set(pin.data(), pin.size());
  driver.submit(job);
  constexpr CK_RV kAlreadyLoggedIn = 0x100;
  if (driver.await(job) != Outcome::returned || (job->rv != CKR_OK && job->rv != kAlreadyLoggedIn)) fail("C_Login failed");
}

// Nobody initialises the module again while the other one still gets ready, which would fail.
class Rendezvous {
 public:
  void meet() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (++come_ == 2) signal_.notify_all();
    signal_.wait(lock, [&] { return come_ == 2; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable signal_;
  int come_ = 0;
};

// Whatever comes of a new session: the other client may begin another generation before it is open.
void openAnother(Driver& driver, CK_SLOT_ID slot) {
  auto job = driver.make(Operation::openSession, 0, kLong);
  job->more().number = slot;
  job->more().flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
  driver.submit(job);
  driver.await(job);
}

constexpr int kGenerations = 10;
constexpr CK_ULONG kDrainMs = 1'000;

void dropAgainAndAgain(Driver& driver, CK_SLOT_ID slot) {
  for (int i = 0; i < kGenerations; i++) {
    driver.submit(driver.make(Operation::dropSessions, 0, kLong));
    openAnother(driver, slot);
  }
}

void initializeAgainAndAgain(Driver& driver, CK_SLOT_ID slot) {
  for (int i = 0; i < kGenerations; i++) {
    auto job = driver.make(Operation::reinitialize, 0, kLong);
    job->more().number = kDrainMs;
    job->more().flags = 1;
    expectOk(driver, job, "initialising again");
    openAnother(driver, slot);
  }
}

enum class Ending { orderly, disposal, unloading, dropping, initializing };

void useToken(const std::string& module, const std::string& label, const std::string& pin, int rounds, Ending ending, Rendezvous& ready) {
  Driver driver;
  load(driver, module);
  const CK_SLOT_ID slot = findSlot(driver, label);
  const uint32_t anchor = openSession(driver, slot);
  login(driver, anchor, pin);
  const CK_OBJECT_HANDLE key = generateKey(driver, anchor);
  std::vector<uint32_t> sessions;
  for (int i = 0; i < 6; i++) sessions.push_back(openSession(driver, slot));
  ready.meet();
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 3; seed++) threads.emplace_back([&, seed] { encryptMany(driver, sessions, key, seed, rounds); });
  if (ending == Ending::disposal) driver.executor().dispose();
  if (ending == Ending::unloading) driver.submit(driver.make(Operation::unload, 0, kLong));
  if (ending == Ending::dropping) dropAgainAndAgain(driver, slot);
  if (ending == Ending::initializing) initializeAgainAndAgain(driver, slot);
  for (auto& thread : threads) thread.join();
  if (ending != Ending::disposal && ending != Ending::unloading) {
    for (uint32_t session : sessions) driver.submit(driver.make(Operation::closeSession, session, kLong));
    driver.submit(driver.make(Operation::unload, 0, kLong));
  }
  driver.awaitAll();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) fail("usage: stress MODULE TOKEN-LABEL PIN ROUNDS");
  const int rounds = std::atoi(arguments[4]);
  for (Ending ending : {Ending::orderly, Ending::disposal, Ending::unloading, Ending::dropping, Ending::initializing, Ending::orderly}) {
    Rendezvous ready;
    const Ending others = ending == Ending::initializing ? ending : Ending::orderly;
    std::thread other([&] { useToken(arguments[1], arguments[2], arguments[3], rounds, others, ready); });
    useToken(arguments[1], arguments[2], arguments[3], rounds, ending, ready);
    other.join();
  }
  std::printf("stress: all jobs came back\n");
  return 0;
}
