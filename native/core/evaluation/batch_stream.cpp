#include "core/evaluation/batch_stream.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/ParallelGuard.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace torchsearch {

namespace {

// Two batches ahead even out batches of different cost; of large ones the memory counts for more.
constexpr int64_t kLargeBatch = 64 * 1024 * 1024;  // bytes

}  // namespace

struct BatchStream::Ahead {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Made> ready;
  size_t most = 2;  // that are ready or being made
  bool stop = false;
  std::thread thread;
};

BatchStream::BatchStream(const Dataset& dataset, BatchRequest request)
    : dataset_(dataset), request_(std::move(request)), positions_(request_.inputs), next_(request_.first) {
  if (request_.target >= 0) positions_.push_back(request_.target);
  std::sort(positions_.begin(), positions_.end());
  positions_.erase(std::unique(positions_.begin(), positions_.end()), positions_.end());
  if (copiesToDevice()) copy_ = std::make_unique<DeviceCopy>(request_.device);
  if (copy_ == nullptr || request_.end - request_.first < 2) return;
  ahead_ = std::make_unique<Ahead>();
  ahead_->most = bytesPerBatch() > kLargeBatch ? 1 : 2;
  try {
    ahead_->thread = std::thread([this] { produce(); });
  } catch (const std::system_error&) {
    ahead_.reset();  // no thread to be had: it goes without
  }
}

BatchStream::~BatchStream() {
  if (ahead_ == nullptr) return;
  {
    const std::lock_guard guard(ahead_->mutex);
    ahead_->stop = true;
  }
  ahead_->changed.notify_all();
  ahead_->thread.join();
}

// Only from the CPU's memory: what another device holds goes its own way when it is used.
bool BatchStream::copiesToDevice() const {
  if (request_.device.is_cpu()) return false;
  return std::any_of(positions_.begin(), positions_.end(),
                     [&](int64_t position) { return dataset_.tensor(position).is_cpu(); });
}

int64_t BatchStream::bytesPerBatch() const {
  int64_t bytes = 0;
  for (const int64_t position : positions_) {
    const at::Tensor whole = dataset_.tensor(position);
    if (whole.layout() != at::kStrided || whole.size(0) == 0) continue;
    bytes += whole.numel() / whole.size(0) * whole.element_size() * dataset_.batchSamples(request_.first);
  }
  return bytes;
}

BatchStream::Made BatchStream::make(int64_t index) const {
  const at::NoGradGuard noGrad;
  Made made;
  made.tensors.resize(static_cast<size_t>(dataset_.width()));
  for (const int64_t position : positions_) {
    at::Tensor& tensor = made.tensors[static_cast<size_t>(position)];
    const bool pinned = copy_ != nullptr && copy_->canPin();
    try {
      tensor = dataset_.part(index, position, request_.order, pinned);
    } catch (const c10::Error&) {
      if (!pinned) throw;
      // The system grants no more page-locked memory: the copy then waits for the CPU.
      copy_->giveUpPinning();
      tensor = dataset_.part(index, position, request_.order, /*pinned=*/false);
    }
  }
  if (copy_ != nullptr) made.sent = copy_->send(made.tensors);
  return made;
}

void BatchStream::produce() noexcept {
  // LibTorch's own threads belong to the one who computes; a second team of them would be in its way.
  const c10::ParallelGuard sequential(true);
  for (int64_t index = request_.first; index < request_.end; ++index) {
    {
      std::unique_lock guard(ahead_->mutex);
      ahead_->changed.wait(guard, [&] { return ahead_->stop || ahead_->ready.size() < ahead_->most; });
      if (ahead_->stop) return;
    }
    Made made;
    try {
      made = make(index);
    } catch (...) {
      made.failure = std::current_exception();
    }
    const bool failed = made.failure != nullptr;
    {
      const std::lock_guard guard(ahead_->mutex);
      ahead_->ready.push_back(std::move(made));
    }
    ahead_->changed.notify_all();
    if (failed) return;
  }
}

std::vector<at::Tensor> BatchStream::next() {
  TORCH_CHECK(next_ < request_.end, "the pass has no more batches");
  const int64_t index = next_++;
  Made made;
  if (ahead_ == nullptr) {
    made = make(index);
  } else {
    std::unique_lock guard(ahead_->mutex);
    ahead_->changed.wait(guard, [&] { return !ahead_->ready.empty(); });
    // A failure stays: whoever asks again is told again.
    if (ahead_->ready.front().failure != nullptr) std::rethrow_exception(ahead_->ready.front().failure);
    made = std::move(ahead_->ready.front());
    ahead_->ready.pop_front();
    guard.unlock();
    ahead_->changed.notify_all();
  }
  if (made.sent) copy_->receive(*made.sent, made.tensors);
  return std::move(made.tensors);
}

}  // namespace torchsearch
