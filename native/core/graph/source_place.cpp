#include "core/graph/source_place.h"

#include <torch/csrc/jit/frontend/source_range.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/graph/inlined_graph.h"

namespace torchsearch {

using torch::jit::Node;
using torch::jit::SourceRange;

namespace {

constexpr size_t kLongestFile = 80;
constexpr size_t kLongestText = 100;

struct Line {
  std::string file;
  std::string number;
  std::string text;
  bool traced = false;
};

// A file may say anything: what is printed stays short and on one line.
std::string shown(std::string text, size_t longest) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  text = text.substr(first, text.find_first_of("\r\n", first) - first);
  text.erase(text.find_last_not_of(" \t") + 1);
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  if (text.size() > longest) {
    size_t end = longest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

std::string fileShown(const std::string& file) {
  const size_t parts = file.find_last_of("/\\");
  const size_t from = parts == std::string::npos ? parts : file.find_last_of("/\\", parts - 1);
  return shown(from == std::string::npos || parts == 0 ? file : file.substr(from + 1), kLongestFile);
}

bool isPyTorchs(const std::string& file) {
  return file.find("-packages/torch/") != std::string::npos || file.rfind("code/__torch__/torch/", 0) == 0;
}

bool isNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// A trace's ranges hold the Python stack, innermost first: "model.py(17): forward". Whether there is one.
bool addStack(const std::string& stack, std::vector<Line>& lines) {
  const size_t before = lines.size();
  for (size_t at = 0; at < stack.size();) {
    const size_t end = std::min(stack.find('\n', at), stack.size());
    const std::string entry = stack.substr(at, end - at);
    at = end + 1;
    const size_t close = entry.find("): ");
    const size_t open = entry.rfind('(', close);
    if (close == std::string::npos || open == std::string::npos || open == 0) continue;
    const std::string number = entry.substr(open + 1, close - open - 1);
    if (isNumber(number)) lines.push_back({entry.substr(0, open), number, "", true});
  }
  return lines.size() > before;
}

void addRange(const SourceRange& given, std::vector<Line>& lines) {
  if (given.source() == nullptr) return;
  const SourceRange range = given.findSourceRangeThatGenerated().value_or(given);
  if (range.source() == nullptr) return;
  if (const auto where = range.file_line_col()) {
    const auto& source = *range.source();
    const auto& [file, number, column] = *where;
    const std::string whole = source.text_str().str();
    const std::string first = file + "(";
    if (whole.compare(0, first.size(), first) == 0 && addStack(whole, lines)) return;
    const std::string text = source.get_line(source.lineno_for_offset(range.start())).str();
    lines.push_back({file, std::to_string(number), text});
    return;
  }
  addStack(range.source()->text_str().str(), lines);
}

// From the node outwards, through the calls that were inlined.
std::vector<Line> linesOf(const Node* node) {
  std::vector<Line> lines;
  addRange(node->sourceRange(), lines);
  if (const auto callstack = node->callstack()) {
    auto calls = (*callstack)->vec();
    std::reverse(calls.begin(), calls.end());
    for (const auto& call : calls) addRange(std::get<1>(call), lines);
  }
  return lines;
}

}  // namespace

std::string placeOf(const Node* node) {
  const std::string module = modulePath(node);
  std::string place = module.empty() ? "" : "in module '" + shown(module, kLongestText) + "'";
  std::vector<Line> lines;
  try {
    lines = linesOf(node);
  } catch (const std::exception&) {
    return place;  // debug information that can't be read says nothing
  }
  if (lines.empty()) return place;
  const auto own =
      std::find_if(lines.begin(), lines.end(), [](const Line& line) { return !isPyTorchs(line.file); });
  const Line& line = own == lines.end() ? lines.front() : *own;
  const std::string text = shown(line.text, kLongestText);
  place += (place.empty() ? "at " : ", at ") + fileShown(line.file) + ":" + line.number;
  return text.empty() ? place : place + " (`" + text + "`)";
}

bool isTraced(const torch::jit::Graph& graph) {
  for (const Node* node : graph.nodes()) {
    try {
      const auto lines = linesOf(node);
      if (!lines.empty()) return lines.front().traced;
    } catch (const std::exception&) {
      return false;
    }
  }
  return false;
}

}  // namespace torchsearch
