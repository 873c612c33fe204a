#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/space/channel_order.h"
#include "core/space/converted_model.h"
#include "core/space/custom_hyperparameter.h"
#include "core/space/hyperparameter.h"

namespace torchsearch {

// Makes custom hyperparameters of what a user gives, after trying each value on the dummy input. The caller
// holds the module's lock.
class CustomValidation {
 public:
  // The hyperparameters that are there already; `customs` may be null.
  CustomValidation(const ConvertedModel& model, const std::vector<Hyperparameter>& hyperparameters,
                   std::shared_ptr<const CustomHyperparameters> customs)
      : model_(model), hyperparameters_(hyperparameters), customs_(std::move(customs)) {}

  // Among copies of tensors in the place of a parameter or buffer; `order`: what was done to the module's
  // channels since the tensors had theirs, empty for nothing. ERR_UNKNOWN_TENSOR, ERR_HYPERPARAMETER,
  // ERR_DATA_DEPENDENT
  CustomHyperparameter ofTensors(const std::string& name, const std::string& tensor,
                                 const std::vector<at::Tensor>& values, const ChannelOrder& order,
                                 const CancelToken& cancel) const;
  // Among numbers in the place of constants. ERR_UNKNOWN_CONSTANT, ERR_HYPERPARAMETER
  CustomHyperparameter ofNumbers(const std::string& name, const std::vector<std::string>& constants,
                                 const std::vector<double>& numbers, const CancelToken& cancel) const;

 private:
  void requireFree(const CustomHyperparameter& wanted) const;
  void requireSameComputation(const CustomHyperparameter& wanted, const at::Tensor& own,
                              const CancelToken& cancel) const;
  void requireSameShapes(const CustomHyperparameter& wanted, const CancelToken& cancel) const;
  CustomHyperparameter placed(CustomHyperparameter wanted) const;

  const ConvertedModel& model_;
  const std::vector<Hyperparameter>& hyperparameters_;
  std::shared_ptr<const CustomHyperparameters> customs_;
};

}  // namespace torchsearch
