#include "core/exported/write/program_writer.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/version.h>

#include <algorithm>

#include "core/call/size_guards.h"
#include "core/exported/exported_archive.h"
#include "core/exported/write/graph_writer.h"
#include "core/exported/write/program_origin.h"
#include "core/exported/write/sample_pickle.h"

namespace torchsearch {
namespace exported {
namespace {

constexpr const char* kModel = "model";
constexpr uint64_t kFileVersion = 6;
// What PyTorch 2.13 writes.
constexpr int64_t kSchemaMinor = 20;
constexpr int64_t kOpset = 10;

Json inputSpecs(const GraphWriter& graph, const InputWriter& inputs, const Json& graphInputs) {
  Json specs = Json::array();
  for (const StoredValue& value : graph.stored()) {
    const Json argument = {{"name", value.name}};
    if (value.kind == StoredValue::Kind::kParameter) {
      specs.push_back({{"parameter", {{"arg", argument}, {"parameter_name", value.path}}}});
    } else if (value.kind == StoredValue::Kind::kBuffer) {
      specs.push_back(
          {{"buffer", {{"arg", argument}, {"buffer_name", value.path}, {"persistent", value.persistent}}}});
    } else {
      specs.push_back({{"tensor_constant", {{"arg", argument}, {"tensor_constant_name", value.path}}}});
    }
  }
  const size_t stored = graph.stored().size();
  for (size_t i = 0; i < inputs.leaves().size(); ++i) {
    const auto& leaf = inputs.leaves()[i];
    const Json& argument = graphInputs.at(stored + i);
    if (leaf.tensor) {
      specs.push_back({{"user_input", {{"arg", argument}}}});
    } else {
      specs.push_back({{"constant_input", {{"name", leaf.name}, {"value", argument}}}});
    }
  }
  return specs;
}

Json callGraph(const ModuleStacks& stacks, const GraphWriter& graph, const InputWriter& inputs) {
  Json calls = Json::array({{{"fqn", ""},
                             {"signature",
                              {{"inputs", Json::array()},
                               {"outputs", Json::array()},
                               {"in_spec", inputs.treeText()},
                               {"out_spec", graph.outputTree()},
                               {"forward_arg_names", inputs.argumentNames()}}}}});
  for (const auto& [path, name] : stacks.classes()) calls.push_back({{"fqn", path}, {"signature", nullptr}});
  return calls;
}

// Tensors of one memory, such as tied weights, are one record.
class Records {
 public:
  Records(const char* folder, const char* stem) : folder_(folder), stem_(stem) {}

  void add(const StoredValue& value, WrittenProgram& program) {
    const auto known = std::find_if(seen_.begin(), seen_.end(), [&](const auto& item) {
      const at::Tensor& other = item.first;
      return other.numel() > 0 && other.const_data_ptr() == value.tensor.const_data_ptr() &&
             other.sizes() == value.tensor.sizes() && other.strides() == value.tensor.strides() &&
             other.scalar_type() == value.tensor.scalar_type();
    });
    std::string name = stem_ + std::to_string(seen_.size());
    if (known != seen_.end()) {
      name = known->second;
    } else {
      program.tensors.emplace_back(folder_ + name, value.tensor.contiguous());
      seen_.emplace_back(value.tensor, name);
    }
    const bool parameter = value.kind == StoredValue::Kind::kParameter;
    config_[value.path] = {{"path_name", name},
                           {"is_param", parameter},
                           {"use_pickle", false},
                           {"tensor_meta", tensorMeta(value.tensor, parameter && trained(value))}};
  }

  void finish(const char* suffix, WrittenProgram& program) const {
    program.texts.emplace_back(folder_ + kModel + suffix, Json{{"config", config_}}.dump());
  }

  void setTrained(const Json& tensorValues) { tensorValues_ = &tensorValues; }

 private:
  bool trained(const StoredValue& value) const {
    return (*tensorValues_)[value.name]["requires_grad"].get<bool>();
  }

