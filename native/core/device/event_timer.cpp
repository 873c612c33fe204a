#include "core/device/event_timer.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace torchsearch {

void EventTimer::mark() {
  // Of the flags only this one makes events that tell the time.
  if (marks_ == events_.size()) events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  const c10::impl::VirtualGuardImpl implementation(device_.type());
  events_[marks_].record(implementation.getStream(device_));
  ++marks_;
}

std::vector<double> EventTimer::take() {
  std::vector<double> times;
  if (marks_ > 0) events_[marks_ - 1].synchronize();
  for (size_t i = 1; i < marks_; ++i) times.push_back(events_[i - 1].elapsedTime(events_[i]));
  marks_ = 0;
  return times;
}

}  // namespace torchsearch
