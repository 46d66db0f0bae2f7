#include "call.h"

namespace pkcs11_chaos {

namespace {

// Whether a call of this phase that was answered so has ended the operation it was for.
bool ends(Phase phase, CK_RV rv, bool asksLength) {
  if (rv == CKR_BUFFER_TOO_SMALL) return false;
  if (phase == Phase::update) return rv != CKR_OK;
  return (phase == Phase::once || phase == Phase::final) && !(rv == CKR_OK && asksLength);
}

std::string nameOf(Fn fn) { return std::string(traitsOf(fn).name); }

// A function that a call is inside of, and that must be over before C_Finalize. C_WaitForSlotEvent need not: C_Finalize ends it.
std::optional<Fn> anyInside() {
  for (size_t i = 0; i < kFunctions; i++) {
    const Fn fn = static_cast<Fn>(i);
    if (fn == Fn::C_WaitForSlotEvent || fn == Fn::C_Finalize) continue;
    if (chaos().counters.of(fn).inFlight > 0) return fn;
  }
  return std::nullopt;
}

}  // namespace

Call::Call(Fn fn, CK_ULONG handle, bool cancels)
    : fn_(fn),
      traits_(traitsOf(fn)),
      cancels_(cancels),
      ruled_(chaos().rules.any()),
      finalizations_(chaos().finalizations),
      counters_(chaos().counters.of(fn)) {
  counters_.calls.fetch_add(1, std::memory_order_relaxed);
  counters_.inFlight.fetch_add(1, std::memory_order_relaxed);
  subject_.fn = fn;
  if (traits_.scope == Scope::slot) subject_.slot = handle;
  if (traits_.scope == Scope::session) {
    // where a rule may hold the call up, it reaches the token only after that
    entry_ = chaos().sessions.enter(handle, fn, !ruled_);
    if (entry_.session != nullptr) {
      subject_.slot = entry_.session->slot;
      atToken_ = !ruled_ && !entry_.dropped;
    }
  }
  judge();
}

void Call::judge() {
  auto& misuse = chaos().misuse;
  if (traits_.scope != Scope::free && !chaos().initialized.load(std::memory_order_relaxed)) {
    const bool finalized = chaos().wasFinalized;
    misuse.record(finalized ? Misuse::afterFinalize : Misuse::beforeInitialize, fn_,
                  nameOf(fn_) + (finalized ? " was called after C_Finalize" : " was called before C_Initialize"));
  }
  if (fn_ == Fn::C_Finalize)
    if (const auto other = anyInside()) misuse.record(Misuse::finalizeWhileInside, fn_, "C_Finalize was called while " + nameOf(*other) + " was inside");
  if (entry_.session == nullptr) return;
  const std::string where = entry_.sharedWith || entry_.active != 0 ? "session " + std::to_string(entry_.session->handle) : "";
  if (entry_.sharedWith) misuse.record(Misuse::sharedSession, fn_, nameOf(fn_) + " entered " + where + " while " + nameOf(*entry_.sharedWith) + " was inside");
  if (traits_.phase == Phase::init && !cancels_ && (entry_.active & bitOf(traits_.family)) != 0)
    misuse.record(Misuse::operationActive, fn_, nameOf(fn_) + " was called while " + where + " carried such an operation already");
}

std::optional<CK_RV> Call::before() {
  if (ruled_)
    if (const auto answer = chaos().rules.before(subject_)) return answer;
  const auto answer = stateAnswer();
  if (answer) subject_.touched = true;
  return answer;
}

std::optional<CK_RV> Call::stateAnswer() {
  if (traits_.scope == Scope::free) return std::nullopt;
  auto& token = chaos().token;
  if (token.disturbed()) {
    if (token.isUninitialized()) return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (traits_.scope == Scope::slot && fn_ != Fn::C_GetSlotInfo && token.isRemoved(*subject_.slot)) return CKR_TOKEN_NOT_PRESENT;
  }
  if (ruled_ && chaos().finalizations != finalizations_) return CKR_CRYPTOKI_NOT_INITIALIZED;
  if (entry_.session == nullptr) return std::nullopt;
  if (!atToken_) atToken_ = chaos().sessions.reach(*entry_.session);
  if (atToken_) return std::nullopt;
  entry_.dropped = true;
  return token.isRemoved(entry_.session->slot) ? CKR_DEVICE_REMOVED : CKR_SESSION_HANDLE_INVALID;
}

CK_RV Call::after(CK_RV rv) { return subject_.later.empty() ? rv : chaos().rules.after(subject_, rv); }

bool Call::leavesOperationBehind(CK_RV answer, std::optional<CK_RV> done, bool asksLength) {
  if (entry_.session == nullptr || (entry_.active & bitOf(traits_.family)) == 0 || !ends(traits_.phase, answer, asksLength)) return false;
  if (done && ends(traits_.phase, *done, asksLength)) return false;
  if (!atToken_) atToken_ = chaos().sessions.reach(*entry_.session);
  return atToken_;
}

CK_RV Call::leave(CK_RV answer, bool asksLength) {
  if (answer != CKR_OK) counters_.failed.fetch_add(1, std::memory_order_relaxed);
  const unsigned bit = bitOf(traits_.family);
  // An Init that was refused has begun nothing, and one that was to cancel has cancelled nothing.
  if (traits_.phase == Phase::init) (cancels_ ? clear_ : set_) |= answer == CKR_OK ? bit : 0;
  else if (ends(traits_.phase, answer, asksLength)) clear_ |= bit;
  return answer;
}

Call::~Call() {
  if (subject_.touched) counters_.injected.fetch_add(1, std::memory_order_relaxed);
  if (subject_.reserved) chaos().sessions.unreserve();
  if (entry_.session != nullptr) {
    const CK_ULONG handle = entry_.session->handle;
    if (chaos().sessions.leave(*entry_.session, atToken_, set_, clear_)) chaos().real->C_CloseSession(handle);
  }
  counters_.inFlight.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace pkcs11_chaos
