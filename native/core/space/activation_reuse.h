#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/forward/activation_cache.h"
#include "core/hash/digest.h"
#include "core/space/program_reuse.h"
#include "core/space/shape_program.h"

namespace torchsearch {

class CheckpointKeys;

// What keeping activations has spared so far.
struct ReuseCounters {
  int64_t budget = 0;   // bytes that may be held; 0 while nothing is kept
  int64_t bytes = 0;    // held now
  int64_t peak = 0;     // the most that was held
  int64_t entries = 0;  // checkpoints held now
  int64_t forwards = 0;
  int64_t hits = 0;  // forwards that went on from a checkpoint
  int64_t instructionsRun = 0;
  int64_t instructionsSkipped = 0;
  double multiplyAddsRun = 0;
  double multiplyAddsSkipped = 0;
};

// Lets a candidate go on from an earlier one's activations. Outputs and statistics are, bit by bit, those
// that full forwards give: what is skipped has run on the same contents of inputs, weights and statistics.
// One thread at a time, but for `counters`.
class ActivationReuse {
 public:
  // How many of the candidates expected are looked at to decide what to keep.
  static constexpr size_t kForesight = 64;

  bool isOn() const { return cache_.budget() > 0; }
  // Keeps at most so many bytes; 0 keeps none. Whether it was switched on or off: `forget` then what programs
  // know.
  bool setBudget(int64_t bytes);
  // Drops all checkpoints and what programs know of them: they have to be bound again.
  void forget(ShapePrograms& programs);
  // Weights may be written from JavaScript, and nothing reports that. Reading them all takes a small part of
  // the time of one forward. Drops all checkpoints where they changed.
  void checkWeights(const torch::jit::Module& module, ShapePrograms& programs);

  // For the subnet that has just been bound. `future`: the first of the candidates that are expected after
  // it.
  void prepare(ShapeProgram& entry, ProgramSubnet subnet, const std::vector<ProgramSubnet>& future,
               const CustomHyperparameters* customs, const SubnetTensors& statistics);

  // Runs what is bound, from a checkpoint where there is one, and keeps what is wanted later. `batches`: how
  // many the statistics were averaged over so far.
  c10::IValue run(ShapeProgram& entry, const std::vector<at::Tensor>& inputs, int32_t stopBefore,
                  int64_t batches, const SubnetTensors& statistics, const CancelToken& cancel);

  // Any thread, at any time.
  ReuseCounters counters() const;

 private:
  struct Resumption;
  struct Capture;

  Resumption findCheckpoint(const ProgramReuse& reuse, const CheckpointKeys& keys) const;
  std::vector<Capture> admitted(const ProgramReuse& reuse, const CheckpointKeys& keys,
                                const Resumption& resumption, int32_t end) const;
  void keep(const ShapeProgram& entry, const std::vector<at::Tensor>& inputs, const Resumption& resumption,
            const std::vector<Capture>& captures, std::vector<Activations>& captured);
  void count(const ProgramReuse& reuse, const Resumption& resumption, int32_t end);
  void publish();

  ActivationCache cache_;
  ReuseCounters counters_;
  Digest weights_;  // of those that the cache is for
  mutable std::mutex publishedMutex_;
  ReuseCounters published_;
};

}  // namespace torchsearch
