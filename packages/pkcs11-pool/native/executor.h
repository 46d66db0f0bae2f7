// Runs one client's jobs on threads of its own, so that neither the event loop nor a close ever waits for the module.
//
// Every field is guarded by mutex_, which no thread holds while it is inside the module. A job is in exactly one place: in the
// queue, in a session's backlog, with a worker, or done.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "concurrency.h"
#include "job.h"
#include "module.h"

namespace pkcs11_pool {

using JobPointer = std::shared_ptr<Job>;

struct ExecutorStats {
  size_t threads, idleThreads, queued, running, hung, abandoned, sessions, completed, wakeups;
};

class Executor : public std::enable_shared_from_this<Executor> {
 public:
  struct Completion {
    JobPointer job;
    Outcome outcome;
  };

  // `notify` wakes whoever takes the completions. It is called from any thread, without the mutex, and not again before
  // takeCompletions.
  explicit Executor(std::function<void()> notify) : notify_(std::move(notify)) {}

  void submit(JobPointer job);
  // Takes back a job that has not started.
  bool cancel(uint32_t id);
  // Everything completed since the last call. A job that was abandoned comes twice: as such, and as late when its call returns.
  std::vector<Completion> takeCompletions();
  void setMaxThreads(size_t count);
  ExecutorStats stats();
  // No further job starts; what is queued completes as disposed. Once the last running job is over, the sessions that are still
  // open are closed and the module is given back, on a thread of the executor's own.
  void dispose();

 private:
  struct Worker : std::enable_shared_from_this<Worker> {
    std::condition_variable signal;
    bool signalled = false;
    JobPointer job;
    std::shared_ptr<Module> module;  // that the job is in
    Clock::time_point now;  // when it last came from the module, or from sleep: one look at the clock a job
    Clock::time_point startedAt;
    size_t turn = 0;     // the number of its job among all that were started
    size_t beside = 0;   // how many others were under way when it started
    bool stuck = false;  // its call takes much longer than calls do
    bool hung = false;   // its call has passed its deadline
  };
  struct Session {
    CK_SESSION_HANDLE handle = 0;
    bool busy = false;
    bool lost = false;  // a call hangs in it
    std::deque<JobPointer> backlog;
  };
  using Lock = std::unique_lock<std::mutex>;

  // executor.cc: what comes in, what goes out, and how many threads are at it
  void enqueue(JobPointer job);
  [[nodiscard]] std::shared_ptr<Worker> dispatch();
  static void wake(const std::shared_ptr<Worker>& worker);
  size_t moving() const;
  bool canStartWorker() const;
  bool startWorker();
  bool stalled() const;
  void releaseSession(uint32_t id);
  void loseSession(uint32_t id);
  std::vector<CK_SESSION_HANDLE> forgetSessions();
  void complete(JobPointer job, Outcome outcome);
  void refuse(JobPointer job);
  void completeQueued(Outcome outcome);
  void announce(Lock& lock);

  // worker.cc: the life of one thread
  void work(Worker& worker);
  JobPointer nextJob(Lock& lock, Worker& worker);
  void prepare(Worker& worker, JobPointer job);
  std::shared_ptr<Module> admit();
  void run(Job& job, const Module* module);
  void reinitialize(Job& job) const;
  void finish(Lock& lock, Worker& worker, JobPointer job);
  void endOrphan(Lock& lock, Worker& worker, JobPointer job);
  void reap(Lock& lock, Worker& worker, Job& job);
  void closeDown(Lock& lock);

  // watcher.cc: deadlines, and threads that are stuck
  bool watchUntil(Clock::time_point deadline);
  void needTicks();
  void watch();
  Clock::time_point expireJobs(Clock::time_point now);
  void abandon(Worker& worker);
  void findStuck(Clock::time_point now);

  std::mutex mutex_;
  const std::function<void()> notify_;

  std::shared_ptr<Module> module_;  // once acquired
  uint64_t moduleGeneration_ = 0;   // that the sessions are of
  std::deque<JobPointer> queue_;
  std::unordered_map<uint32_t, Session> sessions_;
  uint32_t nextSession_ = 1;

  std::vector<std::shared_ptr<Worker>> workers_;  // those in hanging calls included
  std::vector<std::shared_ptr<Worker>> idle_;
  size_t starting_ = 0;  // woken or created, and not yet at a job
  size_t stuck_ = 0;
  size_t hung_ = 0;
  size_t turns_ = 0;
  size_t maxThreads_ = 4;
  Concurrency concurrency_;
  bool disposed_ = false;
  bool closedDown_ = false;

  std::vector<Completion> completions_;
  Clock::time_point firstCompletionAt_;
  bool announced_ = false;

  std::condition_variable watcherSignal_;
  bool watching_ = false;
  bool ticking_ = false;
  bool ticksNeeded_ = false;
  Clock::time_point nextDeadline_ = Clock::time_point::max();  // or earlier: its job may be done since
  Clock::time_point watcherWakes_ = Clock::time_point::max();

  size_t abandoned_ = 0;
  size_t completed_ = 0;
  size_t wakeups_ = 0;
};

}  // namespace pkcs11_pool
