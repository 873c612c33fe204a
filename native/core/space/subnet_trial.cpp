#include "core/space/subnet_trial.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/graph/size_form.h"
#include "core/space/find_hyperparameters.h"
#include "core/space/prefix_analysis.h"
#include "core/space/subnet_run.h"

namespace torchsearch {

namespace {

// The multiply-adds that removing blocks one by one may take, in those of the full model.
constexpr double kSingleRemovals = 2;

// Holds what every instruction gives against the sizes that the analysis says.
class SizeCheck : public ExecutionObserver {
 public:
  SizeCheck(const Program& program, const Dependencies& dependencies, const std::vector<int64_t>& widths)
      : program_(program), dependencies_(dependencies), widths_(widths) {}

  void beforeInstruction(int32_t instruction, const std::vector<at::Tensor>&) override { at_ = instruction; }

  void afterInstruction(int32_t instruction, const std::vector<at::Tensor>& values) override {
    for (const auto& result : program_.instructions[instruction].results) {
      forEachSlot(result, [&](SlotId slot) { check(slot, values[slot]); });
    }
  }

  std::string reason() const {
    const auto& instruction = program_.instructions[at_];
    const std::string where = instruction.scope.empty() ? "" : " in '" + instruction.scope + "'";
    const std::string what = differs_ ? "' gives another shape than expected" : "' fails";
    return "'" + instruction.schema->name() + what + where + " when it is narrowed";
  }

 private:
  void check(SlotId slot, const at::Tensor& value) {
    const auto rank = static_cast<int64_t>(program_.slots[slot].sizes.size());
    differs_ = value.dim() != rank;
    for (int64_t d = 0; d < rank && !differs_; ++d) {
      const bool whole = dependencies_.labels(slot, d).empty();
      const int64_t expected =
          whole ? program_.slots[slot].sizes[d] : sizeForm(dependencies_, slot, d).at(widths_);
      differs_ = value.size(d) != expected;
    }
    TORCH_CHECK(!differs_, "another shape");
  }

  const Program& program_;
  const Dependencies& dependencies_;
  const std::vector<int64_t>& widths_;
  int32_t at_ = 0;
  bool differs_ = false;
};

class Trial {
 public:
  Trial(ConvertedModel& model, int64_t channelDivisor, const CancelToken& cancel)
      : model_(model), channelDivisor_(channelDivisor), cancel_(cancel) {}

  std::vector<Unprunable> run() {
    settleAnalysis();
    settleWidths([](const Hyperparameter& width, size_t) { return width.choices.front(); });
    settleWidths([](const Hyperparameter& width, size_t place) {
      return width.choices[(place * 7 + 1) % width.choices.size()];
    });
    settleBlocks();
    return std::move(lines_);
  }

 private:
  // What a batch of the dummy input's shape would be run with.
  void settleAnalysis() {
    for (;;) {
      const auto conflicts = Dependencies::disagreeing(model_.program, *model_.dependencies);
      if (conflicts.empty()) return;
      std::map<int32_t, std::string> reasons;
      for (const int32_t group : conflicts) reasons[group] = "what it is tied to is not understood";
      giveUp(reasons);
    }
  }

  // Narrows all widths as `choose` says. Where that fails, the first one that makes the ones before it fail
  // is given up, until the others run.
  template <typename Choose>
  void settleWidths(const Choose& choose) {
    for (;;) {
      std::vector<Hyperparameter> widths;
      for (auto& item : findWidths(*model_.dependencies, channelDivisor_)) {
        if (item.choices.size() > 1) widths.push_back(std::move(item));
      }
      const auto narrowed = [&](size_t count) {
        auto values = fullWidths(*model_.dependencies);
        for (size_t i = 0; i < count; ++i) values[widths[i].group] = choose(widths[i], i);
        return values;
      };
      const auto failure = [&](size_t count) { return failureOf(narrowed(count), allKept()); };
      const auto found = firstFailing(widths.size(), failure);
      if (!found) return;
      giveUp({{widths[found->first].group, found->second}});
    }
  }

