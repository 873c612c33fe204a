#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/call/inputs.h"

namespace torchsearch {

// What the numbers of a tensor are, and so how two models' are compared.
enum class DistanceKind : uint8_t {
  kIgnored,
  kLogits,         // T^2 KL(softmax(teacher / T) || softmax(output / T)) over classes, mean over positions
  kDistribution,   // KL(teacher || output) of rows that sum to 1, mean over positions
  kProbabilities,  // KL of each number's Bernoulli distribution, as a share of that of the columns' means
  kFeatures,       // squared difference, as a share of the teacher's variance
};

// How all tensors of an output are compared with a teacher's.
struct TeacherView {
  // Of each floating tensor of the output, in its order; empty where one picked tensor is compared.
  std::vector<DistanceKind> kinds;
  bool classesLast = false;  // of kLogits and kDistribution
  // Which input says by numbers other than 0 what of [N, T, ...] counts; neither for none.
  int64_t maskArgument = -1;
  std::string maskKeyword;
};

// The floating tensors of an output, however nested.
std::vector<at::Tensor> floatingTensors(const c10::IValue& value);

// The mask among inputs; undefined without one.
at::Tensor maskOf(const Inputs& inputs, const TeacherView& view);

// The mean distance of the tensors that count, a scalar in at least float32 that can be differentiated with
// respect to `output`. 0 for equal outputs. ERR_SCORE_INPUT where shapes don't fit.
at::Tensor teacherDistance(const c10::IValue& output, const c10::IValue& teacher, const at::Tensor& mask,
                           const TeacherView& view, double temperature);

}  // namespace torchsearch
