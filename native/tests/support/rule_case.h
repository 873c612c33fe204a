#pragma once

#include <limits>
#include <string>
#include <vector>

namespace torchsearch::testing {

// One operator, or a few, applied to parameters, and what its documentation says about which indices belong
// together. `checkRule` holds the analysis against that, and the narrowed program against two independent
// computations by LibTorch:
//  - the whole operator on operands whose dropped indices are filled with `mask`, cut down afterwards;
//  - the same source compiled anew around narrowed parameters.
struct RuleCase {
  static constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
  static constexpr double kNoMask = std::numeric_limits<double>::quiet_NaN();

  // "a 4 6 | @x 2 6 | %i<5 3": a parameter a of 4 x 6, an input x, a buffer of 3 indices below 5.
  std::string operands;
  // TorchScript statements that compute the results named in `labels`; operands are self.a, x, self.i.
  std::string source;
  // By tensor and dimension: "." stays whole; a letter is a set of classes, index k belonging to class k;
  // "c*3" three indices of each class in a row; "3*c" all classes three times; "~c" in reverse; "c+.2+d" one
  // after the other. Equal letters are tied, others independent. "a c . | y c c".
  std::string labels;
  // What leaves the kept results as they are; kNoMask where nothing does (a mean, a layer norm).
  double mask = 0.0;
  // Sizes stand in the source as constants, so that it can't be compiled for others.
  bool hasSizes = false;
};

void checkRule(const RuleCase& test);

}  // namespace torchsearch::testing
