#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace torchsearch::exported {

// scale * symbol + offset: a size, as programs write it.
struct SizeLine {
  std::string symbol;
  int64_t scale = 1;
  int64_t offset = 0;
};

// Reads "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(1))". Nothing for an
// expression that is no line, or of no symbol or of several.
std::optional<SizeLine> readSizeLine(const std::string& expression);

}  // namespace torchsearch::exported
