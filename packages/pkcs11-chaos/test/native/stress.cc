// stress PIN ROUNDS, with PKCS11_CHAOS_MODULE and PKCS11_CHAOS_CONTROL set: programs on several threads use the proxy, which is linked in so
// that a sanitizer sees it, while rules, actions and reports come in over the control socket. Afterwards, with everything taken back, the
// token has to be usable and no call, session or held call may be left.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../native/cryptoki.h"

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list);

namespace {

struct Mechanism {
  CK_ULONG type;
  void* parameter;
  CK_ULONG length;
};

CK_FUNCTION_LIST* p11;
CK_ULONG slot;
std::string pin, control;
std::atomic<bool> done{false};

[[noreturn]] void fail(const std::string& reason) {
  fprintf(stderr, "stress: %s\n", reason.c_str());
  exit(1);
}

std::string tell(const std::string& command) {
  const int connection = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s/%d.sock", control.c_str(), getpid());
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("nobody listens");
  const std::string line = command + "\n";
  if (send(connection, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) fail("cannot send");
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = recv(connection, buffer, sizeof buffer, 0)) > 0;) answer.append(buffer, static_cast<size_t>(got));
  close(connection);
  if (answer.empty() || answer.find("{\"error\"") == 0) fail("'" + command + "' was answered with '" + answer + "'");
  return answer;
}

void setRule(int number, const char* text) {
  const std::string path = control + "/rules/" + std::to_string(number) + ".rule";
  if (text == nullptr) {
    unlink(path.c_str());
    return;
  }
  std::ofstream(path + ".partial") << text;
  rename((path + ".partial").c_str(), path.c_str());
}

CK_RV digest(CK_ULONG session, CK_BYTE* out) {
  Mechanism sha256{0x250, nullptr, 0};
  CK_BYTE data[] = {'a', 'b', 'c'};
  CK_ULONG length = 32;
  const CK_RV rv = p11->C_DigestInit(session, reinterpret_cast<CK_MECHANISM*>(&sha256));
  return rv == CKR_OK ? p11->C_Digest(session, data, sizeof data, out, &length) : rv;
}

// What a call answers is open, as rules come and go; that a success is right is not.
void use(unsigned seed, int rounds) {
  std::mt19937 random(seed);
  const CK_BYTE abc[] = {0xba, 0x78, 0x16, 0xbf};
  CK_ULONG session = 0;
  bool open = false;
  // a round is one in which there was a session
  for (int round = 0; round < rounds;) {
    if (!open) open = p11->C_OpenSession(slot, 6, nullptr, nullptr, &session) == CKR_OK;
    if (!open) continue;
    round++;
    CK_BYTE out[32];
    if (digest(session, out) == CKR_OK && memcmp(out, abc, sizeof abc) != 0) fail("a wrong digest");
    p11->C_GenerateRandom(session, out, 8);
    if (random() % 8 == 0) {
      auto* bytes = reinterpret_cast<CK_BYTE*>(pin.data());
      p11->C_Login(session, 1, bytes, pin.size());
    }
    if (random() % 16 == 0) {
      CK_TOKEN_INFO info;
      CK_ULONG slots[16], count = 16;
      p11->C_GetTokenInfo(slot, &info);
      p11->C_GetSlotList(1, slots, &count);
    }
    if (random() % 4 == 0) {
      p11->C_CloseSession(session);
      open = false;
    }
  }
  if (open) p11->C_CloseSession(session);
}

void disturb() {
  const char* rules[] = {"on=C_Digest fail=48 every=3",
                         "on=C_GenerateRandom delay=0-0.2",
                         "on=C_DigestInit fail=6 after=1 probability=0.1",
                         "on=C_GenerateRandom,C_Digest hang=1 every=50",
                         "on=C_OpenSession fail=49 after=1 every=7",
                         "sessionLimit=2 on=C_OpenSession",
                         "on=C_GetTokenInfo after=1 tokenInfo=1 setFlags=262144",
                         "on=C_GenerateRandom act=dropSessions every=40",
                         "on=* throttle=20000",
                         "on=C_Digest from=C_Login until=C_GetTokenInfo fail=48"};
  const char* commands[] = {"report", "sync", "release", "act dropSessions", "act removeToken", "reset"};
  std::mt19937 random(1);
  while (!done) {
    const int number = static_cast<int>(random() % std::size(rules));
    setRule(number, random() % 2 == 0 ? rules[number] : nullptr);
    tell("sync");
    tell(commands[random() % std::size(commands)]);
    tell("act insertToken");
    if (random() % 16 == 0) {
      setRule(99, "removeToken=1");
      tell("sync");
      setRule(99, nullptr);
      tell("sync");
    }
    usleep(500);
  }
  for (size_t i = 0; i < std::size(rules); i++) setRule(static_cast<int>(i), nullptr);
  tell("act insertToken");
  tell("sync");
}

void expectIn(const std::string& report, const std::string& part) {
  if (report.find(part) == std::string::npos) fail("no " + part + " in " + report);
}

void runOnce(int rounds) {
  struct {
    void* mutexes[4] = {};
    CK_ULONG flags = 2;
    void* reserved = nullptr;
  } initArgs;
  if (p11->C_Initialize(&initArgs) != CKR_OK) fail("C_Initialize failed");
  CK_ULONG slots[16], count = 16;
  if (p11->C_GetSlotList(1, slots, &count) != CKR_OK || count == 0) fail("no slot");
  slot = slots[0];
  done = false;
  std::vector<std::thread> users;
  for (unsigned seed = 0; seed < 4; seed++) users.emplace_back(use, seed, rounds);
  // the last held call is let go only once the disturber ends, which it is told when the others are done or held
  std::thread disturber(disturb);
  std::thread releaser([&] {
    while (!done) {
      tell("release");
      usleep(2000);
    }
  });
  for (auto& user : users) user.join();
  done = true;
  disturber.join();
  releaser.join();
  p11->C_CloseAllSessions(slot);
  tell("reset");
  CK_ULONG session;
  CK_BYTE out[32];
  if (p11->C_OpenSession(slot, 6, nullptr, nullptr, &session) != CKR_OK || digest(session, out) != CKR_OK) fail("the token cannot be used");
  if (p11->C_CloseSession(session) != CKR_OK) fail("C_CloseSession failed");
  const std::string report = tell("report");
  expectIn(report, "\"hanging\":0,");
  expectIn(report, "\"sessions\":{\"open\":0,\"peak\":1,\"lost\":0}");
  expectIn(report, "\"misuse\":[]");
  if (p11->C_Finalize(nullptr) != CKR_OK) fail("C_Finalize failed");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) fail("usage: stress PIN ROUNDS");
  pin = arguments[1];
  control = getenv("PKCS11_CHAOS_CONTROL");
  if (C_GetFunctionList(&p11) != CKR_OK) fail("C_GetFunctionList failed");
  for (int i = 0; i < 3; i++) runOnce(atoi(arguments[2]));
  printf("stress: all calls came back\n");
  return 0;
}
