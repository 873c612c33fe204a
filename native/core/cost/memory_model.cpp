#include "core/cost/memory_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace torchsearch {

MemoryModel::MemoryModel(const Dependencies& dependencies, const ResidualBlocks& blocks,
                         std::vector<NarrowView> views)
    : plan_(dependencies.program(), blocks), views_(std::move(views)) {
  std::map<SizeForm, int32_t> places;
  for (const SlotId slot : plan_.owners()) {
    const Slot& tensor = dependencies.program().slots[slot];
    Size size;
    size.coefficient = static_cast<double>(tensor.bytes);
    for (size_t d = 0; d < tensor.sizes.size(); ++d) {
      SizeForm form = sizeForm(dependencies, slot, static_cast<int64_t>(d));
      if (!form.varies()) continue;
      // Memory is in proportion to its dimensions, also where it holds more than the tensor.
      size.coefficient /= static_cast<double>(tensor.sizes[d]);
      const auto [found, isNew] = places.emplace(std::move(form), static_cast<int32_t>(places.size()));
      size.forms.push_back(found->second);
    }
    sizes_.push_back(std::move(size));
  }
  forms_.resize(places.size());
  for (const auto& [form, place] : places) forms_[place] = form;
}

double MemoryModel::at(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const {
  std::vector<double> forms;
  forms.reserve(forms_.size());
  for (const auto& form : forms_) forms.push_back(static_cast<double>(form.at(widths)));
  std::vector<double> bytes;
  bytes.reserve(sizes_.size());
  for (const auto& size : sizes_) {
    double product = size.coefficient;
    for (const int32_t form : size.forms) product *= forms[form];
    bytes.push_back(std::round(product));
  }
  MemoryPlan::Views views;
  for (const auto& [result, viewOf, ones] : views_) {
    const auto isOne = [&](const SizeForm& form) { return form.at(widths) == 1; };
    if (std::all_of(ones.begin(), ones.end(), isOne)) views.emplace(result, viewOf);
  }
  return plan_.peak(bytes, kept, views);
}

}  // namespace torchsearch
