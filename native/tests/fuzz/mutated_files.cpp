// Feeds files that may be mutated models to the core, for the sanitizers: `npm test -- sanitize`, `npm run
// fuzz`.
//
// Standard input has a line for each file: its path, a tab, and the shapes of its inputs, such as 2x3x8x8;4,
// or nothing, for those that an exported program holds. Standard output answers each with a line of JSON:
// what each step came to, "ok" or an error's code. What ends the program is attributed, by whoever feeds it,
// to the line that has no answer.
#include <torch/script.h>

#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/failure.h"
#include "core/model/module.h"
#include "core/model/module_file.h"
#include "core/profile/profile.h"
#include "core/space/search_space.h"

namespace torchsearch {
namespace {

Inputs inputsOf(const std::string& shapes) {
  Inputs inputs;
  std::istringstream list(shapes);
  for (std::string shape; std::getline(list, shape, ';');) {
    std::vector<int64_t> sizes;
    std::istringstream numbers(shape);
    for (std::string size; std::getline(numbers, size, 'x');) sizes.push_back(std::stoll(size));
    inputs.args.emplace_back(at::ones(sizes));
  }
  return inputs;
}

class Answer {
 public:
  template <typename Step>
  void step(std::string_view name, Step&& run) {
    std::string code = "ok";
    try {
      run();
    } catch (...) {
      code = describeFailure(std::current_exception(), "ERR_OTHER").code;
    }
    text_ << (text_.tellp() == 0 ? "" : ",") << '"' << name << "\":\"" << code << '"';
  }

  std::string json() const { return "{" + text_.str() + "}"; }

 private:
  std::ostringstream text_;
};

std::string use(const std::string& path, const std::string& shapes) {
  std::optional<Inputs> given = inputsOf(shapes);
  const CancelToken cancel;
  Answer answer;
  if (shapes.empty()) answer.step("sample inputs", [&] { given = readSampleInputs(path, {}); });
  std::shared_ptr<Module> module;
  answer.step("load", [&] { module = Module::load(path, {}); });
  if (module == nullptr || !given) return answer.json();
  const Inputs& inputs = *given;
  answer.step("forward", [&] { module->forward(inputs, cancel); });
  answer.step("evaluate", [&] { module->evaluate(inputs, cancel); });
  answer.step("fingerprint", [&] { module->fingerprint(); });
  answer.step("profile", [&] { profileModule(*module, inputs, {.latency = false, .timing = {}}, cancel); });
  answer.step("convert", [&] {
    const auto space = SearchSpace::convert(module, inputs, {}, cancel, {});
    space->forward(inputs, cancel);
  });
  module->close();
  return answer.json();
}

}  // namespace
}  // namespace torchsearch

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return 2;
    std::cout << torchsearch::use(line.substr(0, tab), line.substr(tab + 1)) << std::endl;
  }
}
