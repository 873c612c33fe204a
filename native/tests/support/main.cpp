// Runs the C++ unit tests; every other file in this folder registers its cases by being linked in.
#define DOCTEST_CONFIG_IMPLEMENT
#include "tests/support/doctest.h"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  context.setOption("no-path-filenames", true);
  return context.run();
}
