#include "core/model/torchvision_operators.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/torch.h>

#include <vector>

#include "tests/support/doctest.h"

namespace {

template <typename Signature>
auto operatorNamed(const char* name) {
  torchsearch::registerTorchvisionOperators();
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

std::vector<int64_t> kept(const at::Tensor& boxes, const at::Tensor& scores, double threshold) {
  const auto result =
      operatorNamed<at::Tensor(const at::Tensor&, const at::Tensor&, double)>("torchvision::nms")
          .call(boxes, scores, threshold);
  return {result.const_data_ptr<int64_t>(), result.const_data_ptr<int64_t>() + result.numel()};
}

at::Tensor align(const at::Tensor& input, const at::Tensor& boxes, double scale, int64_t height,
                 int64_t width, int64_t samplingRatio, bool aligned) {
  return operatorNamed<at::Tensor(const at::Tensor&, const at::Tensor&, double, int64_t, int64_t, int64_t,
                                  bool)>("torchvision::roi_align")
      .call(input, boxes, scale, height, width, samplingRatio, aligned);
}

}  // namespace

TEST_CASE("nms keeps the best of boxes that overlap, the best first") {
  // Overlaps by hand: 0 and 1 share 8 of 12, 1 and 2 share 5 of 15, 0 and 2 share 4 of 16; 3 is apart.
  const auto boxes =
      torch::tensor({{0., 0., 10., 1.}, {2., 0., 12., 1.}, {6., 0., 17., 1.}, {50., 50., 51., 51.}});
  const auto scores = torch::tensor({0.5, 0.9, 0.7, 0.1});
  CHECK(kept(boxes, scores, 0.7) == std::vector<int64_t>{1, 2, 0, 3});
  CHECK(kept(boxes, scores, 0.6) == std::vector<int64_t>{1, 2, 3});
  // 1 suppresses both neighbours; 0 would have suppressed only 1.
  CHECK(kept(boxes, scores, 0.3) == std::vector<int64_t>{1, 3});
  CHECK(kept(boxes, torch::tensor({0.9, 0.5, 0.7, 0.1}), 0.3) == std::vector<int64_t>{0, 2, 3});
  CHECK(kept(boxes.slice(0, 0, 0), scores.slice(0, 0, 0), 0.5).empty());
}

// Expected values: torchvision 0.28's own Python implementation (torchvision.ops.roi_align._roi_align).
TEST_CASE("roi_align averages bilinear samples as torchvision does") {
  const auto input = (torch::arange(2 * 2 * 5 * 6, torch::kFloat32) * 0.37).sin().reshape({2, 2, 5, 6});
  const auto box = torch::tensor({{0., 1., 0.5, 7., 9.}}, torch::kFloat32);
  const auto check = [&](int64_t samplingRatio, bool aligned, std::vector<float> expected) {
    const auto result = align(input, box, 0.5, 2, 3, samplingRatio, aligned);
    CHECK(result.sizes() == at::IntArrayRef({1, 2, 2, 3}));
    CHECK(torch::allclose(result.flatten(), torch::tensor(expected), 1e-4, 2e-6));
  };
  check(2, false,
        {-0.132391f, -0.21449f, -0.267558f, 0.349977f, 0.280636f, 0.173312f, 0.236638f, 0.163518f, 0.068268f,
         0.162052f, 0.272194f, 0.345496f});
  check(2, true,
        {0.206198f, 0.189049f, 0.146312f, 0.035865f, 0.087259f, 0.126843f, 0.030282f, 0.102058f, 0.160021f,
         -0.144285f, -0.116013f, -0.072038f});
  check(0, true,
        {0.202519f, 0.187086f, 0.146331f, 0.067956f, 0.135613f, 0.184916f, 0.025864f, 0.096769f, 0.154576f,
         -0.191643f, -0.146702f, -0.081906f});
}

TEST_CASE("roi_align takes its image, and samples outside of it count as zero") {
  const auto input = torch::stack({torch::ones({1, 4, 4}), torch::full({1, 4, 4}, 3.0)});
  const auto boxes = torch::tensor({{1., 0., 0., 4., 4.}, {0., 0., 0., 8., 4.}, {0., 20., 20., 30., 30.}});
  // Of the second box's two bins, one has its sample at x = 2, the other at x = 6.
  const auto result = align(input, boxes, 1.0, 1, 2, 1, false);
  CHECK(torch::equal(result.flatten(), torch::tensor({3., 3., 1., 0., 0., 0.})));
  CHECK_THROWS(align(input, torch::tensor({{2., 0., 0., 1., 1.}}), 1.0, 1, 1, 1, false));
}
