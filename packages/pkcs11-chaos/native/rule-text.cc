// A rule as text: words `name=value` between spaces, such as `on=C_Sign,C_Verify every=3 fail=48 after=1`. Numbers are decimal or, after
// 0x, hexadecimal.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "rule.h"

namespace pkcs11_chaos {

namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

uint64_t number(const std::string& text) {
  char* end = nullptr;
  const uint64_t value = strtoull(text.c_str(), &end, 0);
  if (text.empty() || text[0] == '-' || *end != '\0') refuse("got '" + text + "', expected a whole number");
  return value;
}

double decimal(const std::string& text) {
  char* end = nullptr;
  const double value = strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0)) refuse("got '" + text + "', expected a number of 0 or more");
  return value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

Fn function(const std::string& name) {
  const auto found = functionNamed(name);
  if (!found) refuse("got '" + name + "', expected a function such as C_Sign");
  return *found;
}

void readFunctions(Rule& rule, const std::string& text) {
  if (text != "*") {
    for (const auto& name : split(text, ',')) rule.on.set(indexOf(function(name)));
    return;
  }
  rule.on.set();
  // without these nobody gets as far as the others
  for (const Fn fn : {Fn::C_GetFunctionList, Fn::C_GetInterfaceList, Fn::C_GetInterface}) rule.on.reset(indexOf(fn));
}

void readDelay(Rule& rule, const std::string& text) {
  const auto range = split(text, '-');
  if (range.empty() || range.size() > 2) refuse("got delay '" + text + "', expected MS or MIN-MAX");
  rule.minMs = decimal(range.front());
  rule.maxMs = decimal(range.back());
  if (rule.maxMs < rule.minMs) refuse("got delay '" + text + "', whose end is below its start");
}

void readThrottle(Rule& rule, const std::string& text) {
  rule.rate = decimal(text);
  if (rule.rv == CKR_OK) rule.rv = CKR_FUNCTION_FAILED;
}

void readCrash(Rule& rule, const std::string& text) {
  if (text != "abort" && text != "kill") refuse("got crash '" + text + "', expected abort or kill");
  rule.kill = text == "kill";
}

void readAction(Rule& rule, const std::string& text) {
  const auto action = actionNamed(text);
  if (!action) refuse("got action '" + text + "', which is none");
  rule.action = *action;
}

using Reader = std::function<void(Rule&, const std::string&)>;

const std::map<std::string, Reader>& conditions() {
  static const auto& readers = *new std::map<std::string, Reader>{
      {"on", readFunctions},
      {"from", [](Rule& rule, const std::string& text) { rule.from = function(text), rule.open = false; }},
      {"until", [](Rule& rule, const std::string& text) { rule.until = function(text); }},
      {"slot", [](Rule& rule, const std::string& text) { rule.slot = number(text); }},
      {"nth", [](Rule& rule, const std::string& text) { rule.nth = number(text); }},
      {"every", [](Rule& rule, const std::string& text) { rule.every = number(text); }},
      {"times", [](Rule& rule, const std::string& text) { rule.times = number(text); }},
      {"probability", [](Rule& rule, const std::string& text) { rule.probability = decimal(text); }},
      {"seed", [](Rule& rule, const std::string& text) { rule.random = number(text); }},
      {"after", [](Rule& rule, const std::string& text) { rule.after = number(text) != 0; }},
      {"rv", [](Rule& rule, const std::string& text) { rule.rv = number(text); }},
      {"burst", [](Rule& rule, const std::string& text) { rule.burst = decimal(text); }},
      {"setFlags", [](Rule& rule, const std::string& text) { rule.setFlags = number(text); }},
      {"clearFlags", [](Rule& rule, const std::string& text) { rule.clearFlags = number(text); }},
      {"maxSessions", [](Rule& rule, const std::string& text) { rule.maxSessions = number(text); }},
  };
  return readers;
}

const std::map<std::string, std::pair<Effect, Reader>>& effects() {
  static const auto& readers = *new std::map<std::string, std::pair<Effect, Reader>>{
      {"fail", {Effect::fail, [](Rule& rule, const std::string& text) { rule.rv = number(text); }}},
      {"delay", {Effect::delay, readDelay}},
      {"hang", {Effect::hang, [](Rule&, const std::string&) {}}},
      {"crash", {Effect::crash, readCrash}},
      {"act", {Effect::act, readAction}},
      {"throttle", {Effect::throttle, readThrottle}},
      {"sessionLimit", {Effect::sessionLimit, [](Rule& rule, const std::string& text) { rule.limit = number(text); }}},
      {"tokenInfo", {Effect::tokenInfo, [](Rule&, const std::string&) {}}},
      {"removeToken", {Effect::removeToken, [](Rule&, const std::string&) {}}},
  };
  return readers;
}

}  // namespace

std::optional<Action> actionNamed(const std::string& name) {
  if (name == "dropSessions") return Action::dropSessions;
  if (name == "logOut") return Action::logOut;
  if (name == "loseInitialization") return Action::loseInitialization;
  if (name == "removeToken") return Action::removeToken;
  if (name == "insertToken") return Action::insertToken;
  return std::nullopt;
}

Rule parseRule(const std::string& id, const std::string& text) {
  Rule rule;
  rule.id = id;
  rule.text = text;
  bool hasEffect = false;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    const auto condition = conditions().find(name);
    const auto effect = effects().find(name);
    if (condition != conditions().end()) {
      condition->second(rule, value);
    } else if (effect != effects().end()) {
      if (hasEffect) refuse("got a second effect, '" + name + "'");
      hasEffect = true;
      rule.effect = effect->second.first;
      effect->second.second(rule, value);
    } else {
      refuse("got '" + name + "', which no rule has");
    }
  }
  if (!hasEffect) refuse("got no effect, expected one such as fail=48");
  // a call that is said to have succeeded though it was never made would corrupt what the program computes
  if ((rule.effect == Effect::fail || rule.effect == Effect::throttle) && rule.rv == CKR_OK) refuse("got CKR_OK for a failure");
  if (rule.burst < 1) rule.burst = std::max(1.0, rule.rate);
  rule.tokens = rule.burst;
  rule.refilled = Rule::Clock::now();
  return rule;
}

}  // namespace pkcs11_chaos
