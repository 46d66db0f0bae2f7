#include <algorithm>
#include <ctime>
#include <exception>
#include <sys/resource.h>

#include "executor.h"
#include "operations.h"
#include "process-exit.h"

namespace pkcs11_pool {

namespace {

constexpr auto kIdleTimeout = std::chrono::seconds(10);
// Completions wait for company, so that one wake-up of the loop serves many: until there are as many as jobs are still queued, which
// leaves the loop time to bring new ones before the threads run dry; and at most this long, and not behind calls as long as this.
constexpr auto kCompany = std::chrono::milliseconds(1);

constexpr CK_ULONG kLongestDrainMs = 60'000;

// Did the calling thread give up its processor for most of the time since this was made? For half of it, it may have waited for another
// thread's call of the same kind.
class WaitingProbe {
 public:
  WaitingProbe() : wall_(Clock::now()), processor_(processorTime()), switches_(switches()) {}

  bool waited() const {
    auto wall = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - wall_).count();
    return switches() > switches_ && (processorTime() - processor_) * 3 < wall;
  }

 private:
  static long long processorTime() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
  }
  static long switches() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  }

  Clock::time_point wall_;
  long long processor_;
  long switches_;
};

// Opening, logging in and the like say nothing about how long the next cryptographic call takes.
bool tellsLength(Operation operation) {
  switch (operation) {
    case Operation::load:
    case Operation::unload:
    case Operation::loadPin:
    case Operation::inspect:
    case Operation::openSession:
    case Operation::closeSession:
    case Operation::dropSessions:
    case Operation::reinitialize:
    case Operation::login:
    case Operation::logout:
      return false;
    default:
      return true;
  }
}

// Closes sessions of a generation of the module; not where it was initialised again since: they have ended, and their handles may be
// others' now.
void closeSessions(Module& module, uint64_t generation, const std::vector<CK_SESSION_HANDLE>& handles) {
  if (handles.empty()) return;
  if (module.enterOnceSettled() == generation) {
    for (CK_SESSION_HANDLE handle : handles) closeSession(module, handle);
  }
  module.leave();
}

// Leaves time to answer before the watcher gives the job up.
Clock::time_point soonBefore(Clock::time_point deadline) {
  const auto now = Clock::now();
  return deadline - (deadline - now) / 10;
}

// Does a session stay open behind it that only this executor knows?
bool outlivesUnload(const Job& job) {
  if (job.operation == Operation::openSession) return job.rv == CKR_OK;
  return job.session != 0 && job.operation != Operation::closeSession;
}

}  // namespace

void Executor::work(Worker& worker) {
  Lock lock(mutex_);
  starting_--;
  worker.now = Clock::now();
  while (JobPointer job = nextJob(lock, worker)) {
    prepare(worker, job);
    const std::shared_ptr<Worker> woken = dispatch();
    const bool observed = worker.beside < Concurrency::kFew && tellsLength(job->operation);
    const bool sampled = observed && concurrency_.asksForWaiting();
    lock.unlock();
    wake(woken);
    std::optional<WaitingProbe> probe;
    if (sampled) probe.emplace();
    run(*job, worker.module.get());
    const bool waited = sampled && probe->waited();
    lock.lock();
    worker.now = Clock::now();
    if (observed && !worker.hung) {
      // Alone is one that has been so all the time.
      concurrency_.observeLength(worker.now - worker.startedAt, worker.beside == 0 && worker.turn == turns_);
      if (sampled) concurrency_.observeWaiting(waited);
    }
    finish(lock, worker, std::move(job));
  }
  for (auto at = workers_.begin(); at != workers_.end(); ++at) {
    if (at->get() != &worker) continue;
    workers_.erase(at);
    break;
  }
  if (disposed_ && workers_.size() == hung_) closeDown(lock);
  wake(dispatch());
  watcherSignal_.notify_one();
  announce(lock);
}

JobPointer Executor::nextJob(Lock& lock, Worker& worker) {
  for (;;) {
    if (workers_.size() - hung_ > maxThreads_) return nullptr;
    // More at work than are wanted (others got stuck, and move again): one goes to sleep, though there are jobs.
    const bool surplus = moving() > concurrency_.most();
    if (!queue_.empty() && !surplus) {
      JobPointer job = std::move(queue_.front());
      queue_.pop_front();
      if (job->deadline > worker.now) return job;
      uint32_t session = job->session;
      complete(std::move(job), Outcome::expired);
      releaseSession(session);
      continue;
    }
    if (disposed_) return nullptr;
    if (!surplus && !completions_.empty() && !announced_) {
      announce(lock);
      continue;
    }
    idle_.push_back(worker.shared_from_this());
    if (worker.signal.wait_for(lock, kIdleTimeout, [&] { return worker.signalled; })) {
      worker.signalled = false;
      starting_--;
      worker.now = Clock::now();
      continue;
    }
    idle_.erase(std::find(idle_.begin(), idle_.end(), worker.shared_from_this()));
    if (queue_.empty() && workers_.size() - hung_ > 1) return nullptr;
  }
}

