#include "core/exported/exported_program.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/call/input_contract.h"
#include "core/call/size_guards.h"
#include "core/exported/input_tree.h"
#include "core/exported/node_builder.h"
#include "core/exported/scalar_types.h"
#include "core/exported/stored_tensors.h"
#include "core/exported/write/program_origin.h"

namespace torchsearch {

using torch::jit::Module;
using torch::jit::Value;

namespace exported {
namespace {

constexpr std::string_view kCounter = "num_batches_tracked";

Json readProgram(const ExportedArchive& archive, const std::string& model) {
  Json program = parseJson(archive.text("models/" + model + ".json"), "the program");
  const int64_t major = intOf(field(field(program, "schema_version"), "major"));
  if (major != kSchemaMajor) {
    const Json* version = findField(program, "torch_version");
    refuseFeature(
        "the schema version " + std::to_string(major) +
            (version != nullptr && version->is_string() ? " (PyTorch " + textOf(*version) + ")" : "") +
            ", and this reader knows version " + std::to_string(kSchemaMajor),
        "export the model with a PyTorch that writes it (2.9 to 2.14), or update torchsearch.");
  }
  return program;
}

const Json& rootSignature(const Json& graphModule) {
  for (const Json& call : arrayOf(field(graphModule, "module_call_graph"))) {
    if (textOf(field(call, "fqn")).empty()) return field(call, "signature");
  }
  refuseProgram("it does not say how its inputs are nested");
}

class ProgramReader {
 public:
  ProgramReader(const ExportedArchive& archive, const std::string& model, std::optional<c10::Device> device)
      : program_(readProgram(archive, model)),
        graphModule_(field(program_, "graph_module")),
        specs_(field(graphModule_, "signature")),
        tensors_(archive, model),
        context_{*graph_} {
    findDevices(device);
  }

  Module read() {
    placeTensors();
    ModeFlags flags;
    findModeFlags(field(graphModule_, "graph"), flags);
    context_.trained = flags.on;
    addTrainingAttribute(module_, flags.on);
    self_ = graph_->addInput("self")->setType(module_.type());
    modules_[""] = self_;
    if (flags.any) context_.training = graph_->insertGetAttr(self_, "training");
    findTruths();
    nameTensors();
    const std::vector<c10::Argument> arguments = addInputs();
    NodeBuilder(context_).add(field(graphModule_, "graph"), names_);
    addOutputs();
    torch::jit::EliminateDeadCode(graph_);
    graph_->lint();
    tensors_.fill();
    auto* forward = unit_->create_function(c10::QualifiedName(*module_.type()->name(), "forward"), graph_);
    forward->setSchema(
        c10::FunctionSchema("forward", "", arguments, {c10::Argument("", graph_->outputs()[0]->type())}));
    module_.type()->addMethod(forward);
    return module_;
  }

 private:
  static void addTrainingAttribute(const Module& module, bool on) {
    module.type()->addAttribute("training", c10::BoolType::get());
    module._ivalue()->setAttr("training", on);
  }

  void findDevices(std::optional<c10::Device> device) {
    for (const auto& [name, meta] : objectOf(field(field(graphModule_, "graph"), "tensor_values")).items()) {
      const std::string& type = textOf(field(field(meta, "device"), "type"));
      try {
        const c10::Device found(type);
        if (!found.is_cpu()) context_.exportedOn = found.type();
      } catch (const c10::Error&) {
        refuseProgram("a device does not exist");
      }
    }
    context_.device = device.value_or(c10::kCPU);
  }

  // Takes the tensors into the module, under their names.
  void placeTensors() {
    for (const Json& spec : arrayOf(field(specs_, "input_specs"))) {
      const auto [kind, value] = memberOf(spec);
      if (kind == "parameter") {
        const std::string& name = textOf(field(value, "parameter_name"));
        place(name, tensors_.weight(name), true);
      } else if (kind == "buffer") {
        const std::string& name = textOf(field(value, "buffer_name"));
        place(name, boolOf(field(value, "persistent")) ? tensors_.weight(name) : tensors_.constant(name),
              false);
      } else if (kind == "tensor_constant") {
        const std::string& name = textOf(field(value, "tensor_constant_name"));
        place(name, tensors_.constant(name), false);
      } else if (kind == "token") {
        refuseFeature("effect tokens (operators with side effects)", "export a model without them.");
      } else if (kind == "custom_obj") {
        refuseFeature("an object of a custom class (torchbind)", "export a model that holds tensors only.");
      } else if (kind != "user_input" && kind != "constant_input") {
        refuseFeature("an input of the kind \"" + kind + "\"", "export it for inference or training only.");
      }
    }
  }