  std::string folder_;
  std::string stem_;
  std::vector<std::pair<at::Tensor, std::string>> seen_;
  Json config_ = Json::object();
  const Json* tensorValues_ = nullptr;
};

void addRecords(const std::vector<StoredValue>& stored, const Json& tensorValues, WrittenProgram& program) {
  Records weights("data/weights/", "weight_");
  Records constants("data/constants/", "tensor_");
  weights.setTrained(tensorValues);
  constants.setTrained(tensorValues);
  for (const StoredValue& value : stored) (value.isWeight() ? weights : constants).add(value, program);
  weights.finish("_weights_config.json", program);
  constants.finish("_constants_config.json", program);
}

// Not those of sizes that are lines of symbols, which Python's own programs have too: PyTorch 2.13 decomposes
// no program that has one. `guards_code` says what Python has to know of them.
Json rangesOf(const ShapeProbes& probes) {
  Json ranges = Json::object();
  for (const InputSymbol& symbol : probes.symbols()) ranges[symbol.name] = symbol.range;
  return ranges;
}

Json guardsOf(const torch::jit::Module& module) {
  Json guards = Json::array();
  const auto slot = module.type()->findAttributeSlot(kSizeGuards);
  if (!slot || !module._ivalue()->getSlot(*slot).isList()) return guards;
  for (const c10::IValue& guard : module._ivalue()->getSlot(*slot).toListRef()) {
    if (guard.isString()) guards.push_back(guard.toStringRef());
  }
  return guards;
}

}  // namespace
}  // namespace exported

WrittenProgram writeProgram(const torch::jit::Module& module, const Inputs& example,
                            const std::map<std::string, std::string>& extraFiles, const CancelToken& cancel) {
  using namespace exported;
  const Json origin = findOrigin(module);
  // Fused kernels of attention have no gradients in Python, and no converters.
  const ShapeProbes probes(InlinedGraph::copyOf(module, InlinedGraph::FusedAttention::kAvoid), example,
                           origin, cancel);
  WrittenNames names;
  const InputWriter inputs(probes, module, example, origin, names);
  GraphWriter graph(module, probes, inputs, origin, names);
  Json graphJson = graph.write();
  WrittenProgram written;
  addRecords(graph.stored(), graphJson["tensor_values"], written);
  Json specs = inputSpecs(graph, inputs, graphJson["inputs"]);
  const Json program = {
      {"graph_module",
       {{"graph", std::move(graphJson)},
        {"signature", {{"input_specs", std::move(specs)}, {"output_specs", graph.outputSpecs()}}},
        {"module_call_graph", callGraph(ModuleStacks(module, origin), graph, inputs)},
        {"metadata", Json::object()},
        {"treespec_namedtuple_fields", Json::object()}}},
      {"opset_version", {{"aten", kOpset}}},
      {"range_constraints", rangesOf(probes)},
      {"schema_version", {{"major", kSchemaMajor}, {"minor", kSchemaMinor}}},
      {"verifiers", {"TRAINING"}},
      {"torch_version", TORCH_VERSION},
      {"guards_code", guardsOf(module)}};
  written.texts.emplace_back(std::string("models/") + kModel + ".json", program.dump());
  written.texts.emplace_back(std::string("data/sample_inputs/") + kModel + ".pt",
                             pickleSamples(inputs.samples()));
  for (const auto& [name, text] : extraFiles) written.texts.emplace_back("extra/" + name, text);
  written.texts.emplace_back("archive_format", "pt2");
  written.texts.emplace_back("archive_version", "0");
  written.texts.emplace_back("byteorder", "little");
  for (const auto& point : probes.points()) written.trials.push_back(probes.argumentsAt(point));
  if (const auto point = probes.unseenPoint()) written.trials.push_back(probes.argumentsAt(*point));
  return written;
}

void writeArchive(const WrittenProgram& program, const std::function<size_t(const void*, size_t)>& write) {
  caffe2::serialize::PyTorchStreamWriter writer(write);
  writer.setMinVersion(exported::kFileVersion);
  for (const auto& [name, tensor] : program.tensors)
    writer.writeRecord(name, tensor.const_data_ptr(), tensor.nbytes());
  for (const auto& [name, text] : program.texts) writer.writeRecord(name, text.data(), text.size());
  writer.writeEndOfFile();
}

}  // namespace torchsearch
