#include "binding/names.h"

namespace torchsearch::binding {

std::string refusal(const char* what, const std::vector<std::string_view>& names,
                    const std::vector<std::pair<std::string_view, std::string_view>>& former,
                    const Napi::Value& given) {
  std::string text = std::string(what) + " must be ";
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 < names.size() ? ", " : " or ";
    text += "\"" + std::string(names[i]) + "\"";
  }
  if (!given.IsString()) return text + ".";
  const std::string name = given.As<Napi::String>();
  for (const auto& [before, now] : former) {
    if (before == name) return text + ": \"" + name + "\" is now \"" + std::string(now) + "\".";
  }
  return text + ", not \"" + name + "\".";
}

}  // namespace torchsearch::binding
