#include "core/space/recipe.h"

#include <ATen/ATen.h>

#include <set>
#include <tuple>
#include <utility>

#include "core/base/error.h"
#include "core/graph/argument_override.h"
#include "core/graph/scope_path.h"
#include "core/graph/size_arguments.h"
#include "core/graph/source_place.h"

namespace torchsearch {

namespace {

std::vector<int64_t> everyIndex(int64_t size) {
  std::vector<int64_t> all(size);
  for (int64_t i = 0; i < size; ++i) all[i] = i;
  return all;
}

// Indices of the dimension in the model as it was converted.
std::vector<int64_t> originalIndices(const Dependencies& dependencies, SlotId slot, int64_t dimension,
                                     const std::vector<int64_t>& widths, const ChannelOrder& order) {
  auto kept = dependencies.kept(slot, dimension, widths);
  if (order.empty()) return kept;
  const auto before = permutationOf(dependencies, dependencies.labels(slot, dimension), order);
  for (auto& index : kept) index = before[index];
  return kept;
}

// Numbers each list of indices as it comes first.
class IndexLists {
 public:
  size_t numberOf(std::vector<int64_t> indices) {
    const auto [found, added] = numbers_.emplace(std::move(indices), numbers_.size());
    if (added) order_.push_back(&found->first);
    return found->second;
  }
  std::vector<std::vector<int64_t>> all() const {
    std::vector<std::vector<int64_t>> lists;
    for (const auto* list : order_) lists.push_back(*list);
    return lists;
  }

