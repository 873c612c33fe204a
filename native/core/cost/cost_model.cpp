#include "core/cost/cost_model.h"

#include <algorithm>
#include <limits>

#include "core/profile/operator_cost.h"

namespace torchsearch {

// Collects the terms of each metric, adding up those that differ in their coefficients only.
struct CostModel::Builder {
  using Sums = std::map<Condition, std::map<Dimensions, double>>;

  explicit Builder(const Dependencies& given) : dependencies(given) {}

  Affine affine(SlotId slot, int64_t dimension) const {
    Affine result;
    const Labels& labels = dependencies.labels(slot, dimension);
    if (labels.empty()) {
      result.constant = dependencies.program().slots[slot].sizes[dimension];
      return result;
    }
    std::map<int32_t, int64_t> first;  // indices of the class at position 0 stand for all of the group
    for (const Atom atom : labels) {
      const ClassPlace place = dependencies.placeOf(atom);
      if (place.group == kNoGroup) {
        ++result.constant;
      } else if (place.position == 0) {
        ++first[place.group];
      }
    }
    result.factors.assign(first.begin(), first.end());
    return result;
  }

  void multiply(Term& term, SlotId slot, int64_t dimension) {
    const auto factor = affine(slot, dimension);
    if (factor.factors.empty()) {
      term.coefficient *= static_cast<double>(factor.constant);
    } else {
      const auto place = sizes.emplace(factor, static_cast<int32_t>(sizes.size())).first->second;
      term.dimensions.push_back(place);
    }
  }

  static void add(Sums& sums, const Condition& condition, Term term) {
    std::sort(term.dimensions.begin(), term.dimensions.end());
    sums[condition][term.dimensions] += term.coefficient;
  }

  static std::vector<Section> sections(const Sums& sums) {
    std::vector<Section> result;
    for (const auto& [condition, terms] : sums) {
      Section section{condition, {}};
      for (const auto& [dimensions, coefficient] : terms) section.terms.push_back({coefficient, dimensions});
      result.push_back(std::move(section));
    }
    return result;
  }

  const Dependencies& dependencies;
  std::map<Affine, int32_t> sizes;
  Sums params;
  Sums macs;
  Sums bytes;
};

CostModel::CostModel(const Dependencies& dependencies, const ResidualBlocks& blocks) {
  const Program& program = dependencies.program();
  const bool whole = blocks.blocks.empty();
  Builder builder(dependencies);
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    if (!program.instructions[i].runs()) continue;
    const Condition condition = whole ? Condition::always() : blocks.liveness.instructions[i];
    std::vector<std::vector<Term>> ways;
    for (const auto& order : multiplyAddOrders(program, program.instructions[i])) {
      ways.emplace_back();
      for (const auto& product : order) {
        Term term;
        term.coefficient = static_cast<double>(product.coefficient);
        for (const auto& factor : product.factors) builder.multiply(term, factor.slot, factor.dimension);
        ways.back().push_back(std::move(term));
      }
    }
    if (ways.size() > 1) {
      choices_.push_back({condition, std::move(ways)});
    } else {
      for (auto& term : ways.front()) Builder::add(builder.macs, condition, std::move(term));
    }
  }
  // Every parameter and buffer has a slot, used or not, and shared ones have one.
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const auto& slot = program.slots[i];
    if (!slot.isStored()) continue;
    const Condition condition = whole ? Condition::always() : blocks.liveness.stored[i];
    Term term;
    term.coefficient = 1;
    for (size_t d = 0; d < slot.sizes.size(); ++d) {
      builder.multiply(term, static_cast<SlotId>(i), static_cast<int64_t>(d));
    }
    if (slot.kind == Slot::Kind::kParameter) Builder::add(builder.params, condition, term);
    term.coefficient *= static_cast<double>(c10::elementSize(slot.dtype));
    Builder::add(builder.bytes, condition, std::move(term));
  }
  params_ = Builder::sections(builder.params);
  macs_ = Builder::sections(builder.macs);
  bytes_ = Builder::sections(builder.bytes);
  sizes_.resize(builder.sizes.size());
  for (const auto& [size, place] : builder.sizes) sizes_[place] = size;
}

std::vector<double> CostModel::sizesAt(const std::vector<int64_t>& widths) const {
  std::vector<double> sizes(sizes_.size());
  for (size_t i = 0; i < sizes_.size(); ++i) {
    int64_t size = sizes_[i].constant;
    for (const auto& [group, count] : sizes_[i].factors) size += count * widths[group];
    sizes[i] = static_cast<double>(size);
  }
  return sizes;
}

double CostModel::sumOfTerms(const std::vector<Term>& terms, const std::vector<double>& sizes) {
  double total = 0;
  for (const auto& term : terms) {
    double product = term.coefficient;
    for (const int32_t dimension : term.dimensions) product *= sizes[dimension];
    total += product;
  }
  return total;
}

double CostModel::sum(const std::vector<Section>& sections, const std::vector<int64_t>& widths,
                      const std::vector<bool>& kept) const {
  const auto sizes = sizesAt(widths);
  double total = 0;
  for (const auto& section : sections) {
    if (section.condition.holds(kept)) total += sumOfTerms(section.terms, sizes);
  }
  return total;
}

double CostModel::sumOfCheapest(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const {
  if (choices_.empty()) return 0;
  const auto sizes = sizesAt(widths);
  double total = 0;
  for (const auto& choice : choices_) {
    if (!choice.condition.holds(kept)) continue;
    double least = std::numeric_limits<double>::infinity();
    for (const auto& way : choice.ways) least = std::min(least, sumOfTerms(way, sizes));
    total += least;
  }
  return total;
}

}  // namespace torchsearch
