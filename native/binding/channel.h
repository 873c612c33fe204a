#pragma once

#include <napi.h>

#include <memory>
#include <mutex>

namespace torchsearch::binding {

// What is carried to a JavaScript thread, in a list of its own, so that handing it over allocates nothing and
// can't fail.
class Carried {
 public:
  Carried() = default;
  Carried(const Carried&) = delete;
  Carried& operator=(const Carried&) = delete;
  virtual ~Carried() = default;
  virtual void arrive(Napi::Env env) = 0;  // JavaScript thread

 private:
  friend class CarriedList;
  std::shared_ptr<Carried> next_;
};

// First in, first out. No operation throws.
class CarriedList {
 public:
  CarriedList() = default;
  CarriedList(const CarriedList&) = delete;
  CarriedList& operator=(const CarriedList&) = delete;
  ~CarriedList();
  void push(std::shared_ptr<Carried>&& item) noexcept;
  std::shared_ptr<Carried> pop() noexcept;  // null when there is none
  void swap(CarriedList& other) noexcept;

 private:
  std::shared_ptr<Carried> first_;
  Carried* last_ = nullptr;
};

// Carries objects from any thread to the JavaScript thread of one environment (the main thread, or a
// worker).
class Channel {
 public:
  static std::shared_ptr<Channel> open(Napi::Env env);

  // Any thread. False, without taking the object, once the environment is going away.
  bool post(std::shared_ptr<Carried>&& item) noexcept;

  // JavaScript thread: between these calls the environment's event loop stays alive.
  void hold(Napi::Env env);
  void release(Napi::Env env);

  // JavaScript thread, when the environment goes away: what waits is destroyed without arriving.
  void close();

 private:
  void drain(Napi::Env env);

  napi_threadsafe_function function_ = nullptr;
  int holders_ = 0;
  std::mutex calling_;  // held while function_ is called, which ends with the environment; before mutex_
  std::mutex mutex_;
  CarriedList waiting_;
  bool scheduled_ = false;
  bool closed_ = false;  // written under both
};

}  // namespace torchsearch::binding
