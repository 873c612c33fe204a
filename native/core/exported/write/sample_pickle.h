#pragma once

#include <ATen/core/ivalue.h>

#include <string>

namespace torchsearch::exported {

// What torch.save writes of tensors, numbers and texts in tuples, lists and dictionaries. torch.load reads it
// with weights_only, which refuses what LibTorch's own pickle_save adds to containers: their TorchScript
// types.
std::string pickleSamples(const c10::IValue& value);

}  // namespace torchsearch::exported