  void settleBlocks() {
    const auto all = findWidths(*model_.dependencies, channelDivisor_);
    auto smallest = fullWidths(*model_.dependencies);
    for (const auto& width : all) smallest[width.group] = width.choices.front();
    for (;;) {
      const auto failure = [&](size_t count) {
        auto kept = allKept();
        std::fill(kept.begin(), kept.begin() + static_cast<int64_t>(count), false);
        return failureOf(smallest, kept);
      };
      const auto found = firstFailing(model_.blocks.blocks.size(), failure);
      if (!found) break;
      giveUpBlock(found->first, found->second);
    }
    for (size_t b = 0; b < singleRemovals(smallest);) {
      auto kept = allKept();
      kept[b] = false;
      const auto failure = failureOf(smallest, kept);
      if (failure) {
        giveUpBlock(b, *failure);
      } else {
        ++b;
      }
    }
  }

  // Shapes can't differ without a block: x, f(x) and their sum are narrowed alike. So a few runs will do
  // where many would take long.
  size_t singleRemovals(const std::vector<int64_t>& smallest) const {
    const PrefixAnalysis analysis(*model_.dependencies, model_.blocks);
    const auto work = [&](const std::vector<int64_t>& widths) {
      return analysis.multiplyAddsBefore({widths, allKept(), {}}).back();
    };
    const double one = std::max(1.0, work(smallest));
    const double most = kSingleRemovals * work(fullWidths(*model_.dependencies)) / one;
    const size_t count = model_.blocks.blocks.size();
    return most < static_cast<double>(count) ? static_cast<size_t>(most) : count;
  }

  // The place and reason of the first of so many changes with which those up to it fail.
  template <typename FailureOf>
  static std::optional<std::pair<size_t, std::string>> firstFailing(size_t count,
                                                                    const FailureOf& failureOf) {
    if (count == 0) return std::nullopt;
    auto failure = failureOf(count);
    if (!failure) return std::nullopt;
    size_t runs = 0;
    size_t fails = count;
    while (fails - runs > 1) {
      const size_t middle = runs + (fails - runs) / 2;
      if (auto other = failureOf(middle)) {
        fails = middle;
        failure = std::move(other);
      } else {
        runs = middle;
      }
    }
    return std::pair(fails - 1, *failure);
  }

  std::optional<std::string> failureOf(const std::vector<int64_t>& widths, const std::vector<bool>& kept) {
    SizeCheck check(*model_.program, *model_.dependencies, widths);
    try {
      runSubnet(model_, widths, kept, check, cancel_);
    } catch (const Error& error) {
      if (error.code() != "ERR_FORWARD") throw;
      return check.reason();
    }
    return std::nullopt;
  }

  std::vector<bool> allKept() const { return std::vector<bool>(model_.blocks.blocks.size(), true); }

  void giveUp(const std::map<int32_t, std::string>& reasons) {
    model_.dependencies = std::make_shared<const Dependencies>(model_.dependencies->without(reasons));
  }

  void giveUpBlock(size_t block, const std::string& reason) {
    const ResidualBlock& gone = model_.blocks.blocks[block];
    lines_.push_back({gone.name, -1, reason});
    givenUp_.insert(gone.addition.instruction);
    model_.blocks = findResidualBlocks(*model_.program, givenUp_);
  }

  ConvertedModel& model_;
  int64_t channelDivisor_;
  const CancelToken& cancel_;
  std::set<int32_t> givenUp_;  // additions
  std::vector<Unprunable> lines_;
};

}  // namespace

std::vector<Unprunable> giveUpWhatFails(ConvertedModel& model, int64_t channelDivisor,
                                        const CancelToken& cancel) {
  return Trial(model, channelDivisor, cancel).run();
}

}  // namespace torchsearch
