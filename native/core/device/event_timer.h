#pragma once

#include <c10/core/Event.h>

#include <deque>
#include <vector>

namespace torchsearch {

// Times what a device does, by events on the current stream. Marks cost the device next to nothing and do not
// wait for it.
class EventTimer {
 public:
  explicit EventTimer(c10::Device device) : device_(device) {}

  void mark();
  // Waits for the last mark. Milliseconds between each mark and the next since the last call.
  std::vector<double> take();

 private:
  c10::Device device_;
  std::deque<c10::Event> events_;  // used again and again
  size_t marks_ = 0;
};

}  // namespace torchsearch
