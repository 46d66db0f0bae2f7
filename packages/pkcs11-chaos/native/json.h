#pragma once

#include <cstdio>
#include <string>

namespace pkcs11_chaos {

inline std::string jsonString(const std::string& text) {
  std::string json = "\"";
  for (const char each : text) {
    const auto code = static_cast<unsigned char>(each);
    if (each == '"' || each == '\\') json += '\\';
    if (code >= 0x20) {
      json += each;
      continue;
    }
    char escaped[8];
    snprintf(escaped, sizeof escaped, "\\u%04x", code);
    json += escaped;
  }
  return json + "\"";
}

}  // namespace pkcs11_chaos
