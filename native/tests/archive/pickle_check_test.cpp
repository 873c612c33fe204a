#include "core/archive/pickle_check.h"

#include <optional>
#include <string>

#include "core/base/error.h"
#include "tests/support/doctest.h"

using namespace torchsearch;

namespace {

std::string pickledNumber(int value) {
  return {'K', static_cast<char>(value)};
}

std::string pickledText(const std::string& value) {
  return std::string("X") + static_cast<char>(value.size()) + std::string(3, '\0') + value;
}

// What Python's pickletools shows of a tensor in a TorchScript file, with its numbers left open.
std::string tensorPickle(int elements, int offset, const std::string& shape, const std::string& strides,
                         const std::string& function = "_rebuild_tensor_v2") {
  const std::string storage = "(" + pickledText("storage") + "ctorch\nFloatStorage\n" + pickledText("0") +
                              pickledText("cpu") + pickledNumber(elements) + "tQ";
  return "\x80\x02"
         "ctorch._utils\n" +
         function + "\n(" + storage + pickledNumber(offset) + shape + strides +
         "\x89"
         "ccollections\nOrderedDict\n)Rt"
         "R.";
}

std::string pickledPair(int a, int b) {
  return pickledNumber(a) + pickledNumber(b) + "\x86";
}

std::optional<std::string> problemOf(const std::string& pickle, uint64_t recordBytes = 32) {
  PickleLimits limits;
  limits.storageSize = [&](const std::string& key) {
    return key == "0" ? std::optional<uint64_t>(recordBytes) : std::nullopt;
  };
  limits.allowsClass = [](const std::string& name) { return name == "__torch__.Good"; };
  try {
    checkPickle(pickle, "data.pkl", limits);
    return std::nullopt;
  } catch (const Error& error) {
    return error.code() + " " + error.what();
  }
}

}  // namespace

TEST_CASE("a tensor within its record passes") {
  CHECK_EQ(problemOf(tensorPickle(8, 0, pickledPair(2, 4), pickledPair(4, 1))), std::nullopt);
  CHECK_EQ(problemOf(tensorPickle(8, 4, pickledPair(1, 4), pickledPair(4, 1))), std::nullopt);
  CHECK_EQ(problemOf(tensorPickle(8, 0, pickledPair(100, 8), pickledPair(0, 1))), std::nullopt);  // expanded
  CHECK_EQ(problemOf(tensorPickle(8, 8, pickledPair(0, 4), pickledPair(4, 1))), std::nullopt);    // empty
}

TEST_CASE("a tensor beyond its storage, and a storage beyond its record, do not") {
  CHECK(problemOf(tensorPickle(8, 0, pickledPair(2, 4), pickledPair(4, 1)), 31).has_value());
  CHECK(problemOf(tensorPickle(8, 1, pickledPair(2, 4), pickledPair(4, 1))).has_value());
  CHECK(problemOf(tensorPickle(8, 0, pickledPair(3, 4), pickledPair(4, 1))).has_value());
  CHECK(problemOf(tensorPickle(8, 0, pickledPair(2, 4), pickledPair(5, 1))).has_value());
  CHECK(problemOf(tensorPickle(8, 0, pickledPair(2, 4), pickledNumber(1) + "\x85")).has_value());
}

TEST_CASE("a pickle reads no more than its archive has") {
  PickleLimits limits;
  limits.storageSize = [](const std::string&) { return std::optional<uint64_t>(32); };
  limits.storageBytes = 64;
  const std::string tensor = tensorPickle(8, 0, pickledPair(2, 4), pickledPair(4, 1));
  const std::string one = tensor.substr(2, tensor.size() - 3);
  const auto holding = [&](int count) {
    std::string pickle = "\x80\x02](";
    for (int i = 0; i < count; ++i) pickle += one;
    return pickle + "e.";
  };
  CHECK_NOTHROW(checkPickle(holding(2), "data.pkl", limits));
  CHECK_THROWS_WITH_AS(checkPickle(holding(3), "data.pkl", limits), doctest::Contains("over and over"),
                       Error);
}

TEST_CASE("values that repeat each other without end are refused") {
  const auto doubled = [](int times) {
    std::string pickle = "\x80\x02N";
    pickle += std::string("q\0", 2);
    for (int i = 0; i < times; ++i) {
      pickle += std::string("h") + static_cast<char>(i) + "\x86";
      pickle += std::string("q") + static_cast<char>(i + 1);
    }
    return pickle + ".";
  };
  CHECK_EQ(problemOf(doubled(15)), std::nullopt);
  CHECK(problemOf(doubled(40)).value_or("").find("repeat") != std::string::npos);
}

TEST_CASE("sparse tensors and unknown functions are refused") {
  CHECK(problemOf(tensorPickle(8, 0, pickledPair(2, 4), pickledPair(4, 1), "_rebuild_sparse_tensor"))
            .has_value());
  CHECK(problemOf(tensorPickle(8, 0, pickledPair(2, 4), pickledPair(4, 1), "_rebuild_anything")).has_value());
}

TEST_CASE("objects are of allowed classes only") {
  const auto object = [](const std::string& module, const std::string& name) {
    return "\x80\x02"
           "c" +
           module + "\n" + name + "\n)\x81}b.";
  };
  CHECK_EQ(problemOf(object("__torch__", "Good")), std::nullopt);
  CHECK(problemOf(object("__torch__", "Other"))->starts_with("ERR_UNKNOWN_CLASS"));
  CHECK(problemOf(object("os", "system"))->starts_with("ERR_UNKNOWN_CLASS"));
}

// pickle.dumps([5], 2): a list of one is appended to by an opcode of its own.
TEST_CASE("a list of one passes") {
  CHECK_EQ(problemOf(std::string("\x80\x02]q\x00K\x05"
                                 "a.",
                                 9)),
           std::nullopt);
  CHECK_NE(problemOf("\x80\x02}K\x05"
                     "a."),
           std::nullopt);
  CHECK_NE(problemOf("\x80\x02K\x05"
                     "a."),
           std::nullopt);
}

TEST_CASE("what LibTorch's unpickler would trip over is refused") {
  const std::string head("\x80\x02", 2);
  for (const std::string& body :
       {std::string("s."), std::string("u."), std::string("(N(e."), std::string("Ns."), std::string("}(Nu."),
        std::string("h\x05."), std::string("N"), std::string("NN."), std::string("(N."),
        std::string("K\0)R.", 5), std::string("]q\0(h\0e.", 8), std::string("Nr\xff\xff\xff\x7f."),
        std::string("X\xff\xff\xff\x7f."), std::string("I1\n."), std::string("\x93.")}) {
    CAPTURE(body);
    CHECK(problemOf(head + body).has_value());
  }
  CHECK(problemOf("").has_value());
  CHECK(problemOf("\x80\x04N.").has_value());
}

TEST_CASE("depth is bounded, also of what is dropped") {
  const std::string head("\x80\x02", 2);
  CHECK_EQ(problemOf(head + "N" + std::string(500, '\x85') + "."), std::nullopt);
  CHECK(problemOf(head + "N" + std::string(5000, '\x85') + ".").has_value());
  const std::string open = std::string(5000, ']');
  std::string lists = head;
  for (int i = 0; i < 5000; ++i) lists += "](";
  lists += "N" + std::string(5000, 'e') + ".";
  CHECK(problemOf(lists).has_value());
}
