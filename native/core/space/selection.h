#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/space/custom_hyperparameter.h"
#include "core/space/subnet.h"

namespace torchsearch {

// What the user of a search space asked for.
struct Selection {
  std::vector<int64_t> active;  // by hyperparameter, custom ones last
  Subnet subnet;
  bool recalibrating = false;
  int64_t version = 0;     // counts changes, so that bindings made for an earlier selection are remade
  int64_t statistics = 0;  // counts how often recalibrated statistics were dropped
  int64_t weights = 0;     // and weights of the subnet's own
  std::shared_ptr<const std::vector<Subnet>> expected;
  size_t next = 0;          // in `expected`
  int64_t cacheBudget = 0;  // bytes of activations
};

// What was asked for last, under a lock of its own: selecting never waits for a running forward, which goes
// on with what was selected when it began. Any thread.
class WantedSelection {
 public:
  std::vector<int64_t> active() const;
  // Null for none. Replaced, never changed.
  std::shared_ptr<const CustomHyperparameters> customs() const;

  void select(std::vector<int64_t> active, Subnet subnet);
  void recalibrate(bool on);
  void expect(std::vector<Subnet> candidates);
  void setCacheBudget(int64_t bytes);
  // The subnet's weights changed: its recalibrated statistics are of others.
  void dropStatistics();
  // The weights or their order changed: whatever was made of them must be made again, recalibrated statistics
  // too.
  void weightsChanged();
  // The model's own value is selected.
  void add(const std::shared_ptr<const CustomHyperparameter>& added);

  // Brings `current` up to date.
  void adoptInto(Selection& current) const;

 private:
  mutable std::mutex mutex_;
  Selection wanted_;
  std::shared_ptr<const CustomHyperparameters> customs_;
};

}  // namespace torchsearch
