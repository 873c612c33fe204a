#pragma once

#include <string>

namespace torchsearch {

// By an operator's qualified name, "aten::conv2d".
bool isConvolution(const std::string& name);
bool isMatrixProduct(const std::string& name);
bool isDropout(const std::string& name);    // with an argument `train`
bool isAttention(const std::string& name);  // in one operator, its projections included or not

}  // namespace torchsearch
