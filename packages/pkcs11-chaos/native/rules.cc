#include "rules.h"

#include <algorithm>

#include "chaos.h"

namespace pkcs11_chaos {

using Lock = std::unique_lock<std::mutex>;

std::optional<CK_RV> Rules::before(RuleSubject& call) {
  Lock lock(mutex_);
  // all of them take notice of the call before any acts: the first one's effect must not hide it from the others
  List now;
  for (const auto& rule : byFunction_[indexOf(call.fn)])
    if (rule->selects(call.fn, call.slot)) (rule->after ? call.later : now).push_back(rule);
  for (const auto& rule : now)
    if (const auto answer = carryOut(rule, call, lock, CKR_OK)) return answer;
  return std::nullopt;
}

CK_RV Rules::after(RuleSubject& call, CK_RV rv) {
  Lock lock(mutex_);
  for (const auto& rule : call.later)
    if (const auto answer = carryOut(rule, call, lock, rv)) return *answer;
  return rv;
}

std::optional<CK_RV> Rules::carryOut(const std::shared_ptr<Rule>& rule, RuleSubject& call, Lock& lock, CK_RV rv) {
  if (rule->removed || rule->applied >= rule->times) return std::nullopt;
  // what the real module did not do needs no failure of ours
  if (rule->after && rule->effect == Effect::fail && rv != CKR_OK) return std::nullopt;
  if (rule->effect == Effect::throttle && rule->takeToken()) return std::nullopt;
  if (rule->effect == Effect::sessionLimit && chaos().sessions.reserve(rule->limit, &call.reserved)) return std::nullopt;
  if (rule->effect == Effect::tokenInfo && (call.tokenInfo == nullptr || rv != CKR_OK)) return std::nullopt;
  rule->applied++;
  call.touched = true;

  switch (rule->effect) {
    case Effect::fail:
    case Effect::throttle:
      return rule->rv;
    case Effect::sessionLimit:
      return CKR_SESSION_COUNT;
    case Effect::delay: {
      const double ms = rule->minMs + (rule->maxMs - rule->minMs) * (rule->maxMs > rule->minMs ? rule->nextRandom() : 0);
      const auto until = Rule::Clock::now() + std::chrono::duration_cast<Rule::Clock::duration>(std::chrono::duration<double, std::milli>(ms));
      changed_.wait_until(lock, until, [&] { return rule->removed; });
      return std::nullopt;
    }
    case Effect::hang: {
      const uint64_t releases = rule->releases;
      hanging_++;
      changed_.wait(lock, [&] { return rule->removed || rule->releases != releases; });
      hanging_--;
      return std::nullopt;
    }
    case Effect::crash:
      lock.unlock();
      chaos().crash(rule->kill);
    case Effect::act:
      lock.unlock();
      chaos().token.act(rule->action, rule->slot);
      lock.lock();
      return std::nullopt;
    case Effect::tokenInfo:
      call.tokenInfo->flags = (call.tokenInfo->flags | rule->setFlags) & ~rule->clearFlags;
      if (rule->maxSessions) call.tokenInfo->ulMaxSessionCount = call.tokenInfo->ulMaxRwSessionCount = *rule->maxSessions;
      return std::nullopt;
    case Effect::removeToken:
      return std::nullopt;
  }
  return std::nullopt;
}

std::vector<std::optional<CK_ULONG>> Rules::set(std::vector<Rule> rules) {
  Lock lock(mutex_);
  List next;
  for (auto& rule : rules) {
    const auto known = std::find_if(rules_.begin(), rules_.end(), [&](const auto& each) { return each->id == rule.id && each->text == rule.text; });
    next.push_back(known != rules_.end() ? *known : std::make_shared<Rule>(std::move(rule)));
  }
  for (const auto& rule : rules_) rule->removed = std::find(next.begin(), next.end(), rule) == next.end();
  rules_ = std::move(next);
  for (size_t i = 0; i < kFunctions; i++) {
    byFunction_[i].clear();
    for (const auto& rule : rules_)
      if (rule->concerns(static_cast<Fn>(i))) byFunction_[i].push_back(rule);
  }
  std::vector<std::optional<CK_ULONG>> slots;
  for (const auto& rule : rules_)
    if (rule->effect == Effect::removeToken) slots.push_back(rule->slot);
  any_.store(!rules_.empty(), std::memory_order_release);
  changed_.notify_all();
  return slots;
}

void Rules::release(const std::string& id) {
  Lock lock(mutex_);
  for (const auto& rule : rules_)
    if (id.empty() || rule->id == id) rule->releases++;
  changed_.notify_all();
}

int Rules::hanging() {
  Lock lock(mutex_);
  return hanging_;
}

std::vector<RuleCount> Rules::counts() {
  Lock lock(mutex_);
  std::vector<RuleCount> counts;
  for (const auto& rule : rules_) counts.push_back({rule->id, rule->matched, rule->applied});
  return counts;
}

void Rules::forget() {
  new (&changed_) std::condition_variable;
  rules_.clear();
  for (auto& list : byFunction_) list.clear();
  any_ = false;
  hanging_ = 0;
}

}  // namespace pkcs11_chaos
