#include "core/device/device_copy.h"

#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <map>
#include <mutex>
#include <utility>

namespace torchsearch {

namespace {

// How many batches the device may be behind the one that is handed out.
constexpr size_t kMostBehind = 2;

}  // namespace

c10::Stream copyStream(c10::Device device) {
  static std::mutex mutex;
  static std::map<std::pair<c10::DeviceType, c10::DeviceIndex>, c10::Stream> streams;
  const std::lock_guard guard(mutex);
  const auto key = std::make_pair(device.type(), device.index());
  const auto found = streams.find(key);
  if (found != streams.end()) return found->second;
  const c10::impl::VirtualGuardImpl implementation(device.type());
  return streams.emplace(key, implementation.getStreamFromGlobalPool(device, /*isHighPriority=*/true))
      .first->second;
}

DeviceCopy::DeviceCopy(c10::Device device) : device_(device), stream_(copyStream(device)) {}

DeviceCopy::Sent DeviceCopy::send(std::vector<at::Tensor>& tensors) {
  const c10::StreamGuard onCopyStream(stream_);
  Sent sent{c10::Event(device_.type()), {}};
  for (size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor& tensor = tensors[i];
    if (!tensor.defined() || !tensor.is_cpu()) continue;
    tensor = tensor.to(device_, /*non_blocking=*/true);
    sent.which.push_back(i);
  }
  sent.ready.record(stream_);
  return sent;
}

void DeviceCopy::receive(Sent& sent, const std::vector<at::Tensor>& tensors) {
  const c10::impl::VirtualGuardImpl implementation(device_.type());
  const c10::Stream computing = implementation.getStream(device_);
  // What was computed from the batch before is on this stream by now.
  used_.emplace_back(device_.type()).record(computing);
  if (used_.size() > kMostBehind) {
    used_.front().synchronize();
    used_.pop_front();
  }
  sent.ready.block(computing);
  for (const size_t i : sent.which) tensors[i].record_stream(computing);
}

}  // namespace torchsearch
