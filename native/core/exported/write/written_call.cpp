#include "core/exported/write/written_call.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

namespace torchsearch::exported {
namespace {

const c10::FunctionSchema* findSchema(const std::string& name, const std::string& overload) {
  const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  return handle ? &handle->schema() : nullptr;
}

const ValueTree* argumentOf(const Instruction& step, const std::string& name) {
  const auto index = step.schema->argumentIndexWithName(name);
  return index ? &step.arguments.at(static_cast<size_t>(*index)) : nullptr;
}

// A trace's convolution holds flags of its backends; the one that it stands for has them not.
const c10::FunctionSchema* plainConvolution(const Instruction& step, const Program& program) {
  const ValueTree* transposed = argumentOf(step, "transposed");
  const ValueTree* weight = argumentOf(step, "weight");
  if (transposed == nullptr || weight == nullptr || !weight->isSlot() || !transposed->constant.isBool())
    return nullptr;
  const size_t dimensions = program.slots[weight->slot].sizes.size();
  if (dimensions < 3 || dimensions > 5) return nullptr;
  const std::string suffix = std::to_string(dimensions - 2) + "d";
  if (!transposed->constant.toBool()) return findSchema("aten::conv" + suffix, "");
  return findSchema("aten::conv_transpose" + suffix, dimensions == 3 ? "" : "input");
}

// The operator that Python has for this one, whose arguments have the same names.
const c10::FunctionSchema* targetOf(const Instruction& step, const Program& program) {
  const std::string& name = step.schema->name();
  if (name == "aten::_convolution") return plainConvolution(step, program);
  if (name == "aten::to" && step.schema->overload_name().starts_with("prim_")) {
    const ValueTree* type = argumentOf(step, "dtype");
    return type != nullptr && type->constant.isInt() ? findSchema("aten::to", "dtype") : nullptr;
  }
  return findSchema(name, step.schema->overload_name());
}

// "aten::conv2d" as "torch.ops.aten.conv2d.default".
std::string pythonName(const c10::FunctionSchema& schema) {
  std::string name = schema.name();
  name.replace(name.find("::"), 2, ".");
  return "torch.ops." + name + "." + (schema.overload_name().empty() ? "default" : schema.overload_name());
}

bool isDefault(const c10::Argument& argument, const std::vector<const ValueTree*>& values) {
  if (!argument.default_value()) return false;
  return std::all_of(values.begin(), values.end(), [&](const ValueTree* value) {
    return value->kind == ValueTree::Kind::kConstant &&
           sameConstant(value->constant, *argument.default_value());
  });
}

}  // namespace

bool sameConstant(const c10::IValue& a, const c10::IValue& b) {
  if (a.isTensor() || b.isTensor()) {
    const bool noA = a.isNone() || (a.isTensor() && !a.toTensor().defined());
    const bool noB = b.isNone() || (b.isTensor() && !b.toTensor().defined());
    return noA && noB;
  }
  if (a.isNone() || b.isNone()) return a.isNone() && b.isNone();
  return a.tagKind() == b.tagKind() && a == b;
}

bool writesArguments(const c10::FunctionSchema& schema) {
  return std::any_of(schema.arguments().begin(), schema.arguments().end(), [](const c10::Argument& argument) {
    return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
  });
}

std::optional<WrittenCall> writtenCall(const std::vector<const Instruction*>& steps, const Program& program) {
  const c10::FunctionSchema* schema = targetOf(*steps[0], program);
  if (schema == nullptr || schema->name().find("::") == std::string::npos) return std::nullopt;
  WrittenCall call{.target = pythonName(*schema),
                   .name = schema->name().substr(schema->name().find("::") + 2),
                   .arguments = {}};
  for (const c10::Argument& argument : schema->arguments()) {
    WrittenCall::Argument made{argument.name(), argument.real_type(), argument.kwarg_only(), {}};
    for (const Instruction* step : steps) {
      const ValueTree* value = argumentOf(*step, argument.name());
      if (value == nullptr) break;
      made.values.push_back(value);
    }
    const bool missing = made.values.empty();
    if (missing && !argument.default_value()) return std::nullopt;
    if (!missing && argument.kwarg_only() && isDefault(argument, made.values)) made.values.clear();
    call.arguments.push_back(std::move(made));
  }
  // Positional ones are left out from the end.
  auto& arguments = call.arguments;
  for (size_t i = arguments.size(); i > 0; --i) {
    const c10::Argument& argument = schema->arguments()[i - 1];
    if (argument.kwarg_only()) continue;
    if (!arguments[i - 1].values.empty() && !isDefault(argument, arguments[i - 1].values)) break;
    arguments[i - 1].values.clear();
  }
  // Whatever comes after one that is left out has to be named.
  bool gap = false;
  for (auto& argument : arguments) {
    gap = gap || (argument.values.empty() && !argument.keyword);
    argument.keyword = argument.keyword || gap;
  }
  std::erase_if(arguments, [](const WrittenCall::Argument& argument) { return argument.values.empty(); });
  return call;
}

}  // namespace torchsearch::exported
