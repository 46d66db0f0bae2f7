#include "executor.h"
#include "thread.h"

namespace pkcs11_pool {

namespace {

constexpr auto kTick = std::chrono::milliseconds(2);
constexpr int kIdleTicks = 25;

}  // namespace

// Makes sure that the watcher looks again at `deadline`; false where the machine has no thread for it.
bool Executor::watchUntil(Clock::time_point deadline) {
  if (!watching_) watching_ = startThread([self = shared_from_this()] { self->watch(); });
  if (!watching_) return false;
  // With one timeout for all, deadlines only grow: the watcher is woken once a timeout, not once a job.
  nextDeadline_ = std::min(nextDeadline_, deadline);
  if (deadline < watcherWakes_) watcherSignal_.notify_one();
  return true;
}

// Jobs wait behind busy threads, or completions for company: the watcher looks every tick that no call has got stuck.
void Executor::needTicks() {
  ticksNeeded_ = true;
  if (ticking_) return;
  ticking_ = true;
  watcherSignal_.notify_one();
}

void Executor::watch() {
  Lock lock(mutex_);
  int idleTicks = 0;
  for (;;) {
    const Clock::time_point now = Clock::now();
    if (now >= nextDeadline_) nextDeadline_ = expireJobs(now);
    findStuck(now);
    wake(dispatch());
    announce(lock);
    if (disposed_ && workers_.size() == hung_) break;
    if (ticking_) {
      idleTicks = std::exchange(ticksNeeded_, false) ? 0 : idleTicks + 1;
      ticking_ = idleTicks < kIdleTicks;
    }
    // What was submitted while announce gave up the mutex has lowered nextDeadline_.
    watcherWakes_ = ticking_ ? std::min(nextDeadline_, now + kTick) : nextDeadline_;
    if (watcherWakes_ == Clock::time_point::max()) watcherSignal_.wait(lock);
    else watcherSignal_.wait_until(lock, watcherWakes_);
  }
  watching_ = false;
}

// Completes what has passed its deadline and returns the next deadline there is.
Clock::time_point Executor::expireJobs(Clock::time_point now) {
  Clock::time_point next = Clock::time_point::max();
  std::vector<JobPointer> expired;
  auto sift = [&](std::deque<JobPointer>& jobs) {
    for (auto at = jobs.begin(); at != jobs.end();) {
      if ((*at)->deadline > now) {
        next = std::min(next, (*at)->deadline);
        ++at;
        continue;
      }
      expired.push_back(std::move(*at));
      at = jobs.erase(at);
    }
  };
  for (auto& [number, session] : sessions_) sift(session.backlog);
  const size_t fromBacklogs = expired.size();
  sift(queue_);
  for (size_t i = 0; i < expired.size(); i++) {
    const uint32_t session = expired[i]->session;
    complete(std::move(expired[i]), Outcome::expired);
    // Those of the queue held their session.
    if (i >= fromBacklogs) releaseSession(session);
  }
  for (auto& worker : workers_) {
    if (worker->job == nullptr || worker->hung) continue;
    if (worker->job->deadline <= now) abandon(*worker);
    else next = std::min(next, worker->job->deadline);
  }
  if (stalled()) completeQueued(Outcome::stalled);
  return next;
}

// The call goes on without anybody waiting for it: its thread no longer counts, its session is not used again, and should it ever
// return, its thread cleans up behind it.
void Executor::abandon(Worker& worker) {
  if (std::exchange(worker.stuck, false)) stuck_--;
  worker.hung = true;
  hung_++;
  abandoned_++;
  loseSession(worker.job->session);
  complete(worker.job, Outcome::abandoned);
}

void Executor::findStuck(Clock::time_point now) {
  if (queue_.empty()) return;
  const auto stuckAfter = concurrency_.stuckAfter();
  for (const auto& worker : workers_) {
    if (worker->job == nullptr || worker->hung || worker->stuck || now - worker->startedAt < stuckAfter) continue;
    worker->stuck = true;
    stuck_++;
  }
}

}  // namespace pkcs11_pool
