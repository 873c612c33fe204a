#include "core/exported/size_line.h"

#include <charconv>
#include <string_view>

namespace torchsearch::exported {
namespace {

constexpr int kDeepest = 8;
// No size is larger, and products of two fit.
constexpr int64_t kLargest = int64_t{1} << 31;

bool isLarge(int64_t number) {
  return number > kLargest || number < -kLargest;
}

// A line without a symbol is a number, its offset.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : text_(text) {}

  std::optional<SizeLine> read() {
    auto line = part(0);
    return line && at_ == text_.size() ? line : std::nullopt;
  }

 private:
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::optional<SizeLine> part(int depth) {
    if (depth > kDeepest) return std::nullopt;
    if (take("Symbol('")) return symbol();
    if (take("Integer(")) return integer();
    const bool sum = take("Add(");
    if (!sum && !take("Mul(")) return std::nullopt;
    SizeLine whole{.symbol = "", .scale = 0, .offset = sum ? 0 : 1};
    do {
      auto next = part(depth + 1);
      if (!next || (!whole.symbol.empty() && !next->symbol.empty())) return std::nullopt;
      const bool plain = whole.symbol.empty();
      const int64_t number = plain ? whole.offset : next->offset;
      if (plain) {
        whole.symbol = std::move(next->symbol);
        whole.scale = next->scale;
        whole.offset = next->offset;
      }
      if (!sum) whole.scale *= number;
      whole.offset = sum ? whole.offset + number : whole.offset * number;
      if (isLarge(whole.scale) || isLarge(whole.offset)) return std::nullopt;
    } while (take(", "));
    if (!take(")")) return std::nullopt;
    return whole;
  }

  std::optional<SizeLine> symbol() {
    const size_t end = text_.find('\'', at_);
    const size_t close = text_.find(')', at_);
    if (end == std::string_view::npos || close == std::string_view::npos || close < end || end == at_)
      return std::nullopt;
    SizeLine line{.symbol = std::string(text_.substr(at_, end - at_)), .scale = 1, .offset = 0};
    at_ = close + 1;
    return line;
  }

  std::optional<SizeLine> integer() {
    const size_t close = text_.find(')', at_);
    if (close == std::string_view::npos) return std::nullopt;
    int64_t number = 0;
    const char* end = text_.data() + close;
    const auto [last, error] = std::from_chars(text_.data() + at_, end, number);
    if (error != std::errc() || last != end || isLarge(number)) return std::nullopt;
    at_ = close + 1;
    return SizeLine{.symbol = "", .scale = 0, .offset = number};
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::optional<SizeLine> readSizeLine(const std::string& expression) {
  auto line = LineReader(expression).read();
  return line && !line->symbol.empty() && line->scale != 0 ? line : std::nullopt;
}

}  // namespace torchsearch::exported
