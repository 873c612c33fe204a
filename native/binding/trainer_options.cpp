#include "binding/trainer_options.h"

#include "binding/evaluate.h"
#include "binding/names.h"
#include "binding/output_view.h"
#include "binding/translate.h"
#include "binding/widths.h"

namespace torchsearch::binding {

namespace {

// Reads members of an options object into variables, which keep their value where there is no such member.
class OptionsReader {
 public:
  explicit OptionsReader(const Napi::Value& value) {
    if (!value.IsObject()) fail(value.Env(), "ERR_ARGUMENT", "Training needs an object of options.");
    object_ = value.As<Napi::Object>();
  }

  void read(const char* name, double& to) const {
    if (const Napi::Value value = object_.Get(name); value.IsNumber()) to = value.As<Napi::Number>();
  }
  void read(const char* name, int64_t& to) const {
    if (const Napi::Value value = object_.Get(name); value.IsNumber())
      to = value.As<Napi::Number>().Int64Value();
  }
  void read(const char* name, bool& to) const {
    if (const Napi::Value value = object_.Get(name); value.IsBoolean()) to = value.As<Napi::Boolean>();
  }
  template <class Value>
  void read(const char* name, const Names<Value>& names, Value& to) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsUndefined() && !value.IsNull()) to = readName(names, value);
  }
  void read(const char* name, std::vector<std::string>& to) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsArray()) return;
    const Napi::Array items = value.As<Napi::Array>();
    for (uint32_t i = 0; i < items.Length(); ++i) to.push_back(Napi::Value(items.Get(i)).ToString());
  }

 private:
  Napi::Object object_;
};

}  // namespace

TrainSettings readTrainSettings(const Napi::Value& value) {
  const OptionsReader reader(value);
  TrainSettings settings;
  OptimizerSettings& optimizer = settings.optimizer;
  reader.read("optimizer", kOptimizers, optimizer.kind);
  reader.read("weightDecay", optimizer.weightDecay);
  reader.read("decayVectors", optimizer.decayVectors);
  reader.read("momentum", optimizer.momentum);
  reader.read("nesterov", optimizer.nesterov);
  reader.read("beta1", optimizer.beta1);
  reader.read("beta2", optimizer.beta2);
  reader.read("epsilon", optimizer.epsilon);
  reader.read("schedule", kSchedules, settings.schedule.kind);
  reader.read("learningRate", settings.schedule.peak);
  reader.read("finalShare", settings.schedule.finalShare);
  reader.read("warmupSteps", settings.schedule.warmup);
  reader.read("totalSteps", settings.schedule.total);
  reader.read("clipNorm", settings.clipNorm);
  int64_t seed = 0;
  reader.read("seed", seed);
  settings.seed = static_cast<uint64_t>(seed);
  reader.read("trainable", settings.trainable);
  reader.read("dataShards", settings.shards);
  return settings;
}

ObjectiveSettings readObjective(const Napi::Value& value) {
  const OptionsReader reader(value);
  ObjectiveSettings settings;
  reader.read("loss", kLosses, settings.loss);
  reader.read("labelSmoothing", settings.labelSmoothing);
  reader.read("alpha", settings.alpha);
  reader.read("temperature", settings.temperature);
  if (value.IsObject()) settings.teacher = readTeacherView(value.As<Napi::Object>().Get("teacherView"));
  return settings;
}

SandwichSettings readSandwich(const Napi::Value& value) {
  SandwichSettings settings;
  settings.objective = readObjective(value);
  OptionsReader(value).read("random", settings.random);
  if (const Napi::Value smallest = value.As<Napi::Object>().Get("smallest"); !smallest.IsUndefined())
    settings.smallest = readWidths(smallest);
  return settings;
}

TrainStretch readStretch(const Napi::Value& value) {
  const OptionsReader reader(value);
  const LoopOptions loop = readLoopOptions(value);
  TrainStretch stretch;
  stretch.inputs = loop.inputs;
  stretch.target = loop.target;
  int64_t epoch = -1;
  reader.read("epoch", epoch);
  if (epoch >= 0) stretch.shuffledEpoch = epoch;
  reader.read("first", stretch.first);
  reader.read("count", stretch.count);
  reader.read("seconds", stretch.seconds);
  return stretch;
}

}  // namespace torchsearch::binding
