#include <algorithm>
#include <cctype>
#include <utility>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// "max_pool2d_with_indices" resamples two dimensions.
int64_t resampledDimensions(const std::string& name) {
  for (size_t i = 0; i + 1 < name.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(name[i])) != 0 && name[i + 1] == 'd') return name[i] - '0';
  }
  TORCH_CHECK(false, "'", name, "' doesn't say how many dimensions it resamples");
}

int64_t product(const std::vector<int64_t>& factors, int64_t count) {
  // One number stands for all dimensions.
  int64_t result = 1;
  for (int64_t i = 0; i < count; ++i) result *= factors.at(factors.size() == 1 ? 0 : i);
  return result;
}

// The first label of each `factor` indices that follow each other; those are tied.
Labels tieRuns(const Rule& rule, const Labels& labels, int64_t factor) {
  Labels result;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i % factor == 0) {
      result.push_back(labels[i]);
    } else {
      rule.analysis.tie(result.back(), labels[i]);
    }
  }
  return result;
}

Labels repeatEach(const Labels& labels, int64_t factor) {
  Labels result;
  for (const Atom atom : labels) result.insert(result.end(), factor, atom);
  return result;
}

}  // namespace

// An input without a batch is one dimension shorter, so resampled dimensions are counted from the last.
void spatialRule(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  const int64_t rank = rule.rank(slots.at(0));
  const int64_t passing = rank - resampledDimensions(rule.name());
  TORCH_CHECK(passing >= 0, "too few dimensions");
  std::vector<Labels> result(rank);
  for (int64_t d = 0; d < rank; ++d) {
    if (d < passing) {
      std::vector<Place> places;
      for (const SlotId slot : slots) places.push_back({slot, d});
      result[d] = rule.shared(places);
    } else {
      for (const SlotId slot : slots) rule.fix(rule.labels(slot).at(d));
    }
  }
  for (const SlotId slot : tensorResults(rule.instruction)) rule.setResult(slot, result);
}

void gridSampleRule(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const SlotId grid = rule.slot("grid");
  const auto& in = rule.labels(input);
  for (size_t d = 2; d < in.size(); ++d) rule.fix(in[d]);
  rule.fix(rule.labels(grid).back());
  std::vector<Labels> result = {rule.shared({{input, 0}, {grid, 0}}), in.at(1)};
  for (int64_t d = 1; d + 1 < rule.rank(grid); ++d) result.push_back(rule.labels(grid)[d]);
  rule.setResult(std::move(result));
}

// [N, C, H, W] to [N, C * kernel, windows], the kernel's places innermost.
void windowRule(const Rule& rule) {
  auto in = rule.labels(rule.slot("self"));
  for (int k = 0; k < 2; ++k) {
    rule.fix(in.back());
    in.pop_back();
  }
  in.back() = repeatEach(in.back(), product(rule.integers("kernel_size"), 2));
  in.emplace_back();
  rule.setResult(std::move(in));
}

// [N, C * kernel, windows] to [N, C, H, W].
void columnsRule(const Rule& rule) {
  auto in = rule.labels(rule.slot("self"));
  rule.fix(in.back());
  in.pop_back();
  in.back() = tieRuns(rule, in.back(), product(rule.integers("kernel_size"), 2));
  in.resize(in.size() + 2);
  rule.setResult(std::move(in));
}

// Tensor.unfold: windows of one dimension, their places in a new last one.
void unfoldRule(const Rule& rule) {
  auto in = rule.labels(rule.slot("self"));
  auto& cut = in.at(rule.dimension("dimension", static_cast<int64_t>(in.size())));
  rule.fix(cut);
  cut.clear();
  in.emplace_back();
  rule.setResult(std::move(in));
}

// [*, C * r * r, H, W] to [*, C, H * r, W * r]: channel c takes r * r that follow each other.
void pixelShuffleRule(const Rule& rule) {
  auto in = rule.labels(rule.slot("self"));
  const int64_t factor = rule.integer("upscale_factor");
  const size_t rank = in.size();
  in.at(rank - 3) = tieRuns(rule, in[rank - 3], factor * factor);
  in[rank - 2] = repeatEach(in[rank - 2], factor);
  in[rank - 1] = repeatEach(in[rank - 1], factor);
  rule.setResult(std::move(in));
}

void pixelUnshuffleRule(const Rule& rule) {
  auto in = rule.labels(rule.slot("self"));
  const int64_t factor = rule.integer("downscale_factor");
  const size_t rank = in.size();
  in.at(rank - 3) = repeatEach(in[rank - 3], factor * factor);
  in[rank - 2] = tieRuns(rule, in[rank - 2], factor);
  in[rank - 1] = tieRuns(rule, in[rank - 1], factor);
  rule.setResult(std::move(in));
}

// Index g * per + k becomes k * groups + g, so that every group keeps as many channels: those at one place of
// each group are tied.
void channelShuffleRule(const Rule& rule) {
  const SlotId input = rule.slot("self");
  auto in = rule.labels(input);
  if (!in.at(1).empty()) {
    const int64_t groups = rule.integer("groups");
    const int64_t per = rule.sizes(input)[1] / groups;
    Labels shuffled;
    for (int64_t k = 0; k < per; ++k) {
      for (int64_t g = 0; g < groups; ++g) {
        rule.analysis.tie(in[1][k], in[1][g * per + k]);
        shuffled.push_back(in[1][g * per + k]);
      }
    }
    in[1] = std::move(shuffled);
  }
  rule.setResult(std::move(in));
}

}  // namespace torchsearch
