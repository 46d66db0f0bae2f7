// Everything known, as one line of JSON. `../src/counters.ts` reads it.
#include <unistd.h>

#include <type_traits>

#include "chaos.h"
#include "json.h"

namespace pkcs11_chaos {

namespace {

// The members of an object or the elements of an array, with the commas between them.
class Sequence {
 public:
  Sequence& add(const std::string& json) {
    if (!json_.empty()) json_ += ',';
    json_ += json;
    return *this;
  }
  template <typename Number>
  Sequence& add(const char* name, Number value) {
    static_assert(std::is_integral_v<Number>);
    return add(jsonString(name) + ":" + std::to_string(value));
  }
  Sequence& add(const char* name, const std::string& json) { return add(jsonString(name) + ":" + json); }
  std::string object() const { return "{" + json_ + "}"; }
  std::string array() const { return "[" + json_ + "]"; }

 private:
  std::string json_;
};

std::string functions(Counters& counters) {
  Sequence all;
  for (size_t i = 0; i < kFunctions; i++) {
    auto& of = counters.of(static_cast<Fn>(i));
    const uint64_t calls = of.calls;
    const int64_t inFlight = of.inFlight;
    if (calls == 0 && inFlight == 0) continue;
    Sequence one;
    one.add("calls", calls).add("inFlight", inFlight).add("failed", of.failed.load()).add("injected", of.injected.load());
    all.add(std::string(kTraits[i].name).c_str(), one.object());
  }
  return all.object();
}

std::string misuses(MisuseLog& log) {
  Sequence all;
  for (const auto& [key, seen] : log.entries()) {
    Sequence one;
    one.add("kind", jsonString(nameOf(key.first))).add("function", jsonString(std::string(traitsOf(key.second).name)));
    all.add(one.add("count", seen.count).add("first", jsonString(seen.first)).object());
  }
  return all.array();
}

}  // namespace

std::string Chaos::report() {
  Sequence login, session, rule;
  login.add("accepted", logins.accepted()).add("already", logins.already()).add("rejected", logins.rejected()).add("failed", logins.failed());
  session.add("open", sessions.open()).add("peak", sessions.peak()).add("lost", sessions.lost());
  for (const auto& each : rules.counts())
    rule.add(Sequence().add("id", jsonString(each.id)).add("matched", each.matched).add("applied", each.applied).object());
  return Sequence()
      .add("pid", getpid())
      .add("startedAt", jsonString(control.startedAt()))
      .add("initialized", initialized ? std::string("true") : std::string("false"))
      .add("functions", functions(counters))
      .add("hanging", rules.hanging())
      .add("logins", login.object())
      .add("sessions", session.object())
      .add("rules", rule.array())
      .add("misuse", misuses(misuse))
      .object();
}

void Chaos::reset() {
  counters.reset();
  logins.reset();
  misuse.reset();
  sessions.resetPeak();
}

}  // namespace pkcs11_chaos
