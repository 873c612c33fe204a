#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/model/module.h"
#include "core/profile/latency.h"

namespace torchsearch {

// One executed tensor operator. Costs are for the recorded shapes.
struct OperatorProfile {
  std::string name;  // path of the module whose parameter it uses, else of the module whose code it is
  std::string op;    // "aten::conv2d"
  std::vector<std::vector<int64_t>> inputShapes;  // of its tensors, parameters included, in schema order
  std::vector<std::vector<int64_t>> outputShapes;
  int64_t params = 0;  // parameter elements that no earlier operator used
  int64_t macs = 0;
  std::optional<double> latencyMs;  // median
};

struct Profile {
  int64_t params = 0;  // elements of all parameters, shared ones once, unused ones too
  int64_t macs = 0;
  int64_t size = 0;  // bytes of all parameters and buffers
  // Bytes of these, of inputs, constants and activations, at the peak of a forward; of operators' own
  // workspaces nothing.
  int64_t memory = 0;
  std::optional<LatencySummary> latency;
  std::vector<OperatorProfile> operators;  // in the order in which they run
  std::string device;
  std::vector<std::string> notes;  // sentences on what limits the numbers' meaning
};

struct ProfileOptions {
  bool latency = true;
  LatencyOptions timing;
};

// Runs the module once on `inputs`, reads the costs off what ran, and measures. The module's buffers are left
// as they were. Progress messages are "record", "latency" and "operators". ERR_INPUT, ERR_FORWARD,
// ERR_CLOSED, ERR_ABORTED.
Profile profileModule(Module& module, const Inputs& inputs, const ProfileOptions& options,
                      const CancelToken& cancel, const ProgressFn& progress = {});

// All but latency, of a module whose forward was recorded as `program`.
Profile staticProfile(Module& module, const Program& program);

// Static rows of a program: names, shapes, parameters and MACs.
std::vector<OperatorProfile> profileOperators(const Program& program);

}  // namespace torchsearch
