#include "core/graph/size_form.h"

#include <map>

namespace torchsearch {

int64_t SizeForm::at(const std::vector<int64_t>& widths) const {
  int64_t size = constant;
  for (const auto& [group, count] : factors) size += count * widths[group];
  return size;
}

SizeForm sizeForm(const Dependencies& dependencies, SlotId slot, int64_t dimension) {
  SizeForm form;
  const Labels& labels = dependencies.labels(slot, dimension);
  if (labels.empty()) {
    form.constant = dependencies.program().slots[slot].sizes[dimension];
    return form;
  }
  std::map<int32_t, int64_t> counts;
  for (const Atom atom : labels) {
    const ClassPlace place = dependencies.placeOf(atom);
    if (place.group == kNoGroup || dependencies.groupSize(place.group) < 2) {
      ++form.constant;
    } else if (place.position == 0) {  // classes of a group occur equally often: one stands for all
      ++counts[place.group];
    }
  }
  form.factors.assign(counts.begin(), counts.end());
  return form;
}

}  // namespace torchsearch
