#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/call/forwardable.h"
#include "core/forward/executor.h"
#include "core/model/module.h"
#include "core/quantization/layer_quantizers.h"
#include "core/quantization/layer_sensitivity.h"

namespace torchsearch {

struct QuantizationOptions {
  std::vector<LayerFormat> formats;
  bool groupSharedInputs = true;
};

// A module whose layers can be given number formats. Nothing of the module changes: layers round their
// weights and inputs as they run.
class QuantizationSpace : public Forwardable {
 public:
  // ERR_INPUT, ERR_FORWARD, ERR_DATA_DEPENDENT, ERR_UNSUPPORTED_GRAPH, ERR_NO_PARAMETERS
  static std::shared_ptr<QuantizationSpace> convert(const std::shared_ptr<Module>& module,
                                                    const Inputs& dummyInput,
                                                    const QuantizationOptions& options,
                                                    const CancelToken& cancel);

  const std::vector<QuantLayer>& layers() const { return quantizers_->layers(); }
  const std::vector<LayerFormat>& formats() const { return quantizers_->formats(); }
  int32_t groupCount() const { return groupCount_; }

  // The format of each group, kUnquantized for none.
  std::vector<int64_t> active() const;
  // ERR_CHOICE for a wrong number of formats, or one that does not exist.
  void select(const std::vector<int64_t>& formats);

  // Runs the model in the formats selected. Inputs may have other batch sizes than the dummy input.
  // ERR_NOT_CALIBRATED where activations are to be rounded that no range is known of.
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) override;
  c10::Device device() const override { return module_->device(); }
  std::shared_ptr<const c10::FunctionSchema> schema() const override { return module_->schema(); }

  // Learns the ranges of activations from a batch, on the unquantized model. ERR_CALIBRATION_NAN
  void observe(const Inputs& inputs, const CancelToken& cancel);
  // Forgets them.
  void forgetActivations();
  // By layer and format, lower and upper end; NaN where a format leaves activations alone.
  // ERR_NOT_CALIBRATED
  std::vector<double> activationEnds();
  // Ends from an earlier calibration.
  void setActivationEnds(const std::vector<double>& ends);

  // See layer_sensitivity.h; selects nothing.
  SensitivityPart gradients(const Inputs& inputs, const at::Tensor& target, const Loss& loss,
                            const CancelToken& cancel);
  SensitivityPart outputs(const Inputs& inputs, int32_t group, ScoreKind measure, const OutputView& view,
                          const CancelToken& cancel);

  // The selection as a module of its own; checked on the dummy input. ERR_EXPORT, ERR_EXPORT_MISMATCH
  std::shared_ptr<Module> exportModule();

  const std::shared_ptr<Module>& module() const { return module_; }

 private:
  struct ShapeProgram;  // one recorded program per input shape

  QuantizationSpace() = default;
  ShapeProgram& programFor(const Inputs& inputs, const CancelToken& cancel);
  ShapeProgram& bound(const Inputs& inputs, const CancelToken& cancel);
  void refreshWeights();
  std::vector<int64_t> layerFormats() const;
  c10::IValue runSelection(const Inputs& inputs, const CancelToken& cancel);
  std::vector<at::Tensor> layerWeights();
  void verify(Module& exported);

  mutable std::recursive_mutex mutex_;
  std::shared_ptr<Module> module_;
  std::shared_ptr<InlinedGraph> graph_;
  std::shared_ptr<const Program> program_;  // at the dummy input's shape
  Inputs dummyInput_;
  std::unique_ptr<LayerQuantizers> quantizers_;
  HookSlot hook_ = std::make_shared<LayerHook*>(nullptr);
  int32_t groupCount_ = 0;
  std::map<std::string, std::shared_ptr<ShapeProgram>> programs_;  // by input shapes
  std::vector<std::pair<const void*, uint32_t>> weightState_;      // memory and version of the tensors

  // Under a lock of its own, so that selecting never waits for a forward.
  mutable std::mutex activeMutex_;
  std::vector<int64_t> active_;  // by group
};

}  // namespace torchsearch
