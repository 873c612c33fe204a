#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace torchsearch::guards {

// What a part of a condition is. Integers are Python's, as far as they fit.
struct Value {
  enum class Kind { kUnknown, kUndefined, kInt, kReal, kTruth };
  Kind kind = Kind::kUnknown;
  int64_t integer = 0;
  double real = 0;

  bool isNumber() const { return kind == Kind::kInt || kind == Kind::kReal; }
  double asReal() const { return kind == Kind::kInt ? static_cast<double>(integer) : real; }
  bool isTrue() const { return kind == Kind::kReal ? real != 0 : integer != 0; }
};

inline constexpr Value kUndefined{.kind = Value::Kind::kUndefined};

Value integerOf(int64_t value);
Value realOf(double value);
Value truthOf(bool value);

// + - * / q (//) % p (**), as Python computes them.
Value combined(const Value& a, const Value& b, char operation);
// == != <= >= < >
Value compared(const Value& a, const Value& b, std::string_view relation);
// `and` and `or` take the right side only where the left one leaves it open.
Value both(const Value& a, const Value& b);
Value either(const Value& a, const Value& b);
// max, min, abs, pow, FloorDiv, Mod and roundings; unknown for any other function.
Value called(std::string_view function, const std::vector<Value>& operands);

}  // namespace torchsearch::guards
