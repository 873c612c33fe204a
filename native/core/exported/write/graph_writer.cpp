#include "core/exported/write/graph_writer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "core/exported/write/fake_quantize_nodes.h"
#include "core/exported/write/node_sink.h"
#include "core/exported/write/written_call.h"
#include "core/graph/module_paths.h"

namespace torchsearch::exported {

using c10::IValue;

namespace {

bool holds(const Json& origin, const char* key, const std::string& name) {
  if (!origin.is_object()) return false;
  const Json list = origin.value(key, Json::array());
  return std::find(list.begin(), list.end(), Json(name)) != list.end();
}

bool hasSlots(const Instruction& step) {
  bool any = false;
  for (const ValueTree& argument : step.arguments) forEachSlot(argument, [&](SlotId) { any = true; });
  return any;
}

// The same place in the trees of each point.
std::vector<const ValueTree*> childrenAt(const std::vector<const ValueTree*>& trees, size_t index) {
  std::vector<const ValueTree*> children;
  for (const ValueTree* tree : trees) children.push_back(&tree->children.at(index));
  return children;
}

Tree nestingOf(const ValueTree& value) {
  Tree tree;
  if (value.kind == ValueTree::Kind::kConstant) return treeOf(value.constant);
  if (value.isSlot()) return tree;
  tree.kind = value.kind == ValueTree::Kind::kList    ? Tree::Kind::kList
              : value.kind == ValueTree::Kind::kTuple ? Tree::Kind::kTuple
                                                      : Tree::Kind::kDict;
  if (tree.kind == Tree::Kind::kDict) {
    for (const IValue& key : value.constant.toListRef()) {
      if (!key.isString()) refuseWriting("an output with keys that are no texts", "Save it as TorchScript.");
      tree.keys.push_back(key.toStringRef());
    }
  }
  for (const ValueTree& child : value.children) tree.children.push_back(nestingOf(child));
  return tree;
}

}  // namespace

GraphWriter::GraphWriter(const torch::jit::Module& module, const ShapeProbes& probes,
                         const InputWriter& inputs, const Json& origin, WrittenNames& names)
    : module_(module),
      probes_(probes),
      program_(*probes.programs().at(0)),
      inputs_(inputs),
      origin_(origin),
      names_(names),
      stacks_(module, origin),
      numbers_(probes, inputs.tensorNames(), names),
      arguments_(slotNames_, numbers_) {}

Json GraphWriter::write() {
  computeConstants();
  findLive();
  placeTensors();
  placeConstants();
  nameInputs();
  for (size_t i = 0; i < live_.size(); ++i) {
    if (live_[i]) addNode(i);
  }
  addAssignments();
  addOutputs();
  Json inputs = Json::array();
  for (const StoredValue& value : stored_) inputs.push_back({{"as_tensor", {{"name", value.name}}}});
  for (const auto& leaf : inputs_.leaves()) {
    ValueTree tree;
    tree.constant = leaf.value;
    inputs.push_back(leaf.tensor ? Json{{"as_tensor", {{"name", leaf.name}}}}
                                 : arguments_.write({&tree}, c10::AnyType::get(), "an input"));
  }
  Json nodes = numbers_.nodes();
  for (Json& node : nodes) node["metadata"]["nn_module_stack"] = stacks_.at("");
  nodes.insert(nodes.end(), nodes_.begin(), nodes_.end());
  return {{"inputs", std::move(inputs)},         {"outputs", outputs_},
          {"nodes", std::move(nodes)},           {"tensor_values", tensorValues_},
          {"sym_int_values", numbers_.values()}, {"sym_bool_values", Json::object()},
          {"is_single_tensor_return", false},    {"custom_obj_values", Json::object()},
          {"sym_float_values", Json::object()}};
}

GraphWriter::Steps GraphWriter::stepsOf(size_t instruction) const {
  Steps steps;
  for (const auto& program : probes_.programs()) steps.push_back(&program->instructions.at(instruction));
  return steps;
}

// What TorchScript alone can make, such as a tensor of numbers, becomes a constant.
void GraphWriter::computeConstants() {
  for (size_t i = 0; i < program_.instructions.size(); ++i) {
    const Steps steps = stepsOf(i);
    if (hasSlots(*steps[0]) || writtenCall(steps, program_) || steps[0]->results.size() != 1 ||
        !steps[0]->results[0].isSlot()) {
      continue;
    }
    std::vector<at::Tensor> made;
    for (const Instruction* step : steps) {
      torch::jit::Stack stack;
      for (const ValueTree& argument : step->arguments) stack.push_back(argument.constant);
      torch::jit::Operation run = step->operation;
      run(stack);
      made.push_back(stack.at(0).toTensor());
    }
    const bool same = std::all_of(made.begin(), made.end(), [&](const at::Tensor& tensor) {
      return tensor.sizes() == made[0].sizes() && at::equal(tensor, made[0]);
    });
    if (same) constants_[steps[0]->results[0].slot] = made[0];
  }
}

void GraphWriter::findLive() {
  const auto use = [&](const ValueTree& tree) {
    forEachSlot(tree, [&](SlotId slot) { used_.insert(slot); });
  };
  use(program_.output);
  for (const Assignment& assignment : program_.assignments) use(assignment.value);
  live_.assign(program_.instructions.size(), false);
  for (size_t i = live_.size(); i > 0; --i) {
    const Instruction& step = program_.instructions[i - 1];
    bool wanted = hasSlots(step) && writesArguments(*step.schema);
    for (const ValueTree& result : step.results) {
      forEachSlot(result, [&](SlotId slot) {
        wanted = wanted || (used_.count(slot) > 0 && constants_.count(slot) == 0);
      });
    }
    live_[i - 1] = wanted;
    if (wanted) std::for_each(step.arguments.begin(), step.arguments.end(), use);
  }
}

void GraphWriter::addStored(StoredValue::Kind kind, const std::string& path, const at::Tensor& tensor) {
  const char* prefix = kind == StoredValue::Kind::kParameter ? "p_"
                       : kind == StoredValue::Kind::kBuffer  ? "b_"
                                                             : "c_";
  if (!tensor.device().is_cpu() || tensor.layout() != at::kStrided || tensor.is_quantized()) {
    refuseWriting("the tensor \"" + path + "\", which is not a plain one on the CPU",
                  "Move the model to the CPU with module.to(\"cpu\") first.");
  }
  StoredValue value{kind, path, names_.unique(prefix + path), tensor.detach(), true};
  value.persistent = kind != StoredValue::Kind::kBuffer || !holds(origin_, "unsaved", path);
  const bool trained = kind == StoredValue::Kind::kParameter && tensor.requires_grad();
  tensorValues_[value.name] = tensorMeta(value.tensor, trained);
  stored_.push_back(std::move(value));
}

void GraphWriter::placeTensors() {
  for (const auto& item : module_.named_parameters())
    addStored(StoredValue::Kind::kParameter, item.name, item.value);
  for (const auto& item : module_.named_buffers()) {
    if (!holds(origin_, "constants", item.name)) addStored(StoredValue::Kind::kBuffer, item.name, item.value);
  }
  for (const auto& item : module_.named_buffers()) {
    if (holds(origin_, "constants", item.name))
      addStored(StoredValue::Kind::kConstant, item.name, item.value);
  }
  for (size_t slot = 0; slot < program_.slots.size(); ++slot) {
    for (const StoredValue& value : stored_) {
      if (program_.slots[slot].isStored() && program_.slots[slot].name == value.path)
        slotNames_[static_cast<SlotId>(slot)] = value.name;
    }
  }
}

void GraphWriter::placeConstants() {
  for (const SlotId slot : used_) {
    const Slot& own = program_.slots[slot];
    if (own.kind == Slot::Kind::kConstant && constants_.count(slot) == 0) {
      for (const auto& program : probes_.programs()) {
        const at::Tensor& other = program->slots[slot].constant;
        if (!other.is_same(own.constant) &&
            !(other.sizes() == own.constant.sizes() && at::equal(other, own.constant))) {
          refuseWriting("a constant tensor that follows from the inputs' sizes", "Save it as TorchScript.");
        }
      }
      constants_[slot] = own.constant;
    }
    if (constants_.count(slot) == 0) continue;
    std::string path;
    int number = 0;
    do {
      path = "lifted_tensor_" + std::to_string(number++);
    } while (std::any_of(stored_.begin(), stored_.end(),
                         [&](const StoredValue& value) { return value.path == path; }));
    addStored(StoredValue::Kind::kConstant, path, constants_[slot]);
    slotNames_[slot] = stored_.back().name;
  }
}

void GraphWriter::nameInputs() {
  for (const auto& leaf : inputs_.leaves()) {
    if (!leaf.tensor) continue;
    const SlotId slot = program_.inputs.at(*leaf.tensor);
    slotNames_[slot] = leaf.name;
    tensorValues_[leaf.name] = metaOf(slot, false);
  }
}

Json GraphWriter::metaOf(SlotId slot, bool requiresGrad) const {
  const Slot& own = program_.slots[slot];
  const std::string what = "a size of what '" + own.name + "' gives";
  const auto each = [&](const auto& numbersOf, size_t count) {
    Json all = Json::array();
    for (size_t d = 0; d < count; ++d) {
      std::vector<int64_t> values;
      for (const auto& program : probes_.programs()) values.push_back(numbersOf(program->slots[slot])[d]);
      all.push_back(numbers_.expression(values, what));
    }
    return all;
  };
  if (own.strides.size() != own.sizes.size())
    refuseWriting("a tensor that is not strided", "Save it as TorchScript.");
  Json sizes = each([](const Slot& one) { return one.sizes; }, own.sizes.size());
  Json strides = each([](const Slot& one) { return one.strides; }, own.sizes.size());
  return tensorMeta(own.dtype, std::move(sizes), std::move(strides), requiresGrad);
}

std::string GraphWriter::nameResult(SlotId slot, const std::string& base) {
  const std::string name = names_.unique(base);
  slotNames_[slot] = name;
  tensorValues_[name] = metaOf(slot, false);
  return name;
}

Json GraphWriter::addResults(const Instruction& step, const std::string& base) {
  Json outputs = Json::array();
  for (const ValueTree& result : step.results) {
    if (result.isSlot()) {
      outputs.push_back({{"as_tensor", {{"name", nameResult(result.slot, base)}}}});
    } else if (result.kind == ValueTree::Kind::kList) {
      Json items = Json::array();
      for (const ValueTree& child : result.children)
        items.push_back({{"name", nameResult(child.slot, base)}});
      outputs.push_back({{"as_tensors", std::move(items)}});
    } else {
      outputs.push_back({{"as_none", true}});
    }
  }
  return outputs;
}

void GraphWriter::addNode(size_t instruction) {
  const Steps steps = stepsOf(instruction);
  if (isFakeQuantize(*steps[0])) {
    const SlotId result = steps[0]->results.at(0).slot;
    NodeSink sink(nodes_, tensorValues_, names_, stacks_.at(steps[0]->scope));
    slotNames_[result] = addFakeQuantize(*steps[0], program_, slotNames_, metaOf(result, false), sink);
    return;
  }
  const auto call = writtenCall(steps, program_);
  const std::string own = steps[0]->schema->name();
  if (!call) {
    refuseWriting("the operator '" + own + "', which is TorchScript's own",
                  "Write that part of the model with PyTorch's operators, or save it as TorchScript.");
  }
  Json inputs = Json::array();
  for (const auto& argument : call->arguments) {
    const std::string what = "the argument '" + argument.name + "' of '" + own + "'";
    inputs.push_back({{"name", argument.name},
                      {"arg", arguments_.write(argument.values, argument.type, what)},
                      {"kind", argument.keyword ? 2 : 1}});
  }
  Json outputs = addResults(*steps[0], call->name);
  const bool single = outputs.size() == 1 && outputs[0].contains("as_tensor");
  const std::string name =
      single ? outputs[0]["as_tensor"]["name"].get<std::string>() : names_.unique(call->name);
  nodes_.push_back({{"target", call->target},
                    {"inputs", std::move(inputs)},
                    {"outputs", std::move(outputs)},
                    {"metadata", {{"nn_module_stack", stacks_.at(steps[0]->scope)}}},
                    {"is_hop_single_tensor_return", nullptr},
                    {"name", name}});
}

// A buffer that gets another tensor gets that one's values instead.
void GraphWriter::addAssignments() {
  const ModulePaths paths(program_.graph->graph());
  std::map<std::string, SlotId> last;
  for (const Assignment& assignment : program_.assignments) {
    const auto path = paths.attributeOf(assignment.node);
    if (!path || !assignment.value.isSlot()) {
      refuseWriting("an attribute that its forward changes ('" + path.value_or("") + "')",
                    "Make it a buffer, or save it as TorchScript.");
    }
    last[*path] = assignment.value.slot;
  }
  for (const auto& [path, slot] : last) {
    const auto buffer = std::find_if(stored_.begin(), stored_.end(), [&, p = path](const StoredValue& value) {
      return value.path == p && value.kind == StoredValue::Kind::kBuffer;
    });
    if (buffer == stored_.end() || buffer->tensor.sizes().vec() != program_.slots[slot].sizes ||
        buffer->tensor.scalar_type() != program_.slots[slot].dtype) {
      refuseWriting("an attribute that its forward changes ('" + path + "')",
                    "Make it a buffer of one size, or save it as TorchScript.");
    }
    NodeSink(nodes_, tensorValues_, names_, stacks_.at(""))
        .add("copy_.default",
             {{"self", tensorOperand(buffer->name)}, {"src", {{"as_tensor", arguments_.tensor(slot)}}}},
             Json(tensorValues_[buffer->name]));
  }
}

void GraphWriter::addOutputs() {
  std::vector<const ValueTree*> outputs;
  for (const auto& program : probes_.programs()) outputs.push_back(&program->output);
  const Tree tree = nestingOf(program_.output);
  addOutput(outputs);
  const Json* given = findField(origin_, "out_spec");
  const bool fits = given != nullptr && countLeaves(parseTree(textOf(*given))) == outputs_.size();
  outputTree_ = fits ? textOf(*given) : writeTree(tree);
}

void GraphWriter::addOutput(const std::vector<const ValueTree*>& values) {
  const ValueTree& first = *values[0];
  if (!first.isSlot() && first.kind != ValueTree::Kind::kConstant) {
    for (size_t i = 0; i < first.children.size(); ++i) addOutput(childrenAt(values, i));
    return;
  }
  // A list of numbers is one value to a recording.
  if (first.constant.isList() || first.constant.isTuple()) {
    const auto itemsOf = [](const IValue& value) {
      return value.isTuple() ? value.toTupleRef().elements().vec() : value.toListRef().vec();
    };
    for (size_t i = 0; i < itemsOf(first.constant).size(); ++i) {
      std::deque<ValueTree> items;
      std::vector<const ValueTree*> pointers;
      for (const ValueTree* value : values) {
        items.emplace_back().constant = itemsOf(value->constant).at(i);
        pointers.push_back(&items.back());
      }
      addOutput(pointers);
    }
    return;
  }
  Json argument = arguments_.write(values, c10::AnyType::get(), "an output");
  outputs_.push_back(argument);
  outputSpecs_.push_back({{"user_output", {{"arg", std::move(argument)}}}});
}

}  // namespace torchsearch::exported
