#include "core/model/torchvision_operators.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "core/base/error.h"

namespace torchsearch {

namespace {

// Greedy non-maximum suppression: indices of the boxes [x1, y1, x2, y2] that overlap no better one by more
// than `threshold` (intersection over union), the best first.
at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double threshold) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4, "boxes should be a 2d tensor of 4 columns, got ",
              boxes.sizes());
  TORCH_CHECK(scores.dim() == 1 && scores.size(0) == boxes.size(0),
              "boxes and scores should have as many rows, got ", boxes.sizes(), " and ", scores.sizes());
  const at::Tensor order = std::get<1>(scores.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  const at::Tensor sorted = boxes.index_select(0, order).to(at::kCPU, at::kDouble).contiguous();
  const int64_t count = sorted.size(0);
  const auto* box = sorted.const_data_ptr<double>();
  const auto area = [&](int64_t i) {
    return (box[4 * i + 2] - box[4 * i]) * (box[4 * i + 3] - box[4 * i + 1]);
  };
  std::vector<bool> suppressed(static_cast<size_t>(count), false);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count; ++i) {
    if (suppressed[i]) continue;
    kept.push_back(i);
    for (int64_t j = i + 1; j < count; ++j) {
      if (suppressed[j]) continue;
      const double width = std::min(box[4 * i + 2], box[4 * j + 2]) - std::max(box[4 * i], box[4 * j]);
      const double height =
          std::min(box[4 * i + 3], box[4 * j + 3]) - std::max(box[4 * i + 1], box[4 * j + 1]);
      const double shared = std::max(0.0, width) * std::max(0.0, height);
      if (shared / (area(i) + area(j) - shared) > threshold) suppressed[j] = true;
    }
  }
  return order.index_select(0, at::tensor(kept, at::kLong).to(order.device()));
}

// Weights of the samples along one axis of a box: each sample lies between two cells of `size`.
struct Sample {
  int64_t low = 0;
  int64_t high = 0;
  double fraction = 0;  // of the higher cell
  bool inside = false;
};

Sample sampleAt(double position, int64_t size) {
  Sample sample;
  if (position < -1 || position > static_cast<double>(size)) return sample;
  sample.inside = true;
  position = std::max(position, 0.0);
  sample.low = static_cast<int64_t>(position);
  if (sample.low >= size - 1) {
    sample.low = sample.high = size - 1;
  } else {
    sample.high = sample.low + 1;
    sample.fraction = position - static_cast<double>(sample.low);
  }
  return sample;
}

struct Axis {
  int64_t grid = 1;             // samples in a bin
  std::vector<Sample> samples;  // bins x grid
};

Axis axisOf(double start, double length, int64_t bins, int64_t samplingRatio, int64_t size) {
  Axis axis;
  const double bin = length / static_cast<double>(bins);
  axis.grid = samplingRatio > 0 ? samplingRatio : static_cast<int64_t>(std::ceil(bin));
  for (int64_t b = 0; b < bins; ++b) {
    for (int64_t g = 0; g < axis.grid; ++g) {
      const double offset = (static_cast<double>(g) + 0.5) * bin / static_cast<double>(axis.grid);
      axis.samples.push_back(sampleAt(start + static_cast<double>(b) * bin + offset, size));
    }
  }
  return axis;
}

// Of the bilinear samples in bin (i, j) of a box, in a plane of rows of `width` cells.
double sumOfBin(const double* plane, int64_t width, const Axis& rows, int64_t i, const Axis& columns,
                int64_t j) {
  double sum = 0;
  for (int64_t a = i * rows.grid; a < (i + 1) * rows.grid; ++a) {
    const Sample& row = rows.samples[a];
    if (!row.inside) continue;
    const auto *low = plane + row.low * width, *high = plane + row.high * width;
    for (int64_t b = j * columns.grid; b < (j + 1) * columns.grid; ++b) {
      const Sample& column = columns.samples[b];
      if (!column.inside) continue;
      const double above = std::lerp(low[column.low], low[column.high], column.fraction);
      const double below = std::lerp(high[column.low], high[column.high], column.fraction);
      sum += std::lerp(above, below, row.fraction);
    }
  }
  return sum;
}

