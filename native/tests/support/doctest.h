// The one way to include doctest. LibTorch's logging header claims CHECK and its siblings; the tests want
// doctest's.
#pragma once

#include <torch/script.h>

#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE

#include "tests/third_party/doctest.h"
