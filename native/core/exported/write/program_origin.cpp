#include "core/exported/write/program_origin.h"

#include <algorithm>
#include <exception>

namespace torchsearch::exported {
namespace {

// "key,path,class;…": the class of each module that a node lies in.
void addClasses(const std::string& stack, Json& classes) {
  for (size_t from = 0; from < stack.size();) {
    const size_t end = std::min(stack.find(';', from), stack.size());
    const std::string entry = stack.substr(from, end - from);
    from = end + 1;
    const size_t first = entry.find(',');
    const size_t second = first == std::string::npos ? first : entry.find(',', first + 1);
    if (second == std::string::npos) continue;
    std::string path = entry.substr(first + 1, second - first - 1);
    path = path.substr(0, path.find('@'));
    if (!path.starts_with("_empty_nn_module_stack")) classes[path] = entry.substr(second + 1);
  }
}

void collect(const Json& program, Json& origin) {
  const Json& graphModule = field(program, "graph_module");
  const Json* ranges = findField(program, "range_constraints");
  for (const Json& symbol : origin["symbols"]) {
    if (ranges == nullptr) continue;
    if (const Json* range = findField(*ranges, textOf(symbol).c_str()))
      origin["ranges"][textOf(symbol)] = *range;
  }
  for (const Json& call : arrayOf(field(graphModule, "module_call_graph"))) {
    if (!textOf(field(call, "fqn")).empty()) continue;
    const Json& signature = field(call, "signature");
    for (const char* key : {"in_spec", "out_spec", "forward_arg_names"}) {
      if (const Json* value = findField(signature, key)) origin[key] = *value;
    }
  }
  for (const Json& spec : arrayOf(field(field(graphModule, "signature"), "input_specs"))) {
    const auto [kind, value] = memberOf(spec);
    if (kind == "tensor_constant") origin["constants"].push_back(field(value, "tensor_constant_name"));
    if (kind == "buffer" && !boolOf(field(value, "persistent")))
      origin["unsaved"].push_back(field(value, "buffer_name"));
    if (kind == "constant_input") origin["inputs"].push_back(field(value, "name"));
    if (kind != "user_input") continue;
    const auto [form, argument] = memberOf(field(value, "arg"));
    const Json* name = argument.is_object() ? findField(argument, "name") : nullptr;
    origin["inputs"].push_back(name == nullptr ? Json("") : *name);
  }
  for (const Json& node : arrayOf(field(field(graphModule, "graph"), "nodes"))) {
    const Json* metadata = findField(node, "metadata");
    const Json* stack = metadata == nullptr ? nullptr : findField(*metadata, "nn_module_stack");
    if (stack != nullptr && stack->is_string()) addClasses(textOf(*stack), origin["classes"]);
  }
}

}  // namespace

std::string originOf(const Json& program, const std::vector<std::string>& symbols) {
  Json origin = {{"symbols", symbols},       {"ranges", Json::object()}, {"constants", Json::array()},
                 {"unsaved", Json::array()}, {"inputs", Json::array()},  {"classes", Json::object()}};
  collect(program, origin);
  return origin.dump();
}

Json findOrigin(const torch::jit::Module& module) {
  const auto slot = module.type()->findAttributeSlot(kProgramOrigin);
  if (!slot) return nullptr;
  const c10::IValue value = module._ivalue()->getSlot(*slot);
  if (!value.isString()) return nullptr;
  try {
    Json origin = parseJson(value.toStringRef(), "its origin");
    return origin.is_object() ? origin : Json(nullptr);
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace torchsearch::exported
