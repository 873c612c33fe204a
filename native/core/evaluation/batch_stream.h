#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "core/device/device_copy.h"
#include "core/evaluation/dataset.h"

namespace torchsearch {

// Which batches are wanted, and where.
struct BatchRequest {
  std::vector<int64_t> inputs;  // positions in a batch, as in LoopOptions
  int64_t target = -1;
  c10::Device device = c10::kCPU;
  at::Tensor order;  // of the samples; undefined for the data set's own
  int64_t first = 0;
  int64_t end = 0;  // past the last batch
};

// The batches of a pass, one after the other. For an accelerator, a thread gathers up to two ahead into
// page-locked memory and sends them on their way (DeviceCopy) while the caller computes. On the CPU a batch
// is made when it is asked for: gathering takes so little of a forward's time that a thread saved nothing
// that could be measured, with a core to spare or without. The data set must outlive this; one thread at a
// time.
class BatchStream {
 public:
  BatchStream(const Dataset& dataset, BatchRequest request);
  // Stops the thread, which takes no longer than the batch that it is at.
  ~BatchStream();
  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  // The next batch, of the data set's width: tensors that were not asked for are undefined. What went wrong
  // in making a batch is thrown in its place. No more than `end - first` may be asked for.
  std::vector<at::Tensor> next();

  bool makesAhead() const { return ahead_ != nullptr; }

 private:
  struct Made {
    std::vector<at::Tensor> tensors;
    std::optional<DeviceCopy::Sent> sent;  // what of them is on its way to the device
    std::exception_ptr failure;
  };
  struct Ahead;

  Made make(int64_t index) const;
  void produce() noexcept;
  bool copiesToDevice() const;
  int64_t bytesPerBatch() const;

  const Dataset& dataset_;
  BatchRequest request_;
  std::vector<int64_t> positions_;  // that are wanted, each once
  std::unique_ptr<DeviceCopy> copy_;
  std::unique_ptr<Ahead> ahead_;  // null without a thread
  int64_t next_;
};

}  // namespace torchsearch
