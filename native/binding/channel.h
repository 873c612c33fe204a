#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace torchsearch::binding {

// Carries functions from any thread to the JavaScript thread of one environment (the main thread, or a
// worker).
class Channel {
 public:
  using Task = std::function<void(Napi::Env)>;

  static std::shared_ptr<Channel> open(Napi::Env env);

  // Any thread. False, without taking the task, once the environment is going away.
  bool post(Task&& task);

  // JavaScript thread: between these calls the environment's event loop stays alive.
  void hold(Napi::Env env);
  void release(Napi::Env env);

  // JavaScript thread, when the environment goes away: waiting tasks are destroyed without running.
  void close();

 private:
  void drain(Napi::Env env);

  napi_threadsafe_function function_ = nullptr;
  int holders_ = 0;
  std::mutex calling_;  // held while function_ is called, which ends with the environment; before mutex_
  std::mutex mutex_;
  std::vector<Task> tasks_;
  bool scheduled_ = false;
  bool closed_ = false;  // written under both
};

}  // namespace torchsearch::binding
