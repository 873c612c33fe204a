#include "core/cost/operator_shape.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <sstream>
#include <utility>

#include "core/graph/size_arguments.h"
#include "core/profile/operator_cost.h"

namespace torchsearch {

namespace {

// a, b, …, z, a1, b1, …
std::string letter(size_t index) {
  const std::string name(1, static_cast<char>('a' + index % 26));
  return index < 26 ? name : name + std::to_string(index / 26);
}

// How a tensor lies in memory: nothing when row by row, else its dimensions from the slowest to the fastest,
// with "~" where there are gaps or overlaps.
std::string layoutOf(const Slot& slot) {
  const size_t rank = slot.sizes.size();
  if (slot.isStored() || slot.strides.size() != rank) return {};  // exported weights lie row by row
  std::vector<size_t> order;
  for (size_t d = 0; d < rank; ++d) {
    if (slot.sizes[d] != 1) order.push_back(d);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return slot.strides[a] > slot.strides[b]; });
  int64_t dense = 1;
  bool gaps = false;
  for (size_t i = order.size(); i-- > 0;) {
    gaps = gaps || slot.strides[order[i]] != dense;
    dense *= slot.sizes[order[i]];
  }
  if (!gaps && std::is_sorted(order.begin(), order.end())) return {};
  std::string text = "@";
  for (const size_t d : order) text += std::to_string(d) + (rank > 10 ? "." : "");
  return gaps ? text + "~" : text;
}

class ShapeReader {
 public:
  ShapeReader(const Dependencies& dependencies, const Instruction& instruction,
              std::set<int32_t> sizeArguments)
      : dependencies_(dependencies),
        program_(dependencies.program()),
        instruction_(instruction),
        sizeArguments_(std::move(sizeArguments)) {}

  OperatorShape read() {
    text_ << instruction_.schema->name();
    if (!instruction_.schema->overload_name().empty()) text_ << '.' << instruction_.schema->overload_name();
    text_ << '(';
    for (size_t i = 0; i < instruction_.arguments.size(); ++i) {
      if (i > 0) text_ << ", ";
      // A view's shape, a number of groups: they follow from the shapes that are told anyway.
      if (sizeArguments_.count(static_cast<int32_t>(i)) > 0) {
        text_ << '*';
      } else {
        write(instruction_.arguments[i], /*isArgument=*/true);
      }
    }
    text_ << ") -> ";
    for (size_t i = 0; i < instruction_.results.size(); ++i) {
      if (i > 0) text_ << ", ";
      write(instruction_.results[i], /*isArgument=*/false);
    }
    shape_.key = text_.str();
    for (const auto& term : multiplyAddTerms(program_, instruction_)) {
      OperatorShape::Product product;
      product.coefficient = static_cast<double>(term.coefficient);
      for (const auto& factor : term.factors) product.sizes.push_back(sizeOf(factor.slot, factor.dimension));
      shape_.work.push_back(std::move(product));
    }
    return std::move(shape_);
  }

 private:
  void write(const ValueTree& tree, bool isArgument) {
    switch (tree.kind) {
      case ValueTree::Kind::kConstant:
        if (tree.constant.isTensor()) {
          text_ << "None";  // an undefined tensor
        } else {
          text_ << tree.constant;
        }
        return;
      case ValueTree::Kind::kSlot:
        writeTensor(tree.slot, isArgument);
        return;
      default:
        text_ << '[';
        for (size_t i = 0; i < tree.children.size(); ++i) {
          if (i > 0) text_ << ", ";
          write(tree.children[i], isArgument);
        }
        text_ << ']';
    }
  }

  void writeTensor(SlotId id, bool isArgument) {
    const Slot& slot = program_.slots[id];
    OperatorShape::Product elements;
    text_ << c10::toString(slot.dtype) << '[';
    for (size_t d = 0; d < slot.sizes.size(); ++d) {
      const auto size = sizeOf(id, static_cast<int64_t>(d));
      if (d > 0) text_ << ',';
      if (size.variable < 0) {
        text_ << size.constant;
      } else {
        if (size.count != 1) text_ << size.count;
        text_ << letter(size.variable);
        if (size.constant != 0) text_ << '+' << size.constant;
      }
      elements.sizes.push_back(size);
    }
    text_ << ']' << layoutOf(slot);
    if (isArgument) shape_.work.push_back(std::move(elements));
  }

  // Sizes that are multiples of each other, give or take a constant, share a letter.
  OperatorShape::Size sizeOf(SlotId slot, int64_t dimension) {
    SizeForm form = sizeForm(dependencies_, slot, dimension);
    OperatorShape::Size size;
    size.constant = form.constant;
    if (!form.varies()) return size;
    for (const auto& [group, count] : form.factors) size.count = std::gcd(size.count, count);
    for (auto& [group, count] : form.factors) count /= size.count;
    form.constant = 0;
    const auto found = std::find(shape_.variables.begin(), shape_.variables.end(), form);
    size.variable = static_cast<int32_t>(found - shape_.variables.begin());
    if (found == shape_.variables.end()) shape_.variables.push_back(std::move(form));
    return size;
  }

  const Dependencies& dependencies_;
  const Program& program_;
  const Instruction& instruction_;
  std::set<int32_t> sizeArguments_;
  std::ostringstream text_;
  OperatorShape shape_;
};

}  // namespace

std::vector<int64_t> OperatorShape::sizesAt(const std::vector<int64_t>& widths) const {
  std::vector<int64_t> sizes;
  sizes.reserve(variables.size());
  for (const auto& variable : variables) sizes.push_back(variable.at(widths));
  return sizes;
}

double OperatorShape::workAt(const std::vector<int64_t>& sizes) const {
  double total = 0;
  for (const auto& product : work) {
    double value = product.coefficient;
    for (const auto& size : product.sizes) {
      const int64_t varying = size.variable < 0 ? 0 : size.count * sizes[size.variable];
      value *= static_cast<double>(size.constant + varying);
    }
    total += value;
  }
  return total;
}

std::vector<OperatorShape> operatorShapes(const Dependencies& dependencies,
                                          const std::vector<int64_t>& smallest) {
  const auto& instructions = dependencies.program().instructions;
  std::vector<std::set<int32_t>> sizeArgumentsOf(instructions.size());
  for (const auto& size : sizeArguments(dependencies, smallest)) {
    sizeArgumentsOf[size.instruction].insert(size.argument);
  }
  std::vector<OperatorShape> shapes;
  for (size_t i = 0; i < instructions.size(); ++i) {
    if (instructions[i].speculative) continue;
    shapes.push_back(ShapeReader(dependencies, instructions[i], std::move(sizeArgumentsOf[i])).read());
    shapes.back().instruction = static_cast<int32_t>(i);
  }
  return shapes;
}

}  // namespace torchsearch
