#include "core/train/sharded_step.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "core/base/cleanup.h"
#include "core/base/error.h"
#include "core/graph/module_state.h"
#include "core/hash/digest.h"
#include "core/train/batch_shards.h"
#include "core/train/step_random.h"

namespace torchsearch {

namespace {

void clearGradients(const std::vector<NamedTensor>& parameters) {
  for (const auto& parameter : parameters) at::Tensor(parameter.tensor).mutable_grad().reset();
}

void append(std::string& bytes, const void* data, size_t size) {
  bytes.append(static_cast<const char*>(data), size);
}

}  // namespace

struct ShardedStep::Work {
  const BatchShards& batch;
  uint64_t seed = 0;
  int64_t step = 0;
  const CancelToken& cancel;
  std::vector<at::Tensor> floats;    // buffers before the step
  std::vector<at::Tensor> integers;  // likewise
};

ShardedStep::ShardedStep(Learner& learner, std::vector<NamedTensor> trained, int64_t shards,
                         Exchange* exchange)
    : learner_(learner), trained_(std::move(trained)), shards_(shards), exchange_(exchange) {
  for (auto& buffer : learner_.buffers()) {
    if (buffer.tensor.is_complex()) buffer.tensor = at::view_as_real(buffer.tensor);  // the same memory
    const bool whole = !buffer.tensor.is_floating_point();
    (whole ? wholeCount_ : valueCount_) += buffer.tensor.numel();
    if (buffer.tensor.scalar_type() == at::kDouble) type_ = at::kDouble;
    (whole ? integers_ : floats_).push_back(std::move(buffer));
  }
  for (const auto& parameter : trained_) {
    if (parameter.tensor.scalar_type() == at::kDouble) type_ = at::kDouble;
    valueCount_ += parameter.tensor.numel() + 1;
  }
}

double ShardedStep::learn(const TrainBatch& batch, uint64_t seed, int64_t step, const CancelToken& cancel) {
  const BatchShards cut(batch, shards_);
  Work work{cut, seed, step, cancel, {}, {}};
  for (const auto& buffer : floats_) work.floats.push_back(buffer.tensor.detach().clone());
  for (const auto& buffer : integers_) work.integers.push_back(buffer.tensor.detach().clone());
  const auto takeBack = [&] {
    clearGradients(trained_);
    for (size_t i = 0; i < floats_.size(); ++i) restoreContents(floats_[i].tensor, work.floats[i]);
    for (size_t i = 0; i < integers_.size(); ++i) restoreContents(integers_[i].tensor, work.integers[i]);
  };
  try {
    const Part total = exchange_ == nullptr ? node(work, {0, shards_}) : together(work);
    takeBack();
    if (std::isfinite(total.loss)) apply(total);
    return total.loss;
  } catch (...) {
    cleanUp(takeBack);
    throw;
  }
}

ShardedStep::Part ShardedStep::node(const Work& work, const ShardRange& range) {
  if (range.size() == 1) return leaf(work, range.first);
  Part sum = node(work, range.left());
  const Part right = node(work, range.right());
  sum.loss += right.loss;
  sum.values.add_(right.values);
  return sum;
}

ShardedStep::Part ShardedStep::leaf(const Work& work, int64_t shard) {
  work.cancel.throwIfCancelled();
  Part part{0, at::zeros({valueCount_}, type_), at::zeros({wholeCount_}, at::kLong)};
  const double weight = work.batch.weight(shard);
  clearGradients(trained_);
  for (size_t i = 0; i < floats_.size(); ++i) restoreContents(floats_[i].tensor, work.floats[i]);
  for (size_t i = 0; i < integers_.size(); ++i) restoreContents(integers_[i].tensor, work.integers[i]);
  if (weight > 0) {
    const StepRandom random(derivedSeed(work.seed, static_cast<uint64_t>(shard)), learner_.device());
    part.loss = learner_.learn(work.batch.shard(shard), work.seed) * weight;
  }
  const at::NoGradGuard noGrad;
  int64_t at = 0;
  const auto put = [&](const at::Tensor& from) {
    part.values.narrow(0, at, from.numel()).copy_(from.reshape(-1));
    at += from.numel();
  };
  for (const auto& parameter : trained_) {
    const at::Tensor& gradient = parameter.tensor.grad();
    if (gradient.defined())
      put(gradient);
    else
      at += parameter.tensor.numel();
  }
  for (size_t i = 0; i < floats_.size(); ++i) {
    const at::Tensor& now = floats_[i].tensor;
    // What a forward leaves alone may be infinite, as in a mask.
    put(at::where(now == work.floats[i], at::zeros({}, now.options()), now - work.floats[i]));
  }
  part.values.mul_(weight);
  for (const auto& parameter : trained_) part.values[at++].fill_(parameter.tensor.grad().defined() ? 1 : 0);
  at = 0;
  for (const auto& buffer : integers_) {
    part.wholes.narrow(0, at, buffer.tensor.numel()).copy_(buffer.tensor.reshape(-1));
    at += buffer.tensor.numel();
  }
  return part;
}

// Every rank but the first hands in the nodes that are its own, and takes the total of the first one, which
// adds them.
ShardedStep::Part ShardedStep::together(const Work& work) {
  const std::string name = std::to_string(work.step);
  const int64_t rank = exchange_->rank();
  const int64_t ranks = exchange_->ranks();
  const Digest own = work.batch.digest();
  const auto nodesOf = [&](int64_t of) { return nodesWithin(shardsOf(of, ranks, shards_), shards_); };
  const auto nameOf = [&](int64_t of) { return name + "/" + std::to_string(of); };
  const auto sizeOf = [&](int64_t of) {
    return static_cast<int64_t>(sizeof(Digest)) + static_cast<int64_t>(nodesOf(of).size()) * partBytes();
  };
  if (rank != 0) {
    std::string bytes;
    append(bytes, &own, sizeof(own));
    for (const auto& range : nodesOf(rank)) bytes += bytesOf(node(work, range));
    exchange_->publish(nameOf(rank), bytes);
    const Part total = partOf(exchange_->fetch(0, nameOf(0), partBytes(), work.cancel));
    exchange_->forget(nameOf(rank), sizeOf(rank));
    return total;
  }
  std::vector<std::pair<ShardRange, Part>> parts;
  for (const auto& range : nodesOf(0)) parts.emplace_back(range, node(work, range));
  for (int64_t of = 1; of < ranks; ++of) {
    const std::string bytes = exchange_->fetch(of, nameOf(of), sizeOf(of), work.cancel);
    Digest theirs;
    std::memcpy(&theirs, bytes.data(), sizeof(theirs));
    if (theirs != own) {
      throw Error("ERR_GROUP_MISMATCH",
                  "Rank " + std::to_string(of) + " has another batch than rank 0 at step " +
                      std::to_string(work.step + 1) + ": give all ranks the same data, in the same order.");
    }
    size_t from = sizeof(Digest);
    for (const auto& range : nodesOf(of)) {
      parts.emplace_back(range, partOf(bytes.substr(from, static_cast<size_t>(partBytes()))));
      from += static_cast<size_t>(partBytes());
    }
  }
  // The parts are in order, so each node's are next to each other.
  size_t next = 0;
  const std::function<Part(const ShardRange&)> sum = [&](const ShardRange& range) -> Part {
    if (range.holds(parts[next].first) && parts[next].first.holds(range))
      return std::move(parts[next++].second);
    Part left = sum(range.left());
    const Part right = sum(range.right());
    left.loss += right.loss;
    left.values.add_(right.values);
    return left;
  };
  Part total = sum({0, shards_});
  exchange_->publish(nameOf(0), bytesOf(total));
  // All have fetched the last total, for they have handed in parts of this step.
  if (last_ >= 0) exchange_->forget(std::to_string(last_) + "/0", partBytes());
  last_ = work.step;
  return total;
}

void ShardedStep::apply(const Part& total) {
  const at::NoGradGuard noGrad;
  int64_t at = 0;
  const auto take = [&](const at::Tensor& like) {
    const at::Tensor piece = total.values.narrow(0, at, like.numel()).view(like.sizes());
    at += like.numel();
    return piece.to(like.options(), /*non_blocking=*/false, /*copy=*/true);
  };
  const int64_t counts = valueCount_ - static_cast<int64_t>(trained_.size());
  for (size_t i = 0; i < trained_.size(); ++i) {
    const at::Tensor& parameter = trained_[i].tensor;
    at::Tensor gradient = take(parameter);
    const bool learned = total.values[counts + static_cast<int64_t>(i)].item<double>() > 0;
    if (learned) at::Tensor(parameter).mutable_grad() = std::move(gradient);
  }
  for (const auto& buffer : floats_) {
    const at::Tensor changed = buffer.tensor + take(buffer.tensor);
    restoreContents(buffer.tensor, changed);
  }
  at = 0;
  for (const auto& buffer : integers_) {
    const at::Tensor piece = total.wholes.narrow(0, at, buffer.tensor.numel()).view(buffer.tensor.sizes());
    at += buffer.tensor.numel();
    restoreContents(buffer.tensor, piece.to(buffer.tensor.options()));
  }
}

int64_t ShardedStep::partBytes() const {
  return static_cast<int64_t>(sizeof(double)) + valueCount_ * static_cast<int64_t>(c10::elementSize(type_)) +
         wholeCount_ * static_cast<int64_t>(sizeof(int64_t));
}

std::string ShardedStep::bytesOf(const Part& part) const {
  std::string bytes;
  bytes.reserve(static_cast<size_t>(partBytes()));
  append(bytes, &part.loss, sizeof(part.loss));
  append(bytes, part.values.data_ptr(), part.values.nbytes());
  append(bytes, part.wholes.data_ptr(), part.wholes.nbytes());
  return bytes;
}

ShardedStep::Part ShardedStep::partOf(const std::string& bytes) const {
  Part part{0, at::empty({valueCount_}, type_), at::empty({wholeCount_}, at::kLong)};
  const char* from = bytes.data();
  const auto take = [&](void* to, size_t size) {
    std::memcpy(to, from, size);
    from += size;
  };
  take(&part.loss, sizeof(part.loss));
  take(part.values.data_ptr(), part.values.nbytes());
  take(part.wholes.data_ptr(), part.wholes.nbytes());
  return part;
}

}  // namespace torchsearch
