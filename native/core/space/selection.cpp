#include "core/space/selection.h"

#include <utility>

namespace torchsearch {

std::vector<int64_t> WantedSelection::active() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return wanted_.active;
}

std::shared_ptr<const CustomHyperparameters> WantedSelection::customs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return customs_;
}

void WantedSelection::select(std::vector<int64_t> active, Subnet subnet) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wanted_.active = std::move(active);
  wanted_.subnet = std::move(subnet);
  ++wanted_.version;
  ++wanted_.statistics;
  ++wanted_.weights;
  if (wanted_.expected == nullptr) return;
  const auto& expected = *wanted_.expected;
  for (size_t at = wanted_.next; at < expected.size(); ++at) {
    if (!(expected[at] == wanted_.subnet)) continue;
    wanted_.next = at + 1;
    break;
  }
}

void WantedSelection::recalibrate(bool on) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wanted_.recalibrating = on;
  ++wanted_.version;
  if (on) ++wanted_.statistics;
}

void WantedSelection::expect(std::vector<Subnet> candidates) {
  auto expected = std::make_shared<const std::vector<Subnet>>(std::move(candidates));
  const std::lock_guard<std::mutex> lock(mutex_);
  wanted_.expected = std::move(expected);
  wanted_.next = 0;
}

void WantedSelection::setCacheBudget(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wanted_.cacheBudget = bytes;
}

void WantedSelection::dropStatistics() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++wanted_.version;
  ++wanted_.statistics;
}

void WantedSelection::weightsChanged() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++wanted_.version;
  ++wanted_.statistics;
  ++wanted_.weights;
}

void WantedSelection::add(const std::shared_ptr<const CustomHyperparameter>& added) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto all = std::make_shared<CustomHyperparameters>();
  if (customs_ != nullptr) *all = *customs_;
  all->push_back(added);
  customs_ = all;
  auto positions = wanted_.subnet.custom.positions();
  positions.push_back(added->own());
  wanted_.active.push_back(added->own());
  wanted_.subnet.custom = CustomChoice(all, std::move(positions));
  wanted_.expected = nullptr;
  ++wanted_.version;
}

void WantedSelection::adoptInto(Selection& current) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (wanted_.version != current.version) current = wanted_;
  current.cacheBudget = wanted_.cacheBudget;
}

}  // namespace torchsearch
