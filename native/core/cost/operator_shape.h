#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/size_form.h"

namespace torchsearch {

// What an executed operator's time depends on, for all widths at once.
struct OperatorShape {
  // A size within a key: constant + count x variable, or the constant alone.
  struct Size {
    int32_t variable = -1;
    int64_t count = 0;
    int64_t constant = 0;
  };
  struct Product {
    double coefficient = 1;
    std::vector<Size> sizes;
  };

  int32_t instruction = 0;
  // Operator, dtypes, shapes and layouts of its tensors, and its other arguments; sizes that vary are named
  // by letters: "aten::conv2d(f32[1,a,56,56]@0231, f32[b,a,3,3], None, [1, 1], [1, 1], [1, 1], 1) -> …".
  // Equal keys with equal sizes take equally long.
  std::string key;
  std::vector<SizeForm> variables;  // what each letter stands for
  std::vector<Product> work;        // multiply-adds and elements read

  std::vector<int64_t> sizesAt(const std::vector<int64_t>& widths) const;
  double workAt(const std::vector<int64_t>& sizes) const;
};

// One for each instruction that is executed. `smallest`: the widths by group of the smallest subnet.
std::vector<OperatorShape> operatorShapes(const Dependencies& dependencies,
                                          const std::vector<int64_t>& smallest);

}  // namespace torchsearch
