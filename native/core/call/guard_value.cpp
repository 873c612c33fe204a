#include "core/call/guard_value.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>

namespace torchsearch::guards {

Value integerOf(int64_t value) {
  return {.kind = Value::Kind::kInt, .integer = value};
}

Value realOf(double value) {
  return {.kind = Value::Kind::kReal, .real = value};
}

Value truthOf(bool value) {
  return {.kind = Value::Kind::kTruth, .integer = value ? 1 : 0};
}

namespace {

// Of two parts that are no numbers.
Value neither(const Value& a, const Value& b) {
  const bool unknown = a.kind == Value::Kind::kUnknown || b.kind == Value::Kind::kUnknown;
  const bool undefined = a.kind == Value::Kind::kUndefined || b.kind == Value::Kind::kUndefined;
  return undefined && !unknown ? kUndefined : Value();
}

int64_t floorDivided(int64_t a, int64_t b) {
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);
}

Value divided(const Value& a, const Value& b, char operation) {
  if (b.asReal() == 0) return kUndefined;
  const bool whole = a.kind == Value::Kind::kInt && b.kind == Value::Kind::kInt;
  if (operation == '/') return realOf(a.asReal() / b.asReal());
  if (whole && b.integer == -1 && a.integer == std::numeric_limits<int64_t>::min()) return {};
  if (operation == 'q') {
    return whole ? integerOf(floorDivided(a.integer, b.integer))
                 : realOf(std::floor(a.asReal() / b.asReal()));
  }
  if (whole) {
    const int64_t rest = a.integer % b.integer;
    return integerOf(rest != 0 && (rest < 0) != (b.integer < 0) ? rest + b.integer : rest);
  }
  return realOf(a.asReal() - b.asReal() * std::floor(a.asReal() / b.asReal()));
}

Value power(const Value& base, const Value& exponent) {
  const bool whole =
      base.kind == Value::Kind::kInt && exponent.kind == Value::Kind::kInt && exponent.integer >= 0;
  if (!whole) return realOf(std::pow(base.asReal(), exponent.asReal()));
  const bool grows = base.integer > 1 || base.integer < -1;
  constexpr int64_t kBits = 62;
  if (grows && exponent.integer > kBits) return {};
  // Of -1, whether it is odd counts.
  const int64_t count = exponent.integer > kBits ? kBits + exponent.integer % 2 : exponent.integer;
  int64_t product = 1;
  for (int64_t i = 0; i < count; ++i) {
    if (__builtin_mul_overflow(product, base.integer, &product)) return {};
  }
  return integerOf(product);
}

}  // namespace

Value combined(const Value& a, const Value& b, char operation) {
  if (!a.isNumber() || !b.isNumber()) return neither(a, b);
  if (operation == '/' || operation == 'q' || operation == '%') return divided(a, b, operation);
  if (operation == 'p') return power(a, b);
  if (a.kind == Value::Kind::kInt && b.kind == Value::Kind::kInt) {
    int64_t result = 0;
    const bool over = operation == '+'   ? __builtin_add_overflow(a.integer, b.integer, &result)
                      : operation == '-' ? __builtin_sub_overflow(a.integer, b.integer, &result)
                                         : __builtin_mul_overflow(a.integer, b.integer, &result);
    return over ? Value() : integerOf(result);
  }
  const double x = a.asReal();
  const double y = b.asReal();
  return realOf(operation == '+' ? x + y : operation == '-' ? x - y : x * y);
}

Value compared(const Value& a, const Value& b, std::string_view relation) {
  if (!a.isNumber() || !b.isNumber()) return neither(a, b);
  const bool whole = a.kind == Value::Kind::kInt && b.kind == Value::Kind::kInt;
  const auto order = whole ? std::partial_ordering(a.integer <=> b.integer) : a.asReal() <=> b.asReal();
  if (relation == "==") return truthOf(order == 0);
  if (relation == "!=") return truthOf(order != 0);
  if (relation == "<=") return truthOf(order <= 0);
  if (relation == ">=") return truthOf(order >= 0);
  return truthOf(relation == "<" ? order < 0 : order > 0);
}

Value both(const Value& a, const Value& b) {
  if (a.kind == Value::Kind::kUndefined) return a;
  if (a.kind != Value::Kind::kUnknown && !a.isTrue()) return truthOf(false);
  return a.kind == Value::Kind::kUnknown ? Value() : b;
}

Value either(const Value& a, const Value& b) {
  if (a.kind == Value::Kind::kUndefined) return a;
  if (a.kind != Value::Kind::kUnknown && a.isTrue()) return truthOf(true);
  return a.kind == Value::Kind::kUnknown ? Value() : b;
}

Value called(std::string_view function, const std::vector<Value>& operands) {
  const auto isNumber = [](const Value& value) { return value.isNumber(); };
  if (operands.empty()) return {};
  if (!std::all_of(operands.begin(), operands.end(), isNumber))
    return neither(operands.front(), operands.back());
  const Value& first = operands.front();
  const bool one = operands.size() == 1;
  if (function == "max" || function == "min") {
    const auto less = [](const Value& a, const Value& b) { return compared(a, b, "<").isTrue(); };
    return function == "max" ? *std::max_element(operands.begin(), operands.end(), less)
                             : *std::min_element(operands.begin(), operands.end(), less);
  }
  if (operands.size() == 2 && function == "FloorDiv") return combined(operands[0], operands[1], 'q');
  if (operands.size() == 2 && (function == "Mod" || function == "PythonMod"))
    return combined(operands[0], operands[1], '%');
  if (operands.size() == 2 && (function == "pow" || function == "math.pow"))
    return combined(operands[0], operands[1], 'p');
  if (one && function == "float") return realOf(first.asReal());
  if (one && function == "math.sqrt")
    return first.asReal() < 0 ? kUndefined : realOf(std::sqrt(first.asReal()));
  const bool rounds = function == "math.floor" || function == "math.ceil" || function == "math.trunc" ||
                      function == "int" || function == "abs";
  if (!one || !rounds) return {};
  if (function == "abs" && first.kind == Value::Kind::kReal) return realOf(std::abs(first.real));
  if (first.kind == Value::Kind::kInt)
    return function == "abs" && first.integer < 0 ? combined(integerOf(0), first, '-') : first;
  const double rounded = function == "math.floor"  ? std::floor(first.real)
                         : function == "math.ceil" ? std::ceil(first.real)
                                                   : std::trunc(first.real);
  if (!(std::abs(rounded) < 9e18)) return {};
  return integerOf(static_cast<int64_t>(rounded));
}

}  // namespace torchsearch::guards
