#include <ATen/ATen.h>
#include <ATen/TensorIndexing.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/importance/importance.h"
#include "core/layers/input_products.h"
#include "core/layers/layer_uses.h"

namespace torchsearch {

namespace {

// Layers with larger sums of inputs have no say, nor have those beyond all that may be held.
constexpr int64_t kMostBytes = int64_t{640} << 20;
constexpr int64_t kMostBytesOfAll = int64_t{4} << 30;
// As in a reconstruction.
constexpr double kDamping = 0.01;
// Channels are taken away in so many rounds, between which the others make up for them.
constexpr int64_t kRounds = 64;
// From so many columns on, in one.
constexpr int64_t kColumnsForRounds = 3000;

// A layer that reads channels, and what it read.
struct Reader {
  WeightMatrix layout;
  InputProducts products;
};

int64_t inputSide(const WeightMatrix& layout) {
  return layout.kind == WeightMatrix::Kind::kProduct ? 0 : 1;
}

// A reader while channels of one group are taken from it.
class Patient {
 public:
  // `matrix` [rows, columns]; `inverse`, of the damped mean of x x^T about the means of x; `columns`
  // [classes, some], those of each class; `energy`, the outputs' mean square.
  Patient(at::Tensor matrix, at::Tensor inverse, at::Tensor columns, double energy)
      : matrix_(std::move(matrix)),
        inverse_(std::move(inverse)),
        columns_(std::move(columns)),
        energy_(energy) {}

  int64_t columns() const { return matrix_.size(1); }

  // [alive]: how much of the outputs, in squares, each class is missed by once the other columns have made up
  // for it: tr(W_S ((C^-1)_SS)^-1 W_S^T).
  at::Tensor damages(const std::vector<int64_t>& alive) const {
    const at::Tensor of = columnsOf(alive);
    const int64_t classes = of.size(0);
    const int64_t each = of.size(1);
    if (each == 1) {
      const at::Tensor flat = of.flatten();
      return matrix_.index_select(1, flat).square().sum(0) / inverse_.diagonal().index_select(0, flat) /
             energy_;
    }
    const at::Tensor weights =
        matrix_.index_select(1, of.flatten()).view({matrix_.size(0), classes, each}).permute({1, 2, 0});
    const at::Tensor blocks = inverse_.index({of.unsqueeze(2), of.unsqueeze(1)});
    const auto [lower, info] = at::linalg_cholesky_ex(blocks);
    return (weights * at::cholesky_solve(weights.contiguous(), lower)).sum({1, 2}) / energy_;
  }

  // Takes these classes away, and lets the other columns make up for them.
  void remove(const std::vector<int64_t>& classes) {
    const at::Tensor gone = columnsOf(classes).flatten();
    const at::Tensor rows = inverse_.index_select(0, gone);
    const auto [lower, info] = at::linalg_cholesky_ex(rows.index_select(1, gone));
    const at::Tensor share = at::cholesky_solve(rows, lower);  // [gone, columns]
    matrix_ -= at::matmul(matrix_.index_select(1, gone), share);
    inverse_ -= at::matmul(rows.t(), share);
    matrix_.index_fill_(1, gone, 0);
    inverse_.index_fill_(0, gone, 0);
    inverse_.index_fill_(1, gone, 0);
  }

 private:
  at::Tensor columnsOf(const std::vector<int64_t>& classes) const {
    return columns_.index_select(0, at::tensor(classes, at::kLong).to(columns_.device()));
  }

  at::Tensor matrix_;
  at::Tensor inverse_;
  at::Tensor columns_;
  double energy_;
};

// How well the other channels can stand for a channel, where it is read: the part of the layers' outputs that
// no least squares fit by the others explains (Hassibi and Stork, "Second Order Derivatives for Network
// Pruning: Optimal Brain Surgeon", NIPS 1992; in blocks of channels, one after the other, as in Kurtic et
// al., "ZipLM", NeurIPS 2023). A channel's score is its place in the order in which they are taken away.
class SurgeonImportance : public Importance {
 public:
  bool needsData() const override { return true; }
  bool needsOperators() const override { return true; }

  void add(const MeasuredBatch& batch, const CancelToken& cancel) override {
    const at::NoGradGuard noGrad;
    const Dependencies& dependencies = batch.dependencies;
    const Program& program = dependencies.program();
    std::vector<std::string> names;
    std::vector<at::Tensor> tensors;
    std::vector<SlotId> slots;
    for (size_t i = 0; i < program.slots.size(); ++i) {
      if (program.slots[i].kind != Slot::Kind::kParameter || !batch.values[i].defined()) continue;
      names.push_back(program.slots[i].name);
      tensors.push_back(batch.values[i]);
      slots.push_back(static_cast<SlotId>(i));
    }
    LayerUses observer(
        program, WeightTracker(names, tensors),
        [&](int32_t instruction, const WeightUse& use, const std::vector<c10::IValue>& arguments) {
          const at::Tensor& weight = tensors[use.parameter];
          if (!use.matrix || use.matrix->groups != 1 || !weight.is_floating_point()) return;
          const auto& labels = dependencies.labels(slots[use.parameter], inputSide(*use.matrix));
          if (!holdsChannels(dependencies, labels)) return;
          auto found = readers_.find(names[use.parameter]);
          if (found == readers_.end()) {
            const int64_t bytes = InputProducts::bytesOf(*use.matrix, weight);
            if (bytes > kMostBytes || bytes_ + bytes > kMostBytesOfAll) return;
            bytes_ += bytes;
            found = readers_.emplace(names[use.parameter], Reader{*use.matrix, {}}).first;
          }
          if (found->second.layout.kind != use.matrix->kind) return;
          found->second.products.add(*use.matrix, weight, *program.instructions[instruction].schema,
                                     arguments, found->first);
        });
    RunOptions options;
    options.observer = &observer;
    Bindings bindings;
    bindings.values = batch.values;
    batch.executor.run(bindings, batch.inputs, cancel, options);
    ++batches_;
  }

  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    if (batches_ == 0) {
      throw Error("ERR_EMPTY_LOADER",
                  "The loader gave no batch to learn the layers' inputs from; give it at least one.");
    }
    const at::NoGradGuard noGrad;
    ChannelScores scores = zeroScores(dependencies);
    std::vector<bool> voted(scores.size(), false);
    for (size_t g = 0; g < scores.size(); ++g) {
      auto patients = patientsOf(dependencies, values, static_cast<int32_t>(g));
      if (patients.empty()) continue;
      voted[g] = true;
      takeAway(patients, scores[g]);
    }
    fillByMagnitude(dependencies, values, voted, scores);
    return scores;
  }

