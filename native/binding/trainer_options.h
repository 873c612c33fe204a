#pragma once

#include <napi.h>

#include "core/train/objective.h"
#include "core/train/supernet_learner.h"
#include "core/train/trainer.h"

namespace torchsearch::binding {

// { optimizer, weightDecay, decayVectors, momentum, nesterov, beta1, beta2, epsilon, schedule, learningRate,
//   finalShare, warmupSteps, totalSteps, clipNorm, seed, trainable? }; what is left out keeps its default.
TrainSettings readTrainSettings(const Napi::Value& value);

// { loss, labelSmoothing, alpha, temperature }
ObjectiveSettings readObjective(const Napi::Value& value);

// As the objective, with { random, smallest: widths }
SandwichSettings readSandwich(const Napi::Value& value);

// { inputs, target, epoch?, first, count, seconds? }
TrainStretch readStretch(const Napi::Value& value);

}  // namespace torchsearch::binding