 private:
  std::map<std::vector<int64_t>, size_t> numbers_;
  std::vector<const std::vector<int64_t>*> order_;
};

RecipeTensor describeTensor(const Dependencies& dependencies, SlotId slot, const at::Tensor& whole,
                            const at::Tensor& bound, const std::vector<int64_t>& widths,
                            const ChannelOrder& order, IndexLists& lists) {
  RecipeTensor result;
  result.name = dependencies.program().slots[slot].name;
  result.sizes = whole.sizes().vec();
  at::Tensor narrow = whole.detach();
  for (int64_t d = 0; d < whole.dim(); ++d) {
    if (dependencies.labels(slot, d).empty()) continue;
    const auto present = dependencies.kept(slot, d, widths);
    if (static_cast<int64_t>(present.size()) != whole.size(d)) {
      narrow = narrow.index_select(d, at::tensor(present, at::kLong).to(whole.device()));
    }
    auto original = originalIndices(dependencies, slot, d, widths, order);
    if (original != everyIndex(whole.size(d))) result.kept.emplace(d, lists.numberOf(std::move(original)));
  }
  result.ownValues = bound.sizes() != narrow.sizes() || !at::equal(bound.detach(), narrow);
  if (result.ownValues && bound.numel() <= kMostOwnValues) result.values = bound.detach().clone();
  return result;
}

std::vector<int64_t> integersOf(const c10::IValue& value) {
  if (value.isInt()) return {value.toInt()};
  if (value.isIntList()) return value.toIntVector();
  return {};
}

std::vector<RecipeNumber> describeNumbers(const Dependencies& dependencies,
                                          const std::vector<int64_t>& widths) {
  const Program& program = dependencies.program();
  std::vector<RecipeNumber> numbers;
  std::set<std::tuple<std::string, std::string, std::string, int64_t, int64_t>> known;
  for (const auto& item : sizeArguments(dependencies, widths)) {
    const Instruction& instruction = program.instructions[item.instruction];
    const ValueTree& argument = instruction.arguments[item.argument];
    if (argument.kind != ValueTree::Kind::kConstant) continue;
    const auto whole = integersOf(argument.constant);
    const auto narrow = integersOf(item.value);
    if (whole.size() != narrow.size() || whole == narrow) continue;
    const std::string module = scopePath(program, item.instruction);
    for (size_t i = 0; i < whole.size(); ++i) {
      if (whole[i] < 0 || whole[i] == narrow[i]) continue;
      RecipeNumber number{module,
                          instruction.schema->name(),
                          instruction.schema->arguments()[item.argument].name(),
                          whole[i],
                          narrow[i],
                          placeOf(instruction.node)};
      const auto key =
          std::make_tuple(number.module, number.operatorName, number.argument, number.whole, number.narrow);
      if (known.insert(key).second) numbers.push_back(std::move(number));
    }
  }
  return numbers;
}

at::Tensor patternLike(const at::Tensor& tensor) {
  const at::Tensor steps = at::arange(tensor.numel(), at::kLong).mul_(7919).remainder_(1000);
  return steps.to(at::kDouble).div_(1000).to(tensor.scalar_type()).view(tensor.sizes()).to(tensor.device());
}

c10::IValue patternLike(const c10::IValue& value) {
  if (value.isTuple()) {
    std::vector<c10::IValue> elements;
    for (const auto& element : value.toTupleRef().elements()) elements.push_back(patternLike(element));
    return c10::ivalue::Tuple::create(std::move(elements));
  }
  if (value.isList()) {
    const auto given = value.toList();
    auto list = c10::impl::GenericList(given.elementType());
    for (size_t i = 0; i < given.size(); ++i) list.push_back(patternLike(given.get(i)));
    return list;
  }
  if (value.isGenericDict()) {
    const auto given = value.toGenericDict();
    auto dict = c10::impl::GenericDict(given.keyType(), given.valueType());
    for (const auto& item : given) dict.insert(item.key(), patternLike(item.value()));
    return dict;
  }
  if (!value.isTensor()) return value;
  const at::Tensor& tensor = value.toTensor();
  const bool patterned = tensor.defined() && tensor.is_floating_point() && tensor.numel() > kLargestWritten;
  return patterned ? c10::IValue(patternLike(tensor)) : value;
}

}  // namespace

Recipe describeSubnet(const ConvertedModel& model, const Subnet& subnet, const Bindings& bindings,
                      const ChannelOrder& order) {
  const Program& program = *model.program;
  const Dependencies& dependencies = *model.dependencies;
  if (!subnet.custom.numbersFor(program).empty()) {
    throw Error(
        "ERR_RECIPE",
        "A recipe holds no numbers of the graph, and a hyperparameter of your own chose some: save the "
        "subnet as TorchScript or .pt2, or select the model's own numbers.");
  }
  const at::NoGradGuard noGrad;
  const auto whole = bindModule(program, model.module->jit()).values;
  const auto& blocks = model.blocks;
  Recipe recipe;
  IndexLists lists;
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    const auto slot = static_cast<SlotId>(i);
    auto tensor =
        describeTensor(dependencies, slot, whole[i], bindings.values[i], subnet.widths, order, lists);
    tensor.leftOut = !blocks.blocks.empty() && !blocks.liveness.stored[i].holds(subnet.kept);
    recipe.tensors.push_back(std::move(tensor));
  }
  recipe.indices = lists.all();
  recipe.numbers = describeNumbers(dependencies, subnet.widths);
  for (size_t i = 0; i < blocks.blocks.size(); ++i) {
    if (subnet.kept[i]) continue;
    const auto& block = blocks.blocks[i];
    recipe.blocks.push_back({block.name, scopePath(program, block.addition.instruction)});
  }
  return recipe;
}

Inputs patternOf(const Inputs& inputs) {
  Inputs result;
  for (const auto& value : inputs.args) result.args.push_back(patternLike(value));
  for (const auto& [name, value] : inputs.kwargs) result.kwargs.emplace(name, patternLike(value));
  return result;
}

at::Tensor sampleOf(const at::Tensor& tensor) {
  const at::Tensor real = tensor.is_complex() ? at::view_as_real(tensor.resolve_conj()) : tensor;
  const at::Tensor flat = real.detach().reshape({-1});
  const int64_t step = (flat.numel() + kLargestWritten - 1) / kLargestWritten;
  const at::Tensor sample = step > 1 ? flat.slice(0, 0, flat.numel(), step) : flat;
  return sample.to(at::kCPU, at::kDouble).contiguous();
}

}  // namespace torchsearch
