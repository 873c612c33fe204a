#include "binding/env_data.h"

#include "binding/job.h"

namespace torchsearch::binding {

void BufferCache::add(const void* data, const Napi::ArrayBuffer& buffer, size_t offset) {
  Entry& entry = entries[data];
  if (entry.owners++ == 0) {
    entry.buffer = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 0);
    entry.offset = offset;
  }
}

void BufferCache::remove(const void* data) {
  const auto found = entries.find(data);
  if (found != entries.end() && --found->second.owners == 0) entries.erase(found);
}

EnvData& EnvData::of(Napi::Env env) {
  return *env.GetInstanceData<EnvData>();
}

EnvData& EnvData::create(Napi::Env env) {
  auto owned = std::make_unique<EnvData>();
  EnvData& data = *owned;
  data.channel = Channel::open(env);
  env.SetInstanceData(owned.release());  // deleted by Node-API with the environment
  // Hooks run last in, first out: this one runs before Node closes the channel's thread-safe function.
  env.AddCleanupHook(
      [](EnvData* data) {
        ComputeThread::instance().drop(*data->channel);
        data->channel->close();
        data->buffers->entries.clear();
      },
      &data);
  return data;
}

}  // namespace torchsearch::binding