// What the job needs of the executor's own state, taken while the mutex is held. The module counts the call from here on, so that
// nobody finalises it under the call's feet.
void Executor::prepare(Worker& worker, JobPointer job) {
  auto session = sessions_.find(job->session);
  if (session != sessions_.end()) job->handle = session->second.handle;
  switch (job->operation) {
    case Operation::unload: {
      JobDetails& details = job->more();
      details.module = std::exchange(module_, nullptr);
      details.generation = moduleGeneration_;
      for (auto at = sessions_.begin(); at != sessions_.end();) {
        if (at->second.busy || at->second.lost) {
          ++at;
          continue;
        }
        details.handles.push_back(at->second.handle);
        at = sessions_.erase(at);
      }
      break;
    }
    case Operation::dropSessions:
      job->more().handles = forgetSessions();
      [[fallthrough]];
    case Operation::reinitialize:
      // Not counted as a call: it waits until there are none.
      job->more().subject = module_;
      job->more().generation = moduleGeneration_;
      break;
    default:
      worker.module = admit();
      // Closed all the same, once the module is settled.
      if (job->operation == Operation::closeSession && !worker.module) {
        job->more().subject = module_;
        job->more().generation = moduleGeneration_;
      }
  }
  worker.job = std::move(job);
  worker.turn = ++turns_;
  worker.beside = moving() + stuck_ + hung_ - 1;
  worker.startedAt = worker.now;
}

// The module for one more call, counted; none where there is none, or it is being initialised again, or was: what this executor knows of
// it is no more.
std::shared_ptr<Module> Executor::admit() {
  if (!module_ || !module_->enter()) return nullptr;
  if (module_->generation() == moduleGeneration_) return module_;
  module_->leave();
  return nullptr;
}

void Executor::run(Job& job, const Module* module) {
  CallIntoModule counted;
  try {
    switch (job.operation) {
      case Operation::loadPin: {
        JobDetails& details = job.more();
        if (!details.path.empty()) details.text = details.pin->readFile(details.path);
        if (!details.text.empty()) job.outcome = Outcome::system;
        return;
      }
      case Operation::load: {
        JobDetails& details = job.more();
        if (module != nullptr) {
          job.rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
          return;
        }
        std::shared_ptr<Module> found = Module::find(details.path, details.text);
        std::optional<CK_RV> rv;
        if (found) rv = found->acquire(details.initializeArgs, soonBefore(job.deadline), details.text, job.fn, details.generation);
        job.rv = rv.value_or(CKR_GENERAL_ERROR);
        if (!details.text.empty()) job.outcome = Outcome::system;
        else if (!rv) job.outcome = Outcome::unsettled;
        else if (job.rv == CKR_OK) details.module = std::move(found);
        return;
      }
      case Operation::unload: {
        JobDetails& details = job.more();
        if (!details.module) return;
        closeSessions(*details.module, details.generation, details.handles);
        job.rv = details.module->release(this, job.fn);
        details.module = nullptr;
        return;
      }
      case Operation::dropSessions:
        if (job.details->subject) closeSessions(*job.details->subject, job.details->generation, job.details->handles);
        return;
      case Operation::reinitialize:
        reinitialize(job);
        return;
      case Operation::closeSession:
        if (module == nullptr && job.details && job.details->subject) {
          closeSessions(*job.details->subject, job.details->generation, {job.handle});
          return;
        }
        [[fallthrough]];
      default:
        if (module != nullptr) runOperation(*module, job);
        else job.rv = CKR_CRYPTOKI_NOT_INITIALIZED;
    }
  } catch (const std::exception&) {
    job.rv = CKR_HOST_MEMORY;  // nothing here throws but an allocation
  }
}

