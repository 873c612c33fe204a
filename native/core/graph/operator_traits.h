#pragma once

#include <ATen/core/function_schema.h>

#include <string>

#include "core/graph/program.h"

namespace torchsearch {

// What is known of an operator beyond its schema.
struct OperatorTraits {
  bool isDropout = false;        // has an argument `train`; in evaluation it gives its argument back
  bool isMatrixProduct = false;  // of what is given, whole or by batches
  bool isRecurrent = false;      // a layer or a cell, with its weights
  bool mayPassThrough = false;   // may hand its argument on, although its schema does not say so
  bool ignoresLayout =
      false;  // gives the same elements whatever its operands' layout, and writes through no view
  bool readsValues = false;  // what it gives depends on the values, not only on the shapes, of its tensors
};

// By an operator's qualified name, "aten::conv2d"; one that works in place, "aten::relu_", has the traits of
// the one that does not. No trait holds of an operator that isn't listed.
const OperatorTraits& traitsOf(const std::string& name);

bool isConvolution(const std::string& name);  // transposed ones too
bool isAttention(const std::string& name);    // in one operator, its projections included or not

// Whether an operator updates this argument, the running statistics of a norm, without its schema saying so.
bool isRunningStatistic(const c10::FunctionSchema& schema, const c10::Argument& argument);

// What an operator asks of a tensor that it takes.
enum class Asked : uint8_t { kType, kShape, kNumbers };
Asked askedOf(const c10::FunctionSchema& schema, size_t argument);

// Whether an argument says that an instruction neither draws random numbers nor updates statistics, as
// dropout, attention and norms do otherwise.
bool runsForEvaluation(const Instruction& instruction);

}  // namespace torchsearch
