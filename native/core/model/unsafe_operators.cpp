#include "core/model/unsafe_operators.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <array>
#include <cctype>
#include <set>
#include <string_view>

namespace torchsearch {
namespace {

constexpr std::array<std::string_view, 2> kUnsafe{"save", "from_file"};

void collect(const torch::jit::Block* block, std::set<std::string>& found) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (node->kind().is_aten()) {
      const std::string_view name = node->kind().toUnqualString();
      for (const std::string_view bad : kUnsafe) {
        if (name == bad) found.insert("aten::" + std::string(name));
      }
    }
    for (const torch::jit::Block* inner : node->blocks()) collect(inner, found);
  }
}

bool isWordChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool containsWord(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool left = at == 0 || !isWordChar(text[at - 1]);
    const size_t end = at + word.size();
    if (left && (end == text.size() || !isWordChar(text[end]))) return true;
  }
  return false;
}

// `getattr(x, "name")` could spell an operator's name in pieces or escapes; the serializer never writes
// those.
bool hasObscureGetattr(std::string_view text) {
  for (size_t at = text.find("getattr"); at != std::string_view::npos; at = text.find("getattr", at + 1)) {
    const size_t quote = text.find_first_of("\"'", at);
    if (quote == std::string_view::npos) return true;
    const size_t close = text.find(text[quote], quote + 1);
    if (close == std::string_view::npos || close + 1 >= text.size()) return true;
    if (text.substr(quote, close - quote).find('\\') != std::string_view::npos || text[close + 1] != ')')
      return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> unsafeOperators(const torch::jit::Module& module) {
  std::set<std::string> found;
  for (torch::jit::Function* function : module._ivalue()->compilation_unit()->get_functions()) {
    if (auto* graphFunction = torch::jit::tryToGraphFunction(*function)) {
      collect(graphFunction->graph()->block(), found);
    }
  }
  return {found.begin(), found.end()};
}

bool mayRunUnsafeOperatorsOnLoad(const std::vector<std::string>& sources) {
  bool runsCode = false;
  bool unsafe = false;
  for (const std::string& source : sources) {
    runsCode = runsCode || containsWord(source, "__setstate__");
    for (const std::string_view bad : kUnsafe) unsafe = unsafe || containsWord(source, bad);
    unsafe = unsafe || hasObscureGetattr(source);
  }
  return runsCode && unsafe;
}

}  // namespace torchsearch
