#include "rule.h"

#include <algorithm>

namespace pkcs11_chaos {

bool Rule::selects(Fn fn, std::optional<CK_ULONG> callSlot) {
  if (until == fn) open = false;
  if (from == fn) open = true;
  if (!open || !on[indexOf(fn)] || (slot && slot != callSlot)) return false;
  matched++;
  if (nth != 0 && matched != nth) return false;
  if (every != 0 && matched % every != 0) return false;
  return probability >= 1 || nextRandom() < probability;
}

// SplitMix64 (Steele, Lea and Flood 2014).
double Rule::nextRandom() {
  uint64_t z = random += 0x9E3779B97F4A7C15ULL;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
  return static_cast<double>((z ^ z >> 31) >> 11) * 0x1.0p-53;
}

bool Rule::takeToken() {
  const auto now = Clock::now();
  tokens = std::min(burst, tokens + rate * std::chrono::duration<double>(now - refilled).count());
  refilled = now;
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

}  // namespace pkcs11_chaos
