#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <vector>

namespace torchsearch {

// Conditions on sizes that an export wrote down, in this attribute of the module: a list of texts, as
// Python's `torch.export` writes them, such as "((L['x'].size()[0] + L['y'].size()[0]) % 3) == 1".
inline constexpr const char* kSizeGuards = "_exported_guards";

// Whether a condition holds for arguments (without `self`) of a function; nothing where it says something
// that isn't known here. A division by zero holds no more than it does in Python, where it is an error.
std::optional<bool> holdsFor(const std::string& guard, const c10::FunctionSchema& schema,
                             const std::vector<c10::IValue>& arguments);

// "L['x'].size()[0]" is x.size()[0].
std::string readableGuard(const std::string& guard);

}  // namespace torchsearch