void Executor::finish(Lock& lock, Worker& worker, JobPointer job) {
  worker.job = nullptr;
  if (std::exchange(worker.stuck, false)) stuck_--;
  if (worker.hung) {
    reap(lock, worker, *job);
    return complete(std::move(job), Outcome::late);
  }
  if (worker.module && worker.module != module_ && outlivesUnload(*job)) return endOrphan(lock, worker, std::move(job));
  const bool dropped = job->session != 0 && job->operation != Operation::closeSession && sessions_.count(job->session) == 0;
  if (worker.module && dropped) return endOrphan(lock, worker, std::move(job));
  // Before the completion: whoever hears of the last call's end may finalise at once.
  if (auto module = std::exchange(worker.module, nullptr)) module->leave();
  const bool succeeded = job->outcome == Outcome::returned && job->rv == CKR_OK;
  switch (job->operation) {
    case Operation::load:
      // A second load that ran beside the first has acquired once more than is kept.
      if (succeeded && module_) reap(lock, worker, *job);
      else if (succeeded) {
        module_ = std::exchange(job->details->module, nullptr);
        moduleGeneration_ = job->details->generation;
      }
      break;
    case Operation::reinitialize:
      if (job->details->subject == module_ && job->details->generation != moduleGeneration_) {
        moduleGeneration_ = job->details->generation;
        forgetSessions();
      }
      break;
    case Operation::openSession:
      if (succeeded) {
        job->session = nextSession_++;
        sessions_[job->session].handle = job->handle;
      }
      break;
    case Operation::closeSession:
      // Still open at the token: to be closed by another try, by dropping all, or at the end.
      if (job->outcome == Outcome::returned && refusedToClose(job->rv)) {
        releaseSession(job->session);
        break;
      }
      // The handle is not used again.
      loseSession(job->session);
      sessions_.erase(job->session);
      break;
    default:
      releaseSession(job->session);
  }
  const Outcome outcome = job->outcome;
  complete(std::move(job), outcome);
  const bool enough = completions_.size() >= queue_.size() || worker.now - worker.startedAt > kCompany;
  if (enough || worker.now - firstCompletionAt_ > kCompany) announce(lock);
  else needTicks();  // should the next call hang, the watcher announces these
}

void Executor::reinitialize(Job& job) const {
  JobDetails& details = *job.details;
  if (!details.subject) {
    job.rv = CKR_CRYPTOKI_NOT_INITIALIZED;
    return;
  }
  Module::Reinitialization outcome{};
  const auto until = std::min(job.deadline, Clock::now() + std::chrono::milliseconds(std::min<CK_ULONG>(details.number, kLongestDrainMs)));
  job.rv = details.subject->reinitialize(this, details.generation, details.flags != 0, until, soonBefore(job.deadline), outcome, job.fn);
  details.number = static_cast<CK_ULONG>(outcome);
}

// The module was given back, or all sessions were dropped, while this call was in it: nobody else knows the session any more, so it
// ends with the call.
void Executor::endOrphan(Lock& lock, Worker& worker, JobPointer job) {
  loseSession(job->session);
  const bool opened = job->operation == Operation::openSession && job->rv == CKR_OK;
  // Not written to once it is complete: JavaScript's thread reads it then.
  Job ending;
  ending.operation = job->operation;
  ending.session = job->session;
  ending.handle = job->handle;
  ending.rv = job->rv;
  if (opened) job->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
  complete(std::move(job), Outcome::returned);
  announce(lock);
  worker.hung = true;
  hung_++;
  reap(lock, worker, ending);
}

// Undoes what a call that nobody waits for any more has brought, and closes the session it was made in: after a call that was
// given up, nobody knows what is active in it. Meanwhile its thread counts as hanging: closing may hang as the call did.
void Executor::reap(Lock& lock, Worker& worker, Job& job) {
  std::shared_ptr<Module> module = std::exchange(worker.module, nullptr);
  std::shared_ptr<Module> surplus = job.details ? std::exchange(job.details->module, nullptr) : nullptr;
  const bool closed = job.operation == Operation::closeSession;
  const bool opened = job.operation == Operation::openSession && job.rv == CKR_OK;
  const bool open = job.session != 0 && !closed && !saysSessionEnded(job.rv);
  lock.unlock();
  {
    CallIntoModule counted;
    Fn ignored = Fn::none;
    if (module && (open || opened)) closeSession(*module, job.handle);
    else if (module && job.session != 0) module->disclaim(job.handle);
    if (module) module->leave();
    if (surplus) surplus->release(this, ignored);
  }
  lock.lock();
  if (std::exchange(worker.hung, false)) hung_--;
  sessions_.erase(job.session);
}

void Executor::closeDown(Lock& lock) {
  if (std::exchange(closedDown_, true)) return;
  std::shared_ptr<Module> module = std::exchange(module_, nullptr);
  const uint64_t generation = moduleGeneration_;
  std::vector<CK_SESSION_HANDLE> open;
  for (const auto& [number, session] : sessions_) {
    if (!session.lost) open.push_back(session.handle);
  }
  sessions_.clear();
  if (!module) return;
  lock.unlock();
  {
    CallIntoModule counted;
    Fn ignored = Fn::none;
    closeSessions(*module, generation, open);
    module->release(this, ignored);
  }
  lock.lock();
}

}  // namespace pkcs11_pool
