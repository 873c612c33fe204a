#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <atomic>
#include <deque>
#include <vector>

namespace torchsearch {

// Copies tensors from the CPU's memory to an accelerator on a stream of its own, beside what the device
// computes. One thread sends, one receives.
//
// The rules that this keeps (those of CUDA's caching allocators):
// - page-locked memory may be freed as soon as the copy is under way: its allocator waits for the copy;
// - the device's memory belongs to the copying stream; record_stream() keeps it, once it is freed, from being
//   used for a later batch before the computing stream is done with it;
// - the computing stream waits for the copy by an event, the CPU does not;
// - who receives waits for the device where it is more than two batches behind, which bounds the memory.
class DeviceCopy {
 public:
  struct Sent {
    c10::Event ready;           // on the copying stream, after the copies
    std::vector<size_t> which;  // of the tensors were copied
  };

  explicit DeviceCopy(c10::Device device);
  // Waits for nothing: memory that is still in use is freed by its allocators when it no longer is.
  ~DeviceCopy() = default;
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;

  bool canPin() const { return canPin_; }
  void giveUpPinning() { canPin_ = false; }

  // Puts copies on the device in the place of those tensors that are on the CPU; undefined ones stay.
  Sent send(std::vector<at::Tensor>& tensors);
  // Makes them usable on the current stream of the thread that calls this.
  void receive(Sent& sent, const std::vector<at::Tensor>& tensors);

 private:
  c10::Device device_;
  c10::Stream stream_;
  std::atomic<bool> canPin_ = true;
  std::deque<c10::Event> used_;  // after what was computed from each of the last batches
};

// The stream on which copies to this device go: one for each device, since the caching allocator keeps the
// memory of each stream apart. It is of high priority, whose streams come from a pool of their own: what is
// put on a stream of the other pool while that is captured (ForwardGraph) would become part of the graph.
c10::Stream copyStream(c10::Device device);

}  // namespace torchsearch
