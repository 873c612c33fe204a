#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/exported/json.h"
#include "core/exported/write/number_writer.h"
#include "core/graph/program.h"

namespace torchsearch::exported {

using SlotNames = std::unordered_map<SlotId, std::string>;

// Writes the arguments of operators as a program's JSON has them.
class ArgumentWriter {
 public:
  ArgumentWriter(const SlotNames& names, NumberWriter& numbers) : names_(names), numbers_(numbers) {}

  // `values` are the argument at the probes' points, and `type` the schema's, with what numbers stand for.
  // ERR_EXPORTED_WRITE
  Json write(const std::vector<const ValueTree*>& values, const c10::TypePtr& type,
             const std::string& what) const;
  Json tensor(SlotId slot) const;  // {"name": …}

 private:
  Json tensors(const ValueTree& list, const c10::TypePtr& type) const;
  Json constant(const c10::IValue& value, const c10::TypePtr& type, const std::string& what) const;
  Json varying(const std::vector<const ValueTree*>& values, const std::string& what) const;

  const SlotNames& names_;
  NumberWriter& numbers_;
};

}  // namespace torchsearch::exported
