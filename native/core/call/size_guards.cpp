#include "core/call/size_guards.h"

#include <cctype>
#include <charconv>
#include <limits>
#include <string_view>

#include "core/call/guard_value.h"

namespace torchsearch {
namespace {

using namespace guards;

// Deeper nesting isn't known.
constexpr int kDeepest = 100;

// Computes a condition while it reads it. What it can't read makes all of it unknown.
class Reader {
 public:
  Reader(std::string_view text, const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments)
      : text_(text), schema_(schema), arguments_(arguments) {}

  std::optional<bool> read() {
    const Value value = choice(0);
    skipSpaces();
    if (broken_ || at_ != text_.size() || value.kind == Value::Kind::kUnknown) return std::nullopt;
    return value.kind != Value::Kind::kUndefined && value.isTrue();
  }

 private:
  void skipSpaces() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  static bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

  bool take(std::string_view token) {
    skipSpaces();
    if (!text_.substr(at_).starts_with(token)) return false;
    const size_t end = at_ + token.size();
    if (isWord(token.back()) && end < text_.size() && isWord(text_[end])) return false;
    at_ = end;
    return true;
  }

  Value fail() {
    broken_ = true;
    at_ = text_.size();
    return {};
  }

  // a if b else c
  Value choice(int depth) {
    if (depth > kDeepest) return fail();
    const Value value = disjunction(depth);
    if (!take("if")) return value;
    const Value condition = disjunction(depth);
    if (!take("else")) return fail();
    const Value other = choice(depth + 1);
    if (condition.kind == Value::Kind::kUnknown || condition.kind == Value::Kind::kUndefined)
      return condition;
    return condition.isTrue() ? value : other;
  }

  Value disjunction(int depth) {
    Value value = conjunction(depth);
    while (take("or")) value = either(value, conjunction(depth));
    return value;
  }

  Value conjunction(int depth) {
    Value value = negation(depth);
    while (take("and")) value = both(value, negation(depth));
    return value;
  }

  Value negation(int depth) {
    if (depth > kDeepest) return fail();
    if (!take("not")) return comparison(depth);
    const Value value = negation(depth + 1);
    const bool known = value.kind != Value::Kind::kUnknown && value.kind != Value::Kind::kUndefined;
    return known ? truthOf(!value.isTrue()) : value;
  }

  Value comparison(int depth) {
    Value left = sum(depth);
    std::optional<Value> all;
    while (true) {
      std::string_view found;
      for (const std::string_view relation : {"==", "!=", "<=", ">=", "<", ">"}) {
        if (take(relation)) {
          found = relation;
          break;
        }
      }
      if (found.empty()) return all.value_or(left);
      const Value right = sum(depth);
      const Value truth = compared(left, right, found);
      all = all ? both(*all, truth) : truth;
      left = right;
    }
  }

  Value sum(int depth) {
    Value value = product(depth);
    while (true) {
      if (take("+")) {
        value = combined(value, product(depth), '+');
      } else if (take("-")) {
        value = combined(value, product(depth), '-');
      } else {
        return value;
      }
    }
  }

  Value product(int depth) {
    Value value = signedPart(depth);
    while (true) {
      if (take("//")) {
        value = combined(value, signedPart(depth), 'q');
      } else if (take("/")) {
        value = combined(value, signedPart(depth), '/');
      } else if (take("%")) {
        value = combined(value, signedPart(depth), '%');
      } else if (!text_.substr(at_).starts_with("**") && take("*")) {
        value = combined(value, signedPart(depth), '*');
      } else {
        return value;
      }
    }
  }

  Value signedPart(int depth) {
    if (depth > kDeepest) return fail();
    if (take("-")) return combined(integerOf(0), signedPart(depth + 1), '-');
    if (take("+")) return signedPart(depth + 1);
    const Value base = part(depth);
    skipSpaces();
    return take("**") ? combined(base, signedPart(depth + 1), 'p') : base;
  }

