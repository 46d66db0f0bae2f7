#include "executor.h"

#include <algorithm>

#include "thread.h"

namespace pkcs11_pool {

void Executor::submit(JobPointer job) {
  Lock lock(mutex_);
  const size_t before = completions_.size();
  enqueue(std::move(job));
  const std::shared_ptr<Worker> woken = dispatch();
  // A job that was answered here has no worker to announce it. Others' completions wait for company as before.
  if (completions_.size() > before) announce(lock);
  lock.unlock();
  wake(woken);
}

void Executor::enqueue(JobPointer job) {
  if (disposed_) return complete(std::move(job), Outcome::disposed);
  if (job->deadline <= Clock::now()) return complete(std::move(job), Outcome::expired);
  Session* session = nullptr;
  if (job->session != 0) {
    auto found = sessions_.find(job->session);
    if (found == sessions_.end() || found->second.lost) return refuse(std::move(job));
    session = &found->second;
  }
  if (stalled() || !watchUntil(job->deadline)) return complete(std::move(job), Outcome::stalled);
  if (session != nullptr && session->busy) {
    session->backlog.push_back(std::move(job));
    return;
  }
  if (session != nullptr) session->busy = true;
  queue_.push_back(std::move(job));
}

bool Executor::cancel(uint32_t id) {
  Lock lock(mutex_);
  auto isIt = [id](const JobPointer& job) { return job->id == id; };
  auto queued = std::find_if(queue_.begin(), queue_.end(), isIt);
  if (queued != queue_.end()) {
    uint32_t session = (*queued)->session;
    queue_.erase(queued);
    releaseSession(session);
    wake(dispatch());
    return true;
  }
  for (auto& [number, session] : sessions_) {
    auto waiting = std::find_if(session.backlog.begin(), session.backlog.end(), isIt);
    if (waiting == session.backlog.end()) continue;
    session.backlog.erase(waiting);
    return true;
  }
  return false;
}

std::vector<Executor::Completion> Executor::takeCompletions() {
  Lock lock(mutex_);
  announced_ = false;
  return std::exchange(completions_, {});
}

void Executor::setMaxThreads(size_t count) {
  Lock lock(mutex_);
  maxThreads_ = std::max<size_t>(1, count);
  wake(dispatch());
}

ExecutorStats Executor::stats() {
  Lock lock(mutex_);
  size_t running = 0;
  for (const auto& worker : workers_) running += worker->job != nullptr && !worker->hung;
  size_t queued = queue_.size();
  for (const auto& [number, session] : sessions_) queued += session.backlog.size();
  return {workers_.size(), idle_.size(), queued, running, hung_, abandoned_, sessions_.size(), completed_, wakeups_};
}

void Executor::dispose() {
  Lock lock(mutex_);
  if (disposed_) return;
  disposed_ = true;
  completeQueued(Outcome::disposed);
  for (const auto& worker : idle_) {
    worker->signalled = true;
    worker->signal.notify_one();
    starting_++;
  }
  idle_.clear();
  // The last worker to end closes what is open. Where there is none, and something to close, one is started for that.
  if (workers_.size() == hung_ && (module_ || !sessions_.empty())) startWorker();
  watcherSignal_.notify_one();
  announce(lock);
}

// Threads that are at work or on their way to it. Those stuck in a call are not: others must not wait for them.
size_t Executor::moving() const { return workers_.size() - hung_ - idle_.size() - stuck_; }

// Puts a thread to work where one is wanted: starts it, or answers one that sleeps, for the caller to wake. That is best done after giving up
// the mutex: the woken thread takes it first of all, and on the same processor it runs at once.
std::shared_ptr<Executor::Worker> Executor::dispatch() {
  // Workers on their way to a job are enough for as many jobs as there are.
  if (queue_.size() <= starting_) return nullptr;
  if (moving() >= concurrency_.wanted(queue_.size() - starting_)) {
    needTicks();
    return nullptr;
  }
  if (!idle_.empty()) {
    // The one that went to sleep last: its stack is still in the cache, and the others may reach their idle timeout.
    std::shared_ptr<Worker> worker = std::move(idle_.back());
    idle_.pop_back();
    worker->signalled = true;
    starting_++;
    wakeups_++;
    return worker;
  }
  if (!startWorker()) {
    needTicks();
    if (stalled()) completeQueued(Outcome::stalled);
  }
  return nullptr;
}

void Executor::wake(const std::shared_ptr<Worker>& worker) {
  if (worker) worker->signal.notify_one();
}

// A hanging call loses its thread; it is replaced until as many hang as may run.
bool Executor::canStartWorker() const { return workers_.size() - hung_ < maxThreads_ && workers_.size() < 2 * maxThreads_; }

bool Executor::startWorker() {
  if (!canStartWorker() && !disposed_) return false;
  auto worker = std::make_shared<Worker>();
  // Where the machine has no thread left, those there are go on.
  if (!startThread([self = shared_from_this(), worker] { self->work(*worker); })) return false;
  workers_.push_back(std::move(worker));
  starting_++;
  return true;
}

bool Executor::stalled() const { return workers_.size() == hung_ && !canStartWorker(); }

void Executor::releaseSession(uint32_t id) {
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  session.busy = false;
  if (session.backlog.empty()) return;
  session.busy = true;
  queue_.push_back(std::move(session.backlog.front()));
  session.backlog.pop_front();
}

void Executor::loseSession(uint32_t id) {
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  found->second.lost = true;
  for (auto& job : std::exchange(found->second.backlog, {})) refuse(std::move(job));
}

// No session is known any more, and what waits in one is refused. Answers the handles of those in which nothing runs; the others end
// with their call.
std::vector<CK_SESSION_HANDLE> Executor::forgetSessions() {
  for (auto& job : std::exchange(queue_, {})) {
    if (job->session == 0) {
      queue_.push_back(std::move(job));
      continue;
    }
    sessions_[job->session].busy = false;
    refuse(std::move(job));
  }
  std::vector<CK_SESSION_HANDLE> idle;
  for (auto& [number, session] : sessions_) {
    for (auto& job : std::exchange(session.backlog, {})) refuse(std::move(job));
    if (!session.busy && !session.lost) idle.push_back(session.handle);
  }
  sessions_.clear();
  return idle;
}

void Executor::complete(JobPointer job, Outcome outcome) {
  if (completions_.empty()) firstCompletionAt_ = Clock::now();
  completed_++;
  completions_.push_back({std::move(job), outcome});
}

// The session is not there (any more): the same answer as the module's, without asking it.
void Executor::refuse(JobPointer job) {
  job->rv = CKR_SESSION_HANDLE_INVALID;
  complete(std::move(job), Outcome::returned);
}

void Executor::completeQueued(Outcome outcome) {
  for (auto& job : std::exchange(queue_, {})) {
    auto found = sessions_.find(job->session);
    if (found != sessions_.end()) {
      found->second.busy = false;
      for (auto& waiting : std::exchange(found->second.backlog, {})) complete(std::move(waiting), outcome);
    }
    complete(std::move(job), outcome);
  }
  if (outcome != Outcome::disposed) return;
  for (auto& [number, session] : sessions_) {
    for (auto& waiting : std::exchange(session.backlog, {})) complete(std::move(waiting), outcome);
  }
}

// One wake-up of the loop for everything that is complete. The mutex is given up meanwhile.
void Executor::announce(Lock& lock) {
  if (completions_.empty() || announced_) return;
  announced_ = true;
  lock.unlock();
  notify_();
  lock.lock();
}

}  // namespace pkcs11_pool
