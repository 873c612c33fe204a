#include "tests/support/rule_case.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <utility>

#include "core/forward/executor.h"
#include "core/graph/dependency.h"
#include "core/graph/size_arguments.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

struct Operand {
  char kind = ' ';  // ' ' a parameter, '@' an input, '%' a buffer of indices
  std::string name;
  int64_t bound = 0;
  std::vector<int64_t> sizes;
};

std::vector<std::string> cut(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

std::vector<Operand> operandsOf(const RuleCase& test) {
  std::vector<Operand> operands;
  for (const auto& part : cut(test.operands, '|')) {
    std::istringstream words(part);
    Operand operand;
    words >> operand.name;
    if (operand.name[0] == '@' || operand.name[0] == '%') {
      operand.kind = operand.name[0];
      operand.name.erase(0, 1);
    }
    const auto bound = operand.name.find('<');
    if (bound != std::string::npos) {
      operand.bound = std::stoll(operand.name.substr(bound + 1));
      operand.name.erase(bound);
    }
    for (int64_t size = 0; words >> size;) operand.sizes.push_back(size);
    operands.push_back(std::move(operand));
  }
  return operands;
}

// The class of an index: a letter and a number, or none.
using Class = std::pair<char, int64_t>;
constexpr char kWhole = '.';

struct Term {
  int64_t tiles = 1;
  int64_t each = 1;
  char letter = kWhole;
  bool reversed = false;
  int64_t wholeSize = 0;  // of a "."; 0: the whole dimension
};

std::vector<Term> termsOf(const std::string& text) {
  std::vector<Term> terms;
  for (const auto& part : cut(text, '+')) {
    Term term;
    if (part[0] == kWhole) {
      if (part.size() > 1) term.wholeSize = std::stoll(part.substr(1));
    } else {
      const auto letter = std::find_if(part.begin(), part.end(), [](char c) { return std::isalpha(c) != 0; });
      term.letter = *letter;
      if (letter != part.begin() && *(letter - 1) == '*') term.tiles = std::stoll(part);
      if (letter != part.begin() && *(letter - 1) == '~') term.reversed = true;
      if (letter + 1 != part.end()) term.each = std::stoll(std::string(letter + 2, part.end()));
    }
    terms.push_back(term);
  }
  return terms;
}

std::vector<Class> classesOf(const std::vector<Term>& terms, int64_t size,
                             const std::map<char, int64_t>& counts) {
  std::vector<Class> classes;
  for (const auto& term : terms) {
    if (term.letter == kWhole) {
      const int64_t length = term.wholeSize > 0 ? term.wholeSize : size;
      classes.insert(classes.end(), length, Class(kWhole, 0));
      continue;
    }
    const int64_t count = counts.at(term.letter);
    for (int64_t t = 0; t < term.tiles; ++t) {
      for (int64_t k = 0; k < count; ++k) {
        classes.insert(classes.end(), term.each, Class(term.letter, term.reversed ? count - 1 - k : k));
      }
    }
  }
  return classes;
}

class Check {
 public:
  explicit Check(const RuleCase& test) : test_(test), operands_(operandsOf(test)) {
    for (const auto& operand : operands_) {
      if (operand.kind == '%') {
        values_[operand.name] = at::randint(operand.bound, operand.sizes, at::kLong);
      } else {
        values_[operand.name] = at::randn(operand.sizes);
      }
    }
    for (const auto& part : cut(test.labels, '|')) {
      std::istringstream words(part);
      std::string name;
      words >> name;
      auto& dimensions = expected_[name];
      for (std::string word; words >> word;) dimensions.push_back(termsOf(word));
      if (values_.count(name) == 0) results_.push_back(name);
    }
    Recorded recorded(moduleOf(values_), positional(inputs(0)));
    program_ = recorded.program;
    bindings_ = bindModule(*program_, recorded.module);
    dependencies_ = std::make_shared<const Dependencies>(program_);
    plan_ = std::make_shared<const ExecutionPlan>(program_);
    for (size_t i = 0; i < program_->instructions.size(); ++i) {
      const auto& instruction = program_->instructions[i];
      if (instruction.schema->name() != "aten::asinh") continue;
      resultSlots_[results_.at(resultSlots_.size())] = instruction.arguments[0].slot;
      readers_.push_back(static_cast<int32_t>(i));
    }
    REQUIRE(resultSlots_.size() == results_.size());
  }

  void all() {
    checkClasses();
    const auto whole = run(bindings_);
    checkOrder(whole);
    std::vector<int64_t> widths;
    for (size_t g = 0; g < dependencies_->groupCount(); ++g) {
      widths.push_back(below(dependencies_->groupSize(static_cast<int32_t>(g))));
    }
    checkNarrowed(widths);
    checkExport();
  }

 private:
  int64_t below(int64_t size) {
    return size < 2 ? size : std::uniform_int_distribution<int64_t>(1, size - 1)(random_);
  }

  std::vector<at::Tensor> inputs(int64_t more) {
    std::vector<at::Tensor> tensors;
    for (const auto& operand : operands_) {
      if (operand.kind != '@') continue;
      auto sizes = operand.sizes;
      sizes[0] += more;
      tensors.push_back(more == 0 ? values_.at(operand.name) : at::randn(sizes));
    }
    return tensors;
  }

  torch::jit::Module moduleOf(const std::map<std::string, at::Tensor>& values) const {
    torch::jit::Module module("m");
    std::string text = "def forward(self";
    for (const auto& operand : operands_) {
      if (operand.kind == '@') text += ", " + operand.name;
      if (operand.kind == ' ')
        module.register_parameter(operand.name, values.at(operand.name).clone(), false);
      if (operand.kind == '%') module.register_buffer(operand.name, values.at(operand.name).clone());
    }
    text += "):\n";
    for (const auto& line : cut(test_.source, '\n')) text += "    " + line + "\n";
    std::string sum;
    for (const auto& name : results_) {
      sum += (sum.empty() ? "" : " + ") + ("torch.asinh(" + name + ".float()).sum()");
    }
    module.define(text + "    return " + sum + "\n");
    return module;
  }

  SlotId slotOf(const std::string& name) const {
    const auto result = resultSlots_.find(name);
    if (result != resultSlots_.end()) return result->second;
    for (size_t i = 0; i < program_->slots.size(); ++i) {
      if (program_->slots[i].isStored() && program_->slots[i].name == name) return static_cast<SlotId>(i);
    }
    throw std::runtime_error("no tensor " + name);
  }

  // Letters and groups, classes and positions, correspond one to one.
  void checkClasses() {
    std::map<char, int64_t> counts;
    for (const auto& [name, dimensions] : expected_) {
      const auto& sizes = program_->slots[slotOf(name)].sizes;
      INFO(name, " has ", sizes.size(), " dimensions");
      REQUIRE(dimensions.size() == sizes.size());
      for (size_t d = 0; d < dimensions.size(); ++d) {
        const auto& term = dimensions[d][0];
        if (dimensions[d].size() == 1 && term.letter != kWhole) {
          counts.emplace(term.letter, sizes[d] / term.tiles / term.each);
        }
      }
    }
    std::map<Class, std::pair<int32_t, int32_t>> places;
    std::map<std::pair<int32_t, int32_t>, Class> classes;
    std::map<char, int32_t> groups;
    std::map<int32_t, char> letters;
    for (const auto& [name, dimensions] : expected_) {
      const SlotId slot = slotOf(name);
      for (size_t d = 0; d < dimensions.size(); ++d) {
        const int64_t size = program_->slots[slot].sizes[d];
        const auto wanted = classesOf(dimensions[d], size, counts);
        REQUIRE(static_cast<int64_t>(wanted.size()) == size);
        const auto& labels = dependencies_->labels(slot, static_cast<int64_t>(d));
        for (int64_t i = 0; i < size; ++i) {
          const auto place = labels.empty() ? ClassPlace() : dependencies_->placeOf(labels[i]);
          INFO(name, " dimension ", d, " index ", i, " expected ", wanted[i].first, wanted[i].second,
               place.group == kNoGroup && !labels.empty() ? ": " + dependencies_->reasonOf(labels[i]) : "");
          CHECK((place.group == kNoGroup) == (wanted[i].first == kWhole));
          if (place.group == kNoGroup || wanted[i].first == kWhole) continue;
          const std::pair<int32_t, int32_t> key(place.group, place.position);
          CHECK(places.emplace(wanted[i], key).first->second == key);
          CHECK(classes.emplace(key, wanted[i]).first->second == wanted[i]);
          CHECK(groups.emplace(wanted[i].first, place.group).first->second == place.group);
          CHECK(letters.emplace(place.group, wanted[i].first).first->second == wanted[i].first);
        }
      }
    }
    CHECK(groups.size() == dependencies_->groupCount());
  }

  std::map<std::string, at::Tensor> run(const Bindings& bindings) {
    Bindings own = bindings;
    for (auto& value : own.values) {
      if (value.defined()) value = value.clone();  // the source may write in place
    }
    struct Catch : ExecutionObserver {
      const std::vector<int32_t>* readers = nullptr;
      const std::vector<SlotId>* slots = nullptr;
      std::vector<at::Tensor> caught;
      void beforeInstruction(int32_t instruction, const std::vector<at::Tensor>& values) override {
        for (size_t k = 0; k < readers->size(); ++k) {
          if ((*readers)[k] == instruction) caught.push_back(values[(*slots)[k]].clone());
        }
      }
      void afterInstruction(int32_t, const std::vector<at::Tensor>&) override {}
    } observer;
    std::vector<SlotId> slots;
    for (const auto& name : results_) slots.push_back(resultSlots_.at(name));
    observer.readers = &readers_;
    observer.slots = &slots;
    RunOptions options;
    options.observer = &observer;
    Executor executor(plan_);
    executor.run(own, inputs(0), CancelToken(), options);
    std::map<std::string, at::Tensor> results;
    for (size_t k = 0; k < results_.size(); ++k) results[results_[k]] = observer.caught.at(k);
    return results;
  }

  // `tensor`, each labelled dimension of it rearranged or cut.
  template <typename Indices>
  at::Tensor selected(at::Tensor tensor, SlotId slot, const Indices& indices) const {
    for (int64_t d = 0; d < tensor.dim(); ++d) {
      if (dependencies_->labels(slot, d).empty()) continue;
      tensor = tensor.index_select(d, at::tensor(indices(slot, d), at::kLong));
    }
    return tensor;
  }

  static void checkEqual(const at::Tensor& actual, const at::Tensor& expected, const std::string& what) {
    INFO(what);
    REQUIRE(actual.sizes() == expected.sizes());
    CHECK(at::allclose(actual.to(at::kDouble), expected.to(at::kDouble), 1e-4, 1e-5, /*equal_nan=*/true));
  }

  // Classes of a group that change places in all parameters change places in the results, and nothing else.
  void checkOrder(const std::map<std::string, at::Tensor>& whole) {
    std::vector<std::vector<int64_t>> orders(dependencies_->groupCount());
    for (size_t g = 0; g < orders.size(); ++g) {
      orders[g].resize(dependencies_->groupSize(static_cast<int32_t>(g)));
      std::iota(orders[g].begin(), orders[g].end(), 0);
      std::shuffle(orders[g].begin(), orders[g].end(), random_);
    }
    const auto indices = [&](SlotId slot, int64_t dimension) {
      const auto& labels = dependencies_->labels(slot, dimension);
      std::map<std::pair<int32_t, int32_t>, std::vector<int64_t>> members;
      for (size_t i = 0; i < labels.size(); ++i) {
        const auto place = dependencies_->placeOf(labels[i]);
        members[{place.group, place.position}].push_back(static_cast<int64_t>(i));
      }
      std::vector<int64_t> order(labels.size());
      for (const auto& [key, own] : members) {
        const auto [group, position] = key;
        const auto& source =
            group == kNoGroup ? own : members.at({group, static_cast<int32_t>(orders[group][position])});
        for (size_t k = 0; k < own.size(); ++k) order[own[k]] = source.at(k);
      }
      return order;
    };
    Bindings permuted = bindings_;
    for (size_t i = 0; i < permuted.values.size(); ++i) {
      const auto slot = static_cast<SlotId>(i);
      if (program_->slots[i].isStored()) permuted.values[i] = selected(permuted.values[i], slot, indices);
    }
    for (const auto& [name, value] : run(permuted)) {
      checkEqual(value, selected(whole.at(name), resultSlots_.at(name), indices),
                 name + " of permuted classes");
    }
  }

  void checkNarrowed(const std::vector<int64_t>& widths) {
    const auto kept = [&](SlotId slot, int64_t dimension) {
      return dependencies_->kept(slot, dimension, widths);
    };
    Bindings narrowed = bindings_;
    Bindings masked = bindings_;
    std::map<std::string, at::Tensor> narrowValues = values_;
    for (size_t i = 0; i < program_->slots.size(); ++i) {
      const auto slot = static_cast<SlotId>(i);
      if (!program_->slots[i].isStored()) continue;
      narrowed.values[i] = selected(narrowed.values[i], slot, kept);
      narrowValues[program_->slots[i].name] = narrowed.values[i];
      if (program_->slots[i].kind != Slot::Kind::kParameter) continue;
      at::Tensor filled = masked.values[i].clone();
      for (int64_t d = 0; d < filled.dim(); ++d) {
        if (dependencies_->labels(slot, d).empty()) continue;
        const auto indices = kept(slot, d);
        const at::Tensor keep =
            at::zeros({filled.size(d)}, at::kBool).index_fill_(0, at::tensor(indices, at::kLong), true);
        std::vector<int64_t> shape(filled.dim(), 1);
        shape[d] = -1;
        filled = filled.masked_fill(keep.logical_not().view(shape), test_.mask);
      }
      masked.values[i] = filled;
    }
    narrowed.overrides = sizeArguments(*dependencies_, widths);
    const auto actual = run(narrowed);
    for (const auto& [name, value] : actual) {
      const SlotId slot = resultSlots_.at(name);
      for (int64_t d = 0; d < value.dim(); ++d) {
        CHECK(value.size(d) == dependencies_->keptCount(slot, d, widths));
      }
    }
    if (!std::isnan(test_.mask)) {
      for (const auto& [name, value] : run(masked)) {
        checkEqual(actual.at(name), selected(value, resultSlots_.at(name), kept),
                   name + " against masked operands");
      }
    }
    if (!test_.hasSizes) {
      Recorded compiled(moduleOf(narrowValues), positional(inputs(0)));
      Bindings own = bindModule(*program_, compiled.module);
      double sum = 0;
      for (const auto& [name, value] : actual) sum += value.to(at::kFloat).asinh().sum().item<double>();
      CHECK(compiled.output.toTensor().item<double>() == doctest::Approx(sum).epsilon(1e-4));
    }
  }

  void checkExport() {
    const auto module = std::make_shared<Module>(moduleOf(values_));
    SpaceOptions options;
    options.channelDivisor = 1;
    const auto dummy = positional(inputs(0));
    const auto space = SearchSpace::convert(module, dummy, options, CancelToken(), {});
    std::vector<int64_t> widths;
    for (const auto& hyperparameter : space->hyperparameters()) widths.push_back(below(hyperparameter.full));
    space->select(widths);
    const auto subnet = space->exportSubnet();
    for (int64_t more = 0; more < 2; ++more) {
      const auto batch = positional(inputs(more));
      checkEqual(subnet->forward(batch, CancelToken()).toTensor(),
                 space->forward(batch, CancelToken()).toTensor(),
                 "exported, " + std::to_string(more) + " more in the batch");
    }
  }

  const RuleCase& test_;
  std::vector<Operand> operands_;
  std::map<std::string, at::Tensor> values_;
  std::map<std::string, std::vector<std::vector<Term>>> expected_;
  std::vector<std::string> results_;
  std::shared_ptr<const Program> program_;
  std::shared_ptr<const Dependencies> dependencies_;
  std::shared_ptr<const ExecutionPlan> plan_;
  Bindings bindings_;
  std::map<std::string, SlotId> resultSlots_;
  std::vector<int32_t> readers_;
  std::mt19937 random_{7};
};

}  // namespace

void checkRule(const RuleCase& test) {
  INFO(test.source, "  [", test.operands, "]");
  torch::manual_seed(5);
  const at::NoGradGuard noGrad;
  try {
    Check(test).all();
  } catch (const std::exception& failure) {
    FAIL_CHECK(std::string(failure.what()));
  }
}

}  // namespace torchsearch::testing