  Value part(int depth) {
    skipSpaces();
    if (at_ >= text_.size()) return fail();
    if (take("(")) {
      const Value value = choice(depth + 1);
      return take(")") ? value : fail();
    }
    if (std::isdigit(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '.') return number();
    if (take("True")) return truthOf(true);
    if (take("False")) return truthOf(false);
    if (take("L")) return source(depth);
    size_t end = at_;
    while (end < text_.size() && (isWord(text_[end]) || text_[end] == '.')) ++end;
    const std::string_view name = text_.substr(at_, end - at_);
    if (name.empty()) return fail();
    at_ = end;
    if (name == "inf" || name == "math.inf") return realOf(std::numeric_limits<double>::infinity());
    return take("(") ? called(name, operands(depth)) : Value();
  }

  std::vector<Value> operands(int depth) {
    std::vector<Value> all;
    if (take(")")) return all;
    do all.push_back(choice(depth + 1));
    while (take(","));
    if (!take(")")) fail();
    return all;
  }

  Value number() {
    size_t end = at_;
    bool real = false;
    while (end < text_.size()) {
      const char c = text_[end];
      const bool sign = (c == '-' || c == '+') && (text_[end - 1] == 'e' || text_[end - 1] == 'E');
      if (!isWord(c) && c != '.' && !(end > at_ && sign)) break;
      real = real || c == '.' || c == 'e' || c == 'E';
      ++end;
    }
    const char* last = text_.data() + end;
    Value value = real ? realOf(0) : integerOf(0);
    const auto [stopped, error] = real ? std::from_chars(text_.data() + at_, last, value.real)
                                       : std::from_chars(text_.data() + at_, last, value.integer);
    at_ = end;
    if (error == std::errc::result_out_of_range) return {};
    return error == std::errc() && stopped == last ? value : fail();
  }

  // ['x'] or [0]
  std::optional<c10::IValue> key() {
    if (!take("[")) return std::nullopt;
    skipSpaces();
    c10::IValue found;
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    if (quote == '\'' || quote == '"') {
      const size_t end = text_.find(quote, at_ + 1);
      if (end == std::string_view::npos) return fail(), std::nullopt;
      found = std::string(text_.substr(at_ + 1, end - at_ - 1));
      at_ = end + 1;
    } else {
      const Value index = number();
      if (index.kind != Value::Kind::kInt) return fail(), std::nullopt;
      found = index.integer;
    }
    if (!take("]")) return fail(), std::nullopt;
    return found;
  }

  // The argument of a name. One of several that are one in Python, `*args`, has its number in its name.
  std::optional<c10::IValue> argument(const std::string& name) {
    const auto find = [&](const std::string& wanted) -> std::optional<c10::IValue> {
      for (size_t i = 0; i < arguments_.size() && i + 1 < schema_.arguments().size(); ++i) {
        if (schema_.arguments()[i + 1].name() == wanted) return arguments_[i];
      }
      return std::nullopt;
    };
    if (auto found = find(name)) return found;
    const auto index = key();
    return index && index->isInt() ? find(name + "_" + std::to_string(index->toInt())) : std::nullopt;
  }

  // L['x']['k'][0].size()[1], or L['n'] where that is a number
  Value source(int depth) {
    const auto name = key();
    if (!name) return fail();
    std::optional<c10::IValue> value = name->isString() ? argument(name->toStringRef()) : std::nullopt;
    while (!broken_) {
      skipSpaces();
      if (at_ >= text_.size() || text_[at_] != '[') break;
      const auto next = key();
      if (next && value) value = within(*value, *next);
    }
    if (take(".size()")) {
      const auto dimension = key();
      const bool known =
          dimension && dimension->isInt() && value && value->isTensor() && value->toTensor().defined();
      if (!known || dimension->toInt() >= value->toTensor().dim()) return {};
      return integerOf(value->toTensor().size(dimension->toInt()));
    }
    if (take(".")) return other(depth);
    if (value && value->isInt()) return integerOf(value->toInt());
    if (value && value->isDouble()) return realOf(value->toDouble());
    if (value && value->isBool()) return truthOf(value->toBool());
    return {};
  }

  // Whatever else a source may be asked for isn't known, but is read.
  Value other(int depth) {
    while (at_ < text_.size() && (isWord(text_[at_]) || text_[at_] == '.')) ++at_;
    if (take("(")) operands(depth);
    while (!broken_ && at_ < text_.size() && text_[at_] == '[') key();
    return {};
  }

  static std::optional<c10::IValue> within(const c10::IValue& held, const c10::IValue& key) {
    if (held.isGenericDict()) {
      const auto dict = held.toGenericDict();
      const auto found = dict.keyType()->isSubtypeOf(*key.type()) ? dict.find(key) : dict.end();
      return found == dict.end() ? std::nullopt : std::optional(found->value());
    }
    if (held.isTuple() && key.isString()) {
      const auto type = held.type()->cast<c10::TupleType>();
      if (!type || !type->schema()) return std::nullopt;
      const auto index = type->schema()->argumentIndexWithName(key.toStringRef());
      if (!index) return std::nullopt;
      return held.toTupleRef().elements()[static_cast<size_t>(*index)];
    }
    if (!key.isInt()) return std::nullopt;
    const auto index = static_cast<size_t>(key.toInt());
    if (held.isTuple() && index < held.toTupleRef().elements().size())
      return held.toTupleRef().elements()[index];
    if (held.isList() && index < held.toListRef().size()) return held.toListRef()[index];
    return std::nullopt;
  }

  std::string_view text_;
  const c10::FunctionSchema& schema_;
  const std::vector<c10::IValue>& arguments_;
  size_t at_ = 0;
  bool broken_ = false;
};

}  // namespace

std::optional<bool> holdsFor(const std::string& guard, const c10::FunctionSchema& schema,
                             const std::vector<c10::IValue>& arguments) {
  return Reader(guard, schema, arguments).read();
}

std::string readableGuard(const std::string& guard) {
  std::string text;
  bool closed = true;  // whether a "']" may still follow
  for (size_t i = 0; i < guard.size(); ++i) {
    const bool opens = closed && guard.compare(i, 3, "L['") == 0;
    const size_t end = opens ? guard.find("']", i) : std::string::npos;
    if (opens && end == std::string::npos) closed = false;
    if (end == std::string::npos) {
      if (guard[i] != '\n') text += guard[i];
      continue;
    }
    text += guard.substr(i + 3, end - i - 3);
    i = end + 1;
  }
  return text;
}

}  // namespace torchsearch
