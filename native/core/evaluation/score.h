#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "core/evaluation/score_input.h"
#include "core/evaluation/teacher_distance.h"

namespace torchsearch {

enum class ScoreKind : uint8_t {
  kTopKAccuracy,  // 0 to 1
  kCrossEntropy,
  kMeanSquaredError,
  kKlDivergence,     // from a teacher
  kTeacherDistance,  // of all tensors, whatever they are
};

struct ScoreOptions {
  int64_t k = 1;        // kTopKAccuracy
  OutputView view;      // how outputs are read
  TeacherView teacher;  // kTeacherDistance
};

// A number over many batches, accumulated in float64. May be used from any thread.
class Score {
 public:
  virtual ~Score() = default;

  // ERR_SCORE_INPUT for options that it can't have.
  static std::shared_ptr<Score> make(ScoreKind kind, const ScoreOptions& options);

  void reset();
  // Adds one batch. `output` and `teacher` are whatever the models returned; the view tells their tensors.
  // ERR_SCORE_INPUT when shapes or dtypes do not fit, ERR_SCORE_NAN when the score stops being a finite
  // number. `inputs` are those of the batch, for a mask among them.
  void add(const c10::IValue& output, const at::Tensor& target, const c10::IValue& teacher,
           const Inputs& inputs = {});

  double value() const;   // the mean so far; ERR_EMPTY_LOADER before the first batch
  int64_t count() const;  // what the mean is taken over: samples, targets or elements

  virtual bool needsTarget() const { return true; }
  virtual bool needsTeacher() const { return false; }

  // What the batches so far came to.
  struct Tally {
    double sum = 0;
    int64_t count = 0;    // what the mean is taken over
    int64_t targets = 0;  // the same and those that the mean leaves out
  };
  Tally tally() const;

  // A target's value at best, or a shade better where rounding may be: nothing beats it. Losses are better
  // the lower they are.
  virtual double best() const { return 0; }
  // And at worst, where it has an end.
  virtual std::optional<double> worst() const { return std::nullopt; }
  virtual bool isLoss() const { return true; }

 protected:
  struct Part {
    double sum;
    int64_t count;
    int64_t ignored = 0;  // targets that `count` leaves out
  };
  virtual Part measure(const at::Tensor& output, const at::Tensor& target,
                       const at::Tensor& teacher) const = 0;

  // Of whole outputs; by default of the tensors that the view tells.
  virtual Part measureWhole(const c10::IValue& output, const at::Tensor& target, const c10::IValue& teacher,
                            const Inputs& inputs) const;

 private:
  OutputView view_;
  mutable std::mutex mutex_;
  Tally tally_;
};

}  // namespace torchsearch
