#include "core/graph/data_dependence.h"

#include <string_view>

#include "core/base/error.h"
#include "core/graph/source_place.h"

namespace torchsearch {

namespace {

// The operators whose results have as many elements as the values say, and what has the same number always.
constexpr std::string_view kPacking = "aten::_pack_padded_sequence";
constexpr std::string_view kPicking[] = {
    "aten::nonzero",  "aten::nonzero_numpy", "aten::masked_select",     "aten::repeat_interleave",
    "aten::_unique2", "aten::unique",        "aten::unique_consecutive"};

std::string remedy(std::string_view name, bool traced) {
  if (name == kPacking) {
    return "A trace would keep the lengths' part too. Run the recurrent layer on the padded batch, and take "
           "each row's last valid step with gather, or multiply by a mask.";
  }
  for (const std::string_view picking : kPicking) {
    if (name == picking)
      return "A trace would have it too. Multiply by a mask, or use torch.where with three arguments, whose "
             "results have one shape.";
  }
  if (name == "torchvision::nms") return "Convert the part of the model before the suppression of boxes.";
  if (traced) return "Replace that part of the model, and trace it once more.";
  return "A trace would do where the values may stay those of its example: torch.jit.trace keeps the path "
         "and "
         "the numbers of that one run. Or replace that part of the model.";
}

}  // namespace

std::string describeDependence(const torch::jit::Node* node, const std::string& name) {
  const std::string place = placeOf(node);
  return "'" + name + "'" + (place.empty() ? "" : " " + place);
}

void refuseDataDependence(const Program& program, const std::string& consequence) {
  const std::string& found = program.dataDependence;
  const std::string_view name = std::string_view(found).substr(1, found.find('\'', 1) - 1);
  throw Error("ERR_DATA_DEPENDENT", "The model's control flow or sizes depend on tensor values (" + found +
                                        "), so " + consequence + ". " +
                                        remedy(name, isTraced(program.graph->graph())));
}

}  // namespace torchsearch
