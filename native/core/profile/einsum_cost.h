#pragma once

#include <string>
#include <vector>

#include "core/profile/operand.h"
#include "core/profile/operator_cost.h"

namespace torchsearch {

// The batched matrix products that aten::einsum makes: it contracts the operands pairwise, left to right or
// along `path`. A pair that shares no summed subscript is multiplied elementwise and costs no multiply-adds.
std::vector<CostTerm> einsumTerms(const std::string& equation, const std::vector<Operand>& operands,
                                  const std::vector<int64_t>& path);

}  // namespace torchsearch
