#include "core/evaluation/dataset.h"

#include <ATen/ATen.h>

#include "core/base/error.h"
#include "tests/support/doctest.h"

using torchsearch::Dataset;
using torchsearch::Error;

TEST_CASE("a data set cuts every tensor alike") {
  const at::Tensor x = at::arange(20).reshape({10, 2});
  const at::Tensor y = at::arange(10);
  const Dataset plain({x, y}, {.batchSize = 4});
  CHECK(plain.batches() == 3);
  CHECK(plain.batch(2)[0].data_ptr() == x[8].data_ptr());
  CHECK(at::equal(plain.batch(1)[1], y.narrow(0, 4, 4)));
  CHECK_THROWS_AS(plain.batch(3), Error);

  const Dataset shuffled({x, y}, {.batchSize = 4, .shuffleSeed = 7, .dropLast = true});
  CHECK(shuffled.samples() == 8);
  std::vector<at::Tensor> seen;
  for (int64_t i = 0; i < shuffled.batches(); ++i) {
    const auto batch = shuffled.batch(i);
    CHECK(at::equal(batch[0].select(1, 0), batch[1] * 2));  // rows stay together
    seen.push_back(batch[1]);
  }
  const at::Tensor order = at::cat(seen);
  CHECK(std::get<0>(at::_unique(order)).numel() == 8);
  CHECK_FALSE(at::equal(order, y.narrow(0, 0, 8)));
}
