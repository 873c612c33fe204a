#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/forward/executor.h"
#include "core/graph/dependency.h"
#include "core/space/subnet.h"

namespace torchsearch {

// Tensors of a subnet's own, by name: recalibrated buffers, reconstructed weights.
using SubnetTensors = std::map<std::string, at::Tensor>;

// What runs a program as a subnet: the channels of the module's parameters and buffers that it keeps, as
// views where they lie side by side, or what was chosen, recalibrated or reconstructed in their place; and
// the sizes and numbers that differ. `dependencies` are those of the program, or of the one that it is a part
// of.
Bindings bindSubnet(const Program& program, const Dependencies& dependencies,
                    const torch::jit::Module& module, const Subnet& subnet, const SubnetTensors& own);

// The same for widths alone, in memory of their own and row by row, as an exported module has them.
Bindings bindSeparately(const Program& program, const Dependencies& dependencies,
                        const torch::jit::Module& module, const std::vector<int64_t>& widths);

// The same for a subnet to be trained: gradients reach the module's parameters, and batch norms take the
// batch's statistics. Only where it leads do these go into the module's running ones, and does dropout drop.
Bindings bindForTraining(const Program& program, const Dependencies& dependencies,
                         const torch::jit::Module& module, const Subnet& subnet, bool leads);

// Batch norms that average the batches' statistics into buffers of the subnet's own.
struct Recalibration {
  std::vector<size_t> momenta;  // which of the overrides follow the number of batches
  int32_t lastNorm = -1;        // the last instruction whose statistics are recomputed; -1 for none
};

// Makes a subnet's bindings recalibrate: statistics that the subnet has none of yet begin as the bound ones.
Recalibration bindRecalibration(const Program& program, Bindings& bindings, SubnetTensors& statistics);

// For the next batch, after so many: a momentum of 1 / n gives the plain average over the batches seen.
void setMomenta(const Recalibration& recalibration, int64_t batches, Bindings& bindings);

}  // namespace torchsearch
