#include "binding/measure.h"

#include "binding/importance.h"
#include "binding/reconstruction.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

std::shared_ptr<Measure> measureOf(const Napi::Value& value) {
  if (tryUnwrap<ReconstructionWrap>(value) != nullptr) return ReconstructionWrap::of(value);
  return ImportanceWrap::of(value);
}

}  // namespace torchsearch::binding