  void place(const std::string& name, const at::Tensor& tensor, bool parameter) {
    std::vector<std::string> parts = partsOf(name);
    const std::string leaf = std::move(parts.back());
    parts.pop_back();
    Module module = module_;
    for (const std::string& part : parts) module = child(module, part);
    if (module.hasattr(leaf)) refuseProgram("two tensors have the name \"" + name + "\"");
    if (parameter) {
      module.register_parameter(leaf, tensor, /*is_buffer=*/false);
    } else {
      module.register_buffer(leaf, tensor);
    }
  }

  Module child(Module& module, const std::string& name) {
    if (module.hasattr(name)) {
      const c10::IValue held = module.attr(name);
      if (!held.isModule()) refuseProgram("\"" + name + "\" is a tensor and a module");
      return held.toModule();
    }
    Module made(c10::QualifiedName("__torch__.exported.Module"), unit_, /*shouldMangle=*/true);
    addTrainingAttribute(made, false);
    module.register_module(name, made);
    return made;
  }

  Value* fetch(const std::string& name) {
    std::string path;
    Value* value = self_;
    std::vector<std::string> parts = partsOf(name);
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      path += "." + parts[i];
      Value*& module = modules_[path];
      if (module == nullptr) module = graph_->insertGetAttr(value, parts[i]);
      value = module;
    }
    return graph_->insertGetAttr(value, parts.back());
  }

  void findTruths() {
    for (const auto& [name, meta] : field(field(graphModule_, "graph"), "tensor_values").items()) {
      if (scalarTypeOf(intOf(field(meta, "dtype"))) == at::kBool) context_.truths.insert(name);
    }
  }

  void nameTensors() {
    for (const Json& spec : field(specs_, "input_specs")) {
      const auto [kind, value] = memberOf(spec);
      const char* key = kind == "parameter" ? "parameter_name"
                        : kind == "buffer"  ? "buffer_name"
                                            : "tensor_constant_name";
      if (kind == "user_input" || kind == "constant_input") {
        leaves_.push_back(&spec);
        continue;
      }
      const std::string& path = textOf(field(value, key));
      const std::string& name = textOf(field(field(value, "arg"), "name"));
      names_.set(name, fetch(path));
      if (kind == "buffer" && (path == kCounter || path.ends_with("." + std::string(kCounter))))
        context_.batchCounters.insert(name);
    }
  }

  // Arguments of `forward`, in order; those that were given by name come last.
  std::vector<c10::Argument> addInputs() {
    const Json& signature = rootSignature(graphModule_);
    const Tree tree = parseTree(textOf(field(signature, "in_spec")));
    const bool sound = tree.children.size() == 2 && tree.children[0].kind != Tree::Kind::kLeaf &&
                       (tree.children[1].kind == Tree::Kind::kDict || tree.children[1].children.empty());
    if (!sound) refuseProgram("its inputs are not positional and keyword arguments");
    const Json* given = findField(signature, "forward_arg_names");
    std::vector<std::string> names;
    const size_t positional = tree.children[0].children.size();
    for (size_t i = 0; i < positional; ++i) {
      const bool named = given != nullptr && given->is_array() && i < given->size();
      names.push_back(named ? textOf((*given)[i]) : "");
    }
    names.insert(names.end(), tree.children[1].keys.begin(), tree.children[1].keys.end());
    InputTree inputs(context_, program_, leaves_);
    std::vector<c10::Argument> arguments{c10::Argument("self", module_.type())};
    std::vector<c10::IValue> contracts;
    std::vector<std::pair<Value*, const Tree*>> values;
    std::set<std::string> taken{"self"};
    for (const Tree& part : tree.children) {
      for (const Tree& argument : part.children) {
        InputTree::Argument described = inputs.describe(argument);
        const std::string name = argumentName(names[values.size()], values.size(), taken);
        values.emplace_back(graph_->addInput(name)->setType(described.type), &argument);
        arguments.emplace_back(name, described.type, std::nullopt, described.constant);
        contracts.push_back(std::move(described.contract));
      }
    }
    requireDefaultsLast(arguments);
    for (const auto& [value, argument] : values) inputs.unpack(value, *argument, names_);
    const c10::IValue contract = c10::ivalue::Tuple::create(std::move(contracts));
    module_.register_attribute(kInputContract, contract.type(), contract);
    addGuards();
    const c10::IValue origin = originOf(program_, inputs.symbols());
    module_.register_attribute(kProgramOrigin, origin.type(), origin);
    return arguments;
  }

