#pragma once

#include <torch/script.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace torchsearch {

// TorchScript files are programs. What they may name is listed, not what they may not: operators that compute
// on tensors, numbers, text and containers (allowed_operators.inc; scripts/python/operator_policy.py has the
// rule).

// Whether a file may name an operator or an instruction of a graph, such as "aten::add" or "prim::If".
bool isAllowedOperator(std::string_view name);
// Whether somebody has looked at an operator and kept it out; a registered one that is in neither list is
// new.
bool isRefusedOperator(std::string_view name);

// Whether a file may hold objects of a class that C++ defines ("__torch__.torch.classes.quantized.…").
// Classes that the file itself defines are allowed.
bool isAllowedClass(std::string_view name);

// What a compilation unit names that is neither allowed nor in `permitted`, sorted: operators and
// instructions of every function and method, in blocks and in the subgraphs that `fork` and `awaitable` run
// later, and the classes of all values. Also, in words, values that a loop could nest as deeply as it likes,
// and calls within calls that come to more code than LibTorch can put together.
std::vector<std::string> refusedNames(const torch::jit::CompilationUnit& unit,
                                      const std::set<std::string>& permitted);

}  // namespace torchsearch