// The mean of bilinear samples in each bin of each box (He et al., "Mask R-CNN", 2017). A row of `rois` is
// [image, x1, y1, x2, y2]; `aligned` shifts boxes by half a cell.
at::Tensor roiAlign(const at::Tensor& input, const at::Tensor& rois, double spatialScale,
                    int64_t pooledHeight, int64_t pooledWidth, int64_t samplingRatio, bool aligned) {
  TORCH_CHECK(rois.dim() == 2 && rois.size(1) == 5, "rois must have shape [K, 5], got ", rois.sizes());
  TORCH_CHECK(input.dim() == 4, "the input must have four dimensions, got ", input.sizes());
  const at::Tensor cells = input.to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor boxes = rois.to(at::kCPU, at::kDouble).contiguous();
  const int64_t channels = cells.size(1), height = cells.size(2), width = cells.size(3);
  const at::Tensor result = at::zeros({boxes.size(0), channels, pooledHeight, pooledWidth}, cells.options());
  auto* out = result.mutable_data_ptr<double>();
  for (int64_t k = 0; k < boxes.size(0); ++k) {
    const auto* roi = boxes.const_data_ptr<double>() + 5 * k;
    const auto image = static_cast<int64_t>(roi[0]);
    TORCH_CHECK(image >= 0 && image < cells.size(0), "a box belongs to image ", image,
                ", which is not there");
    const double shift = aligned ? 0.5 : 0.0;
    const double x = roi[1] * spatialScale - shift, y = roi[2] * spatialScale - shift;
    double boxWidth = roi[3] * spatialScale - shift - x, boxHeight = roi[4] * spatialScale - shift - y;
    if (!aligned) {
      boxWidth = std::max(boxWidth, 1.0);
      boxHeight = std::max(boxHeight, 1.0);
    }
    const Axis rows = axisOf(y, boxHeight, pooledHeight, samplingRatio, height);
    const Axis columns = axisOf(x, boxWidth, pooledWidth, samplingRatio, width);
    const auto samples = static_cast<double>(std::max<int64_t>(rows.grid * columns.grid, 1));
    const auto* plane = cells.const_data_ptr<double>() + image * channels * height * width;
    for (int64_t c = 0; c < channels; ++c, plane += height * width) {
      for (int64_t i = 0; i < pooledHeight; ++i) {
        for (int64_t j = 0; j < pooledWidth; ++j, ++out) {
          *out = sumOfBin(plane, width, rows, i, columns, j) / samples;
        }
      }
    }
  }
  return result.to(input.options());
}

at::Tensor boxIouRotated(const at::Tensor&, const at::Tensor&) {
  throw Error(
      "ERR_UNKNOWN_OPERATOR",
      "The model computes overlaps of rotated boxes (torchvision::box_iou_rotated), which is not supported. "
      "Use boxes without rotation.");
}

bool isKnown(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""}).has_value();
}

}  // namespace

void registerTorchvisionOperators() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Lives as long as the process: registrations end with their library object.
    static torch::Library library(torch::Library::FRAGMENT, "torchvision", std::nullopt, __FILE__, __LINE__);
    const auto key = c10::DispatchKey::CompositeExplicitAutograd;
    if (!isKnown("torchvision::nms")) {
      library.def("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor");
      library.impl("nms", torch::dispatch(key, &nms));
    }
    if (!isKnown("torchvision::roi_align")) {
      library.def(
          "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
          "int sampling_ratio, bool aligned) -> Tensor");
      library.impl("roi_align", torch::dispatch(key, &roiAlign));
    }
    if (!isKnown("torchvision::box_iou_rotated")) {
      library.def("box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor");
      library.impl("box_iou_rotated", torch::dispatch(key, &boxIouRotated));
    }
  });
}

}  // namespace torchsearch
