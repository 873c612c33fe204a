#include "core/exported/write/module_stacks.h"

#include <algorithm>
#include <regex>

namespace torchsearch::exported {
namespace {

// "__torch__.torch.nn.modules.conv.___torch_mangle_7.Conv2d" is torch.nn.modules.conv.Conv2d.
std::string plainClass(const torch::jit::Module& module) {
  const auto name = module.type()->name();
  if (!name) return "torch.nn.modules.module.Module";
  static const std::regex kOwn("^__torch__\\.|___torch_mangle_[0-9]+\\.");
  std::string text = std::regex_replace(name->qualifiedName(), kOwn, "");
  // The reader's own modules have no class.
  return text.starts_with("exported.") ? "torch.nn.modules.module.Module" : text;
}

}  // namespace

ModuleStacks::ModuleStacks(const torch::jit::Module& module, const Json& origin) {
  const Json known = origin.is_object() ? origin.value("classes", Json::object()) : Json::object();
  const auto nameOf = [&](const std::string& path, const torch::jit::Module& own) {
    const auto found = known.find(path);
    return found != known.end() && found->is_string() ? found->get<std::string>() : plainClass(own);
  };
  root_ = nameOf("", module);
  for (const auto& item : module.named_modules()) {
    if (!item.name.empty()) classes_[item.name] = nameOf(item.name, item.value);
  }
  // Modules without tensors, such as activations, which the reader makes no modules for.
  for (const auto& [path, name] : known.items()) {
    if (!path.empty() && name.is_string()) classes_.emplace(path, name.get<std::string>());
  }
}

std::string ModuleStacks::at(const std::string& path) const {
  std::string stack = "L__self__,," + root_;
  for (size_t from = 0; from < path.size();) {
    const size_t dot = std::min(path.find('.', from), path.size());
    const std::string part = path.substr(0, dot);
    from = dot + 1;
    const auto found = classes_.find(part);
    if (found == classes_.end()) continue;
    std::string key = part;
    std::replace(key.begin(), key.end(), '.', '_');
    stack += ";L__self___" + key + "," + part + "," + found->second;
  }
  return stack;
}

}  // namespace torchsearch::exported