  // PyTorch writes some of them several times.
  void addGuards() {
    c10::List<std::string> guards;
    std::set<std::string> known;
    const Json* given = findField(program_, "guards_code");
    if (given == nullptr || given->is_null()) return;
    for (const Json& guard : arrayOf(*given)) {
      if (known.insert(textOf(guard)).second) guards.push_back(textOf(guard));
    }
    if (guards.empty()) return;
    const c10::IValue value(guards);
    module_.register_attribute(kSizeGuards, value.type(), value);
  }

  static std::string argumentName(const std::string& given, size_t index, std::set<std::string>& taken) {
    const auto isWord = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    const bool sound = !given.empty() && std::isdigit(static_cast<unsigned char>(given[0])) == 0 &&
                       std::all_of(given.begin(), given.end(), isWord) && taken.count(given) == 0;
    std::string name = sound ? given : "arg" + std::to_string(index);
    while (!taken.insert(name).second) name += "_";
    return name;
  }

  // An argument after a constant one may be left out no more than Python lets it be: then none has a default.
  static void requireDefaultsLast(std::vector<c10::Argument>& arguments) {
    bool last = true;
    for (size_t i = arguments.size(); i > 1; --i) {
      const c10::Argument& argument = arguments[i - 1];
      last = last && argument.default_value().has_value();
      if (!last && argument.default_value())
        arguments[i - 1] = c10::Argument(argument.name(), argument.type());
    }
  }

  void addOutputs() {
    const ArgumentBuilder arguments(context_, names_);
    std::vector<Value*> leaves;
    for (const Json& spec : arrayOf(field(specs_, "output_specs"))) {
      const auto [kind, value] = memberOf(spec);
      if (kind == "user_output") {
        leaves.push_back(arguments.make(field(value, "arg"), c10::AnyType::get()));
      } else if (kind == "buffer_mutation") {
        mutate(fetch(textOf(field(value, "buffer_name"))), value);
      } else if (kind == "parameter_mutation") {
        mutate(fetch(textOf(field(value, "parameter_name"))), value);
      } else if (kind == "user_input_mutation") {
        mutate(names_.get(textOf(field(value, "user_input_name"))), value);
      } else {
        refuseFeature("an output of the kind \"" + kind + "\"", "export the model's forward alone.");
      }
    }
    graph_->registerOutput(
        packOutputs(context_, parseTree(textOf(field(rootSignature(graphModule_), "out_spec"))), leaves));
  }

  void mutate(Value* target, const Json& spec) {
    graph_->insert(torch::jit::aten::copy_, {target, names_.get(textOf(field(field(spec, "arg"), "name")))});
  }

  const Json program_;
  const Json& graphModule_;
  const Json& specs_;
  StoredTensors tensors_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_ = std::make_shared<torch::jit::CompilationUnit>();
  Module module_{"__torch__.exported.Program", unit_, /*shouldMangle=*/false};
  std::shared_ptr<torch::jit::Graph> graph_ = std::make_shared<torch::jit::Graph>();
  GraphContext context_;
  Names names_;
  Value* self_ = nullptr;
  std::map<std::string, Value*> modules_;
  std::vector<const Json*> leaves_;
};

}  // namespace
}  // namespace exported

std::string chosenProgram(const ExportedArchive& archive, const std::optional<std::string>& model) {
  const std::vector<std::string> models = archive.models();
  if (!model && models.size() == 1) return models[0];
  if (model && std::find(models.begin(), models.end(), *model) != models.end()) return *model;
  std::string list;
  for (const std::string& name : models) list += (list.empty() ? "\"" : ", \"") + name + "\"";
  throw Error(
      "ERR_MODEL_NAME",
      (model ? "The file has no program named \"" + *model + "\"; it has " : "The file has the programs ") +
          list + ". Choose one of them with Module.load's option `model`, or --model.");
}

Module readExportedProgram(const ExportedArchive& archive, const std::optional<std::string>& model,
                           const std::optional<c10::Device>& device) {
  Module module = exported::ProgramReader(archive, chosenProgram(archive, model), device).read();
  if (device && !device->is_cpu()) module.to(*device);
  return module;
}

}  // namespace torchsearch