 private:
  std::vector<Patient> patientsOf(const Dependencies& dependencies, const std::vector<at::Tensor>& values,
                                  int32_t group) const {
    std::vector<Patient> patients;
    const auto& slots = dependencies.program().slots;
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i].kind != Slot::Kind::kParameter) continue;
      const auto reader = readers_.find(slots[i].name);
      if (reader == readers_.end() || reader->second.products.inputs() == 0) continue;
      const auto& [layout, products] = reader->second;
      const at::Tensor weight = values[i].detach();
      const auto& labels = dependencies.labels(static_cast<SlotId>(i), inputSide(layout));
      const at::Tensor columns = columnsOf(dependencies, labels, group, weight, layout);
      if (columns.numel() == 0) continue;
      const at::Tensor matrix = layout.matrixOf(weight)[0];
      const at::Tensor means = products.meanInput()[0];
      const at::Tensor spread = products.mean(layout, weight)[0] - at::outer(means, means);
      const double energy = at::mul(at::matmul(matrix, spread), matrix).sum().item<double>();
      at::Tensor damped = spread.clone();
      at::Tensor diagonal = damped.diagonal();
      diagonal += kDamping * spread.diagonal().mean();
      const auto [lower, info] = at::linalg_cholesky_ex(damped);
      if (!(energy > 0) || info.item<int64_t>() != 0) continue;  // inputs that don't change say nothing
      patients.emplace_back(matrix.clone(), at::cholesky_inverse(lower), columns, energy);
    }
    return patients;
  }

  // [classes, some]; empty where the group's channels aren't read here, or not alike.
  static at::Tensor columnsOf(const Dependencies& dependencies, const Labels& labels, int32_t group,
                              const at::Tensor& weight, const WeightMatrix& layout) {
    if (labels.empty()) return at::empty({0}, at::kLong);
    const auto channels = static_cast<int64_t>(labels.size());
    const int64_t positions = weight.numel() / (channels * weight.size(1 - inputSide(layout)));
    std::vector<std::vector<int64_t>> byClass(dependencies.groupSize(group));
    for (int64_t position = 0; position < positions; ++position) {
      for (int64_t channel = 0; channel < channels; ++channel) {
        const ClassPlace place = dependencies.placeOf(labels[channel]);
        if (place.group == group) byClass[place.position].push_back(position * channels + channel);
      }
    }
    std::vector<int64_t> flat;
    for (const auto& columns : byClass) {
      if (columns.size() != byClass.front().size()) return at::empty({0}, at::kLong);
      flat.insert(flat.end(), columns.begin(), columns.end());
    }
    return at::tensor(flat, at::kLong).view({static_cast<int64_t>(byClass.size()), -1}).to(weight.device());
  }

  static void takeAway(std::vector<Patient>& patients, std::vector<double>& places) {
    std::vector<int64_t> alive(places.size());
    std::iota(alive.begin(), alive.end(), int64_t{0});
    const bool large = std::any_of(patients.begin(), patients.end(), [](const Patient& patient) {
      return patient.columns() > kColumnsForRounds;
    });
    const auto count = static_cast<int64_t>(alive.size());
    const int64_t round = large ? count : std::max<int64_t>(1, (count + kRounds - 1) / kRounds);
    double place = 0;
    while (!alive.empty()) {
      at::Tensor damage;
      for (const Patient& patient : patients) {
        const at::Tensor of = patient.damages(alive).cpu();
        damage = damage.defined() ? damage + of : of;
      }
      // What no number came of is the last to go.
      damage = at::nan_to_num(damage, std::numeric_limits<double>::max());
      const at::Tensor order = std::get<1>(at::sort(damage, /*stable=*/true, 0, /*descending=*/false));
      const auto chosen = order.narrow(0, 0, std::min<int64_t>(round, order.size(0)));
      std::vector<int64_t> gone;
      for (int64_t i = 0; i < chosen.size(0); ++i) {
        gone.push_back(alive[static_cast<size_t>(chosen[i].item<int64_t>())]);
        places[static_cast<size_t>(gone.back())] = ++place;
      }
      const auto isGone = [&](int64_t each) {
        return std::find(gone.begin(), gone.end(), each) != gone.end();
      };
      alive.erase(std::remove_if(alive.begin(), alive.end(), isGone), alive.end());
      if (alive.empty()) break;
      for (Patient& patient : patients) patient.remove(gone);
    }
  }

  std::map<std::string, Reader> readers_;  // by weight
  int64_t bytes_ = 0;
  int64_t batches_ = 0;
};

}  // namespace

std::shared_ptr<Importance> makeSurgeonImportance() {
  return std::make_shared<SurgeonImportance>();
}

}  // namespace torchsearch
