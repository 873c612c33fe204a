#pragma once

#include <napi.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "binding/translate.h"
#include "core/cost/metric.h"
#include "core/evaluation/loss.h"
#include "core/evaluation/score.h"
#include "core/importance/importance.h"
#include "core/quantization/number_format.h"
#include "core/space/hyperparameter.h"
#include "core/train/optimizer.h"
#include "core/train/schedule.h"

namespace torchsearch::binding {

// How JavaScript spells the values of an enum: the one place where each of them is named.
template <class Value>
struct Names {
  const char* what;  // that has such a value, as the first words of an error
  const char* code;  // of that error
  std::vector<std::pair<std::string_view, Value>> values;
  // Earlier spellings and the present ones.
  std::vector<std::pair<std::string_view, std::string_view>> former = {};
};

inline const Names<HyperparameterKind> kHyperparameterKinds{
    "A hyperparameter's kind",
    "ERR_HYPERPARAMETER",
    {{"outChannels", HyperparameterKind::kOutChannels},
     {"hiddenWidth", HyperparameterKind::kHiddenWidth},
     {"numHeads", HyperparameterKind::kNumHeads},
     {"depth", HyperparameterKind::kDepth}},
    {{"out_channels", "outChannels"}, {"hidden_width", "hiddenWidth"}, {"num_heads", "numHeads"}}};

inline const Names<Metric> kMetrics{"The metric of a cost",
                                    "ERR_UNKNOWN_METRIC",
                                    {{"params", Metric::kParams},
                                     {"macs", Metric::kMacs},
                                     {"flops", Metric::kFlops},
                                     {"size", Metric::kSize},
                                     {"memory", Metric::kMemory},
                                     {"latency", Metric::kLatency}}};

inline const Names<LossKind> kLosses{
    "The loss",
    "ERR_CONFIG_VALUE",
    {{"crossEntropy", LossKind::kCrossEntropy}, {"meanSquaredError", LossKind::kMeanSquaredError}},
    {{"cross_entropy", "crossEntropy"}, {"mse", "meanSquaredError"}}};

inline const Names<ScoreKind> kScores{"A score's kind",
                                      "ERR_SCORE_INPUT",
                                      {{"topKAccuracy", ScoreKind::kTopKAccuracy},
                                       {"crossEntropy", ScoreKind::kCrossEntropy},
                                       {"meanSquaredError", ScoreKind::kMeanSquaredError},
                                       {"klDivergence", ScoreKind::kKlDivergence},
                                       {"teacherDistance", ScoreKind::kTeacherDistance}},
                                      {{"topk", "topKAccuracy"},
                                       {"cross_entropy", "crossEntropy"},
                                       {"mse", "meanSquaredError"},
                                       {"kl", "klDivergence"}}};

inline const Names<DistanceKind> kDistances{"A distance",
                                            "ERR_CONFIG_VALUE",
                                            {{"ignored", DistanceKind::kIgnored},
                                             {"logits", DistanceKind::kLogits},
                                             {"distribution", DistanceKind::kDistribution},
                                             {"probabilities", DistanceKind::kProbabilities},
                                             {"features", DistanceKind::kFeatures}},
                                            {}};

inline const Names<ImportanceKind> kImportances{"importance",
                                                "ERR_CONFIG_VALUE",
                                                {{"l1", ImportanceKind::kL1},
                                                 {"l2", ImportanceKind::kL2},
                                                 {"fpgm", ImportanceKind::kFpgm},
                                                 {"bnScale", ImportanceKind::kBnScale},
                                                 {"taylor", ImportanceKind::kTaylor},
                                                 {"activation", ImportanceKind::kActivation},
                                                 {"lamp", ImportanceKind::kLamp},
                                                 {"obd", ImportanceKind::kObd},
                                                 {"obs", ImportanceKind::kObs},
                                                 {"random", ImportanceKind::kRandom}},
                                                {{"bn_scale", "bnScale"}}};

inline const Names<OptimizerKind> kOptimizers{
    "The optimizer", "ERR_CONFIG_VALUE", {{"adamw", OptimizerKind::kAdamw}, {"sgd", OptimizerKind::kSgd}}};

inline const Names<Schedule::Kind> kSchedules{
    "The schedule",
    "ERR_CONFIG_VALUE",
    {{"constant", Schedule::Kind::kConstant}, {"cosine", Schedule::Kind::kCosine}}};

inline const Names<NumberType> kNumberTypes{
    "The type of a number format",
    "ERR_CONFIG_VALUE",
    {{"int", NumberType::kInt}, {"e4m3", NumberType::kE4M3}, {"e5m2", NumberType::kE5M2}}};

inline const Names<Granularity> kGranularities{
    "The granularity of a number format",
    "ERR_CONFIG_VALUE",
    {{"tensor", Granularity::kTensor}, {"channel", Granularity::kChannel}, {"block", Granularity::kBlock}}};

inline const Names<Calibration> kCalibrations{"The calibration of a number format",
                                              "ERR_CONFIG_VALUE",
                                              {{"max", Calibration::kMax},
                                               {"percentile", Calibration::kPercentile},
                                               {"meanSquaredError", Calibration::kMeanSquaredError}},
                                              {{"mse", "meanSquaredError"}}};

// "The loss must be "a", "b" or "c", not "d".", or how the former name that was given is spelt now.
std::string refusal(const char* what, const std::vector<std::string_view>& names,
                    const std::vector<std::pair<std::string_view, std::string_view>>& former,
                    const Napi::Value& given);

// The value that JavaScript named. The table's error for anything else, which lists the names.
template <class Value>
Value readName(const Names<Value>& table, const Napi::Value& given) {
  if (given.IsString()) {
    const std::string text = given.As<Napi::String>();
    for (const auto& [name, value] : table.values) {
      if (name == text) return value;
    }
  }
  std::vector<std::string_view> names;
  for (const auto& entry : table.values) names.push_back(entry.first);
  fail(given.Env(), table.code, refusal(table.what, names, table.former, given));
}

// How JavaScript spells a value.
template <class Value>
std::string nameOf(const Names<Value>& table, Value value) {
  for (const auto& [name, known] : table.values) {
    if (known == value) return std::string(name);
  }
  return {};
}

}  // namespace torchsearch::binding
