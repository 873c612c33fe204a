#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/call/inputs.h"
#include "core/forward/executor.h"
#include "core/space/channel_order.h"
#include "core/space/converted_model.h"
#include "core/space/subnet.h"

namespace torchsearch {

// What becomes of a parameter or buffer of the model that was converted.
struct RecipeTensor {
  std::string name;
  std::vector<int64_t> sizes;  // of the whole one
  bool leftOut = false;        // with its block
  bool ownValues = false;      // what is kept has other values than the model's
  at::Tensor values;           // these, where they are at most kMostOwnValues; else undefined
  // By dimension, which of Recipe::indices are kept; the other dimensions are as they were.
  std::map<int64_t, size_t> kept;
};

// A size that an operator is given as a number, and that is smaller in the subnet.
struct RecipeNumber {
  std::string module;  // dotted path
  std::string operatorName;
  std::string argument;
  int64_t whole = 0;
  int64_t narrow = 0;
  std::string place;  // in the source, as far as it is known
};

// A residual block that the subnet does without.
struct RecipeBlock {
  std::string name;
  std::string module;  // where its result is added to what it was given
};

// Such as batch-norm statistics; reconstructed weights are for the exported file.
inline constexpr int64_t kMostOwnValues = int64_t{1} << 16;

// How a subnet comes of the model that was converted: enough to do the same to that model's Python source.
struct Recipe {
  std::vector<std::vector<int64_t>> indices;  // of whole dimensions, in the subnet's order; each list once
  std::vector<RecipeTensor> tensors;
  std::vector<RecipeNumber> numbers;
  std::vector<RecipeBlock> blocks;

  // What the subnet gives for these inputs: of each tensor, its sizes and evenly spaced elements, in double
  // precision; complex ones as pairs.
  Inputs inputs;
  bool patterned = false;  // whether `patternOf` stands for the larger floating-point inputs
  std::vector<std::vector<int64_t>> outputSizes;
  std::vector<at::Tensor> outputSamples;
};

// The part without inputs and outputs. `bindings` are the subnet's; `order` is the channels' since the
// conversion. ERR_RECIPE where a hyperparameter of the user's own chose a number of the graph.
Recipe describeSubnet(const ConvertedModel& model, const Subnet& subnet, const Bindings& bindings,
                      const ChannelOrder& order);

// Larger floating-point tensors than that aren't written, but made again: element i is (7919 i mod 1000) /
// 1000.
inline constexpr int64_t kLargestWritten = 4096;
Inputs patternOf(const Inputs& inputs);

// At most kLargestWritten elements of a tensor, in double precision, on the CPU.
at::Tensor sampleOf(const at::Tensor& tensor);

}  // namespace torchsearch
