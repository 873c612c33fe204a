#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/base/error.h"
#include "core/importance/importance.h"

namespace torchsearch {

namespace {

// Operators that mix channels with each other: what they read is what a channel has to say.
bool readsChannels(std::string_view name) {
  static constexpr std::array<std::string_view, 17> kNames = {"aten::conv1d",
                                                              "aten::conv2d",
                                                              "aten::conv3d",
                                                              "aten::_convolution",
                                                              "aten::convolution",
                                                              "aten::_convolution_mode",
                                                              "aten::conv_transpose1d",
                                                              "aten::conv_transpose2d",
                                                              "aten::conv_transpose3d",
                                                              "aten::linear",
                                                              "aten::addmm",
                                                              "aten::mm",
                                                              "aten::matmul",
                                                              "aten::bmm",
                                                              "aten::baddbmm",
                                                              "aten::einsum",
                                                              "aten::scaled_dot_product_attention"};
  for (const auto known : kNames) {
    if (name == known) return true;
  }
  return false;
}

// Which slots' values follow from the inputs, rather than from the weights alone.
std::vector<bool> findActivations(const Program& program) {
  std::vector<bool> follows(program.slots.size(), false);
  for (const SlotId input : program.inputs) follows[input] = true;
  for (const auto& instruction : program.instructions) {
    if (instruction.speculative) continue;
    bool any = false;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) { any = any || follows[slot]; });
    }
    if (!any) continue;
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) {
        if (program.slots[slot].kind == Slot::Kind::kResult) follows[slot] = true;
      });
    }
  }
  return follows;
}

double magnitudesIn(const float* begin, int64_t count) {
  constexpr int64_t kLanes = 8;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += std::fabs(begin[i + lane]);
  }
  for (; i < count; ++i) lanes[0] += std::fabs(begin[i]);
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// The sum of magnitudes at each index along `d`. Where elements lie without gaps, in one pass over them:
// LibTorch's operators make two copies of the tensor, one of float64, which took longer than the model's
// forward.
std::vector<double> magnitudesAlong(const at::Tensor& tensor, int64_t d) {
  const int64_t count = tensor.size(d);
  std::vector<double> sums(static_cast<size_t>(count), 0);
  if (tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_non_overlapping_and_dense()) {
    const int64_t inner = count == 1 ? tensor.numel() : tensor.stride(d);
    const int64_t outer = tensor.numel() / (count * inner);
    const float* data = tensor.const_data_ptr<float>();
    const int64_t grain = std::max<int64_t>(1, 32768 * count / tensor.numel());
    at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = 0; o < outer; ++o) {
        const float* row = data + o * count * inner;
        if (inner == 1) {
          for (int64_t i = begin; i < end; ++i) sums[i] += std::fabs(row[i]);
        } else {
          for (int64_t i = begin; i < end; ++i) sums[i] += magnitudesIn(row + i * inner, inner);
        }
      }
    });
    return sums;
  }
  std::vector<int64_t> others;
  for (int64_t other = 0; other < tensor.dim(); ++other) {
    if (other != d) others.push_back(other);
  }
  const at::Tensor magnitudes = tensor.abs();
  const at::Tensor total =
      (others.empty() ? magnitudes.to(at::kDouble) : at::sum(magnitudes, others, false, at::kDouble))
          .cpu()
          .contiguous();
  std::copy_n(total.const_data_ptr<double>(), count, sums.begin());
  return sums;
}

// Where a vote comes from: node of the graph, number of the tensor among its arguments, dimension.
using Place = std::tuple<int32_t, int32_t, int64_t>;
struct Voter {
  std::string name;
  ChannelVote vote;
};
using Votes = std::map<Place, Voter>;

class ActivationObserver : public ExecutionObserver {
 public:
  ActivationObserver(const Dependencies& dependencies, Votes& votes)
      : dependencies_(dependencies),
        program_(dependencies.program()),
        isActivation_(findActivations(program_)),
        votes_(votes) {}

  void beforeInstruction(int32_t index, const std::vector<at::Tensor>& values) override {
    const auto& instruction = program_.instructions[index];
    if (!readsChannels(instruction.schema->name())) return;
    int32_t number = 0;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) {
        if (isActivation_[slot]) observe(instruction, slot, values[slot], number);
        ++number;
      });
    }
  }
  void afterInstruction(int32_t, const std::vector<at::Tensor>&) override {}

 private:
  void observe(const Instruction& instruction, SlotId slot, const at::Tensor& tensor, int32_t number) {
    if (!tensor.defined() || !tensor.is_floating_point() || tensor.numel() == 0) return;
    const auto dimensions = channelDimensions(dependencies_, slot);
    if (dimensions.empty()) return;
    for (const int64_t d : dimensions) {
      auto& voter = votes_[{program_.graph->indexOf(instruction.node), number, d}];
      if (voter.name.empty()) {
        voter.name = "the activations that '" +
                     (instruction.scope.empty() ? instruction.schema->name() : instruction.scope) + "' reads";
      }
      voter.vote.add(dependencies_, dependencies_.labels(slot, d), magnitudesAlong(tensor, d));
    }
  }

  const Dependencies& dependencies_;
  const Program& program_;
  std::vector<bool> isActivation_;
  Votes& votes_;
};

// Mean absolute activation over samples and positions, where convolutions, linear layers and matrix products
// read the channels: after norm and activation function, as in Molchanov et al., "Pruning Convolutional
// Neural Networks for Resource Efficient Inference", ICLR 2017. As every channel of a group is averaged over
// equally many elements, their sum will do. Groups that none of them reads go by L1 magnitude.
class ActivationImportance : public Importance {
 public:
  bool needsData() const override { return true; }

  void add(const MeasuredBatch& batch, const CancelToken& cancel) override {
    const at::NoGradGuard noGrad;
    ActivationObserver observer(batch.dependencies, votes_);
    RunOptions options;
    options.observer = &observer;
    Bindings bindings;
    bindings.values = batch.values;
    bindings.prepared = batch.prepared;
    batch.executor.run(bindings, batch.inputs, cancel, options);
    ++batches_;
  }

  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    if (batches_ == 0) {
      throw Error("ERR_EMPTY_LOADER",
                  "The loader gave no batch to measure activations on; give it at least one.");
    }
    ChannelScores scores = zeroScores(dependencies);
    std::vector<bool> voted(scores.size(), false);
    for (const auto& [place, voter] : votes_) {
      voter.vote.count(voter.name, scores);
      for (const auto& [group, ignored] : voter.vote.values()) voted[group] = true;
    }
    fillByMagnitude(dependencies, values, voted, scores);
    return scores;
  }

 private:
  Votes votes_;
  int64_t batches_ = 0;
};

}  // namespace

std::shared_ptr<Importance> makeActivationImportance() {
  return std::make_shared<ActivationImportance>();
}

}  // namespace torchsearch
