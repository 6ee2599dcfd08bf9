// A thread of the library's own, which takes no signals of others.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace glq {

// Signals belong to the host's threads: this one starts with all of them blocked but those that its own instructions
// raise. A fault in the host's memory (a write barrier, pages that a handler brings) belongs to the host wherever it
// happens, and where its signal is blocked the system ends the process.
//
// The mask of the thread that starts it is left alone. To block the signals there for a moment would be simpler, and
// wrong: a garbage collector that stops threads by a signal (Mono's does) would wait for that thread, while it waits
// for a lock inside pthread_create or malloc, whose holder has been stopped already.
class WorkerThread {
 public:
  // Runs run(argument) on a new thread. False where the system has none to give.
  bool Start(void* (*run)(void*), void* argument) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    const bool started = BlockSignals(attributes) && pthread_create(&thread_, &attributes, run, argument) == 0;
    pthread_attr_destroy(&attributes);
    return started;
  }

  void Join() { pthread_join(thread_, nullptr); }

  // To be called first on the new thread: what BlockSignals cannot do everywhere.
  static void BlockSignalsHere() {
    const sigset_t blocked = Blocked();
    pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  }

 private:
  static sigset_t Blocked() {
    sigset_t set;
    sigfillset(&set);
    for (const int raised : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) sigdelset(&set, raised);
    return set;
  }
  static bool BlockSignals(pthread_attr_t& attributes) {
#if defined(__GLIBC__)
    const sigset_t blocked = Blocked();
    return pthread_attr_setsigmask_np(&attributes, &blocked) == 0;
#else
    static_cast<void>(attributes);
    return true;
#endif
  }

  pthread_t thread_;
};

}  // namespace glq
