#include "binding/channel.h"

namespace torchsearch::binding {

using Context = std::shared_ptr<Channel>;

std::shared_ptr<Channel> Channel::open(Napi::Env env) {
  auto channel = std::make_shared<Channel>();
  auto context = std::make_unique<Context>(channel);
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, "torchsearch"), 0, 1, nullptr,
      [](napi_env, void*, void* data) { std::unique_ptr<Context>{static_cast<Context*>(data)}; },
      context.get(),
      [](napi_env env, napi_value, void* data, void*) {
        if (env != nullptr) (*static_cast<Context*>(data))->drain(Napi::Env(env));
      },
      &channel->function_);
  NAPI_THROW_IF_FAILED(env, status, nullptr);
  (void)context.release();  // owned by the thread-safe function until its finalizer runs
  napi_unref_threadsafe_function(env, channel->function_);
  return channel;
}

CarriedList::~CarriedList() {
  // One by one: a long list must not be destroyed by calls within calls.
  while (pop() != nullptr) {
  }
}

void CarriedList::push(std::shared_ptr<Carried>&& item) noexcept {
  Carried* const added = item.get();
  (last_ == nullptr ? first_ : last_->next_) = std::move(item);
  last_ = added;
}

std::shared_ptr<Carried> CarriedList::pop() noexcept {
  std::shared_ptr<Carried> item = std::move(first_);
  if (item != nullptr) first_ = std::move(item->next_);
  if (first_ == nullptr) last_ = nullptr;
  return item;
}

void CarriedList::swap(CarriedList& other) noexcept {
  std::swap(first_, other.first_);
  std::swap(last_, other.last_);
}

bool Channel::post(std::shared_ptr<Carried>&& item) noexcept {
  {
    const std::lock_guard guard(mutex_);
    if (closed_) return false;
    waiting_.push(std::move(item));
    if (scheduled_) return true;
    scheduled_ = true;
  }
  // Not under the mutex, which the woken thread takes at once.
  const std::lock_guard calling(calling_);
  if (closed_) return true;  // taken, and destroyed by `close`
  if (napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking) != napi_ok) {
    const std::lock_guard guard(mutex_);
    scheduled_ = false;
  }
  return true;
}

void Channel::hold(Napi::Env env) {
  if (holders_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void Channel::release(Napi::Env env) {
  if (--holders_ == 0) napi_unref_threadsafe_function(env, function_);
}

namespace {

// False while the environment is being torn down: then nothing can be called or made in it.
bool canRunJavaScript(Napi::Env env) {
  napi_value global = nullptr;
  napi_value key = nullptr;
  bool has = false;
  return napi_get_global(env, &global) == napi_ok &&
         napi_create_string_utf8(env, "Object", NAPI_AUTO_LENGTH, &key) == napi_ok &&
         napi_has_property(env, global, key, &has) == napi_ok;
}

}  // namespace

void Channel::drain(Napi::Env env) {
  CarriedList arrived;
  {
    const std::lock_guard guard(mutex_);
    arrived.swap(waiting_);
    scheduled_ = false;
  }
  while (const std::shared_ptr<Carried> item = arrived.pop()) {
    const Napi::HandleScope scope(env);
    if (!canRunJavaScript(env)) return;
    try {
      item->arrive(env);
    } catch (const Napi::Error&) {
      // Jobs answer through promises. What is thrown all the same says that the environment ended meanwhile
      // (worker.terminate()), and nobody is left to hear of it.
    }
  }
}

void Channel::close() {
  const std::lock_guard calling(calling_);
  CarriedList dropped;
  const std::lock_guard guard(mutex_);
  closed_ = true;
  dropped.swap(waiting_);
}

}  // namespace torchsearch::binding
