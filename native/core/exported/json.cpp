#include "core/exported/json.h"

#include <limits>

#include "core/base/error.h"

namespace torchsearch::exported {
namespace {

// A conditional in a conditional takes seven levels; no exported program has twenty of them.
constexpr size_t kMaxJsonDepth = 150;

void requireShallow(const std::string& text, const std::string& what) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) refuseProgram(what + " is nested too deeply");
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
}

}  // namespace

void refuseProgram(const std::string& why) {
  throw Error("ERR_EXPORTED_PROGRAM",
              "The exported program is damaged, or not written by torch.export.save: " + why +
                  "; save it again with torch.export.save(ep, path).");
}

void refuseWriting(const std::string& what, const std::string& remedy) {
  throw Error("ERR_EXPORTED_WRITE",
              "The model can't be written as an exported program: it has " + what + ". " + remedy);
}

void refuseFeature(const std::string& what, const std::string& remedy) {
  throw Error("ERR_UNSUPPORTED_EXPORT", "The exported program has " + what + "; " + remedy);
}

Json parseJson(const std::string& text, const std::string& what) {
  requireShallow(text, what);
  Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) refuseProgram(what + " is not valid JSON");
  return parsed;
}

const Json* findField(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

const Json& field(const Json& object, const char* key) {
  const Json* found = findField(object, key);
  if (found == nullptr) refuseProgram("a field \"" + std::string(key) + "\" is missing");
  return *found;
}

const Json& arrayOf(const Json& value) {
  if (!value.is_array()) refuseProgram("a list is not one");
  return value;
}

const Json& objectOf(const Json& value) {
  if (!value.is_object()) refuseProgram("a record is not one");
  return value;
}

const std::string& textOf(const Json& value) {
  if (!value.is_string()) refuseProgram("a text is not one");
  return value.get_ref<const std::string&>();
}

int64_t intOf(const Json& value) {
  if (!value.is_number_integer()) refuseProgram("a whole number is not one");
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    refuseProgram("a whole number is too large");
  }
  return value.get<int64_t>();
}

bool boolOf(const Json& value) {
  if (!value.is_boolean()) refuseProgram("a truth value is not one");
  return value.get<bool>();
}

double floatOf(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const std::string& text = textOf(value);
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  refuseProgram("a number is not one");
}

std::pair<const std::string&, const Json&> memberOf(const Json& value) {
  if (!value.is_object() || value.size() != 1) refuseProgram("a value has no kind, or several");
  const auto member = value.begin();
  return {member.key(), member.value()};
}

}  // namespace torchsearch::exported
