#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <string_view>

#include "core/importance/importance.h"

namespace torchsearch {

namespace {

enum class NormKind : uint8_t { kNone, kOther, kBatch };

NormKind normKindOf(std::string_view name) {
  if (name == "aten::batch_norm" || name == "aten::native_batch_norm") return NormKind::kBatch;
  for (const char* other : {"aten::layer_norm", "aten::native_layer_norm", "aten::group_norm",
                            "aten::native_group_norm", "aten::instance_norm", "aten::rms_norm"}) {
    if (name == other) return NormKind::kOther;
  }
  return NormKind::kNone;
}

// The scales of all the norms in a program, and of what kind each is.
std::map<SlotId, NormKind> normScales(const Program& program) {
  std::map<SlotId, NormKind> scales;
  for (const auto& instruction : program.instructions) {
    const NormKind kind = normKindOf(instruction.schema->name());
    if (kind == NormKind::kNone) continue;
    const auto position = instruction.schema->argumentIndexWithName("weight");
    if (!position.has_value() || !instruction.arguments[*position].isSlot()) continue;
    const SlotId slot = instruction.arguments[*position].slot;
    if (program.slots[slot].kind == Slot::Kind::kParameter) scales.emplace(slot, kind);
  }
  return scales;
}

// |gamma| of the batch norms that a channel runs through (Liu et al., "Learning Efficient Convolutional
// Networks through Network Slimming", ICCV 2017). Groups without one go by their layer, group, instance and
// RMS norms, groups without any norm by L1 magnitude.
class NormScaleImportance : public Importance {
 public:
  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    const at::NoGradGuard noGrad;
    ChannelScores scores = zeroScores(dependencies);
    std::vector<bool> voted(scores.size(), false);
    const auto scales = normScales(dependencies.program());
    for (const NormKind kind : {NormKind::kBatch, NormKind::kOther}) {
      ChannelScores ofKind = zeroScores(dependencies);
      std::vector<bool> votedNow(scores.size(), false);
      for (const auto& [slot, slotKind] : scales) {
        if (slotKind == kind) vote(dependencies, slot, values[slot], ofKind, votedNow);
      }
      for (size_t g = 0; g < scores.size(); ++g) {
        if (voted[g] || !votedNow[g]) continue;
        scores[g] = ofKind[g];
        voted[g] = true;
      }
    }
    fillByMagnitude(dependencies, values, voted, scores);
    return scores;
  }

 private:
  static void vote(const Dependencies& dependencies, SlotId slot, const at::Tensor& scale,
                   ChannelScores& scores, std::vector<bool>& voted) {
    // A layer norm's scale may have several dimensions; each index stands for the mean of its slice.
    for (const int64_t d : channelDimensions(dependencies, slot)) {
      const at::Tensor magnitudes = scale.detach()
                                        .to(at::kCPU, at::kDouble)
                                        .abs()
                                        .movedim(d, 0)
                                        .reshape({scale.size(d), -1})
                                        .mean(1)
                                        .contiguous();
      const double* data = magnitudes.const_data_ptr<double>();
      ChannelVote vote;
      vote.add(dependencies, dependencies.labels(slot, d), {data, data + magnitudes.numel()});
      vote.count("the scales of '" + dependencies.program().slots[slot].name + "'", scores);
      for (const auto& [group, values] : vote.values()) voted[group] = true;
    }
  }
};

}  // namespace

std::shared_ptr<Importance> makeNormScaleImportance() {
  return std::make_shared<NormScaleImportance>();
}

}  // namespace torchsearch
