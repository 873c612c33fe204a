#include "core/forward/prepared_program.h"

#include <ATen/Parallel.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "core/forward/executor.h"
#include "core/forward/fused_steps.h"
#include "core/forward/kernel_trial.h"
#include "core/forward/winograd.h"

namespace torchsearch {
namespace {

// What a chain's rule looks at.
struct ChainSize {
  int64_t rows = 1;     // of the matrix product: samples and positions of the output
  int64_t outputs = 0;  // channels
  int64_t inputs = 0;   // elements that one output element is summed over
  int64_t macs() const { return rows * outputs * inputs; }
};

// Calls of oneDNN's operators cost some 20 microseconds more than LibTorch's own, which also has no need of
// them for a single small image.
constexpr int64_t kSmallProduct = 1'500'000;  // multiply-adds

bool isPlain3x3(const FusedChain& chain, const at::Tensor& weight, int64_t groups) {
  const std::vector<int64_t> ones = {1, 1};
  return chain.kind == FusedChain::Kind::kConvolution && groups == 1 && weight.size(2) == 3 &&
         weight.size(3) == 3 && chain.stride == ones && chain.dilation == ones &&
         chain.padding[0] == chain.padding[1] && chain.padding[0] <= 1;
}

// `product` are the sizes of the chain's product, for any number of channels.
StepKernel kernelFor(const FusedChain& chain, const at::Tensor& weight, const ChainSize& size, int64_t groups,
                     const std::vector<int64_t>& product) {
  if (weight.device() != c10::kCPU || weight.scalar_type() != at::kFloat || !hasPackedKernels()) {
    return StepKernel::kPlain;
  }
  if (chain.kind == FusedChain::Kind::kConvolution) {
    if (!mayRunChannelsLast(chain, weight.sizes().vec(), product)) return StepKernel::kPlain;
    if (groups > 1) return StepKernel::kPacked;
  }
  if (hasWinograd() && isPlain3x3(chain, weight, groups) &&
      winogradPays(product[0], weight.size(1), weight.size(0), product[2], product[3])) {
    return StepKernel::kWinograd;
  }
  return size.macs() < kSmallProduct ? StepKernel::kPlain : StepKernel::kPacked;
}

// y = (w x + b - mean) / sqrt(variance + epsilon) * scale + shift, as another w and b.
WeightCache::Weights folded(const FusedChain& chain, const at::Tensor& weight, const at::Tensor& bias,
                            const Bindings& bindings) {
  WeightCache::Weights out{weight, bias};
  if (!chain.normalized) return out;
  const auto value = [&](SlotId slot) {
    return slot == kNoSlot ? at::Tensor() : bindings.values[slot].detach().to(at::kDouble);
  };
  at::Tensor scale = at::rsqrt(value(chain.norm.variance) + chain.norm.epsilon);
  if (chain.norm.weight != kNoSlot) scale = scale * value(chain.norm.weight);
  at::Tensor shift = -value(chain.norm.mean);
  if (bias.defined()) shift = shift + bias.to(at::kDouble);
  shift = shift * scale;
  if (chain.norm.bias != kNoSlot) shift = shift + value(chain.norm.bias);
  std::vector<int64_t> perChannel(static_cast<size_t>(weight.dim()), 1);
  perChannel[0] = -1;
  out.weight = weight * scale.to(weight.scalar_type()).view(perChannel);
  out.bias = shift.to(weight.scalar_type());
  return out;
}

const ArgumentOverride* overrideOf(const Bindings& bindings, int32_t instruction, int32_t argument) {
  const auto found =
      std::lower_bound(bindings.overrides.begin(), bindings.overrides.end(), instruction,
                       [](const ArgumentOverride& entry, int32_t at) { return entry.instruction < at; });
  for (auto entry = found; entry != bindings.overrides.end() && entry->instruction == instruction; ++entry) {
    if (entry->argument == argument || argument < 0) return &*entry;
  }
  return nullptr;
}

// The groups that a chain's convolution has in these bindings, 1 for a linear layer; none where other
// arguments are overridden, for which there is no step.
std::optional<int64_t> groupsOf(const FusedChain& chain, const Bindings& bindings) {
  for (const int32_t member : chain.absorbed) {
    if (overrideOf(bindings, member, -1) != nullptr) return std::nullopt;
  }
  const auto* any = overrideOf(bindings, chain.anchor, -1);
  if (any == nullptr) return chain.groups;
  const auto* groups = overrideOf(bindings, chain.anchor, chain.groupsArgument);
  if (chain.groupsArgument < 0 || groups != any || !groups->value.isInt()) return std::nullopt;
  return groups->value.toInt();
}

// `product` as in kernelFor.
ChainSize sizeOf(const FusedChain& chain, const at::Tensor& weight, const std::vector<int64_t>& product) {
  ChainSize size;
  size.outputs = weight.size(0);
  size.inputs = weight.numel() / std::max<int64_t>(size.outputs, 1);
  if (chain.kind == FusedChain::Kind::kConvolution) {
    size.rows = product[0] * product[2] * product[3];
  } else {
    for (size_t d = 0; d + 1 < product.size(); ++d) size.rows *= product[d];
  }
  return size;
}

// Brings folded weights into the form that a kernel reads. `input`: sizes of the chain's input, for any
// number of channels.
void pack(WeightCache::Weights& weights, const FusedChain& chain, StepKernel kernel, const ChainSize& size,
          int64_t groups, const std::vector<int64_t>& input) {
  const int64_t channels = weights.weight.size(1) * groups;
  weights.weight = weights.weight.contiguous();
  if (kernel == StepKernel::kPacked) {
    weights.weight =
        chain.kind == FusedChain::Kind::kConvolution
            ? packConvolution(chain, weights.weight, groups, {input[0], channels, input[2], input[3]})
            : packLinear(weights.weight, size.rows);
  }
  if (kernel == StepKernel::kWinograd) {
    if (!weights.bias.defined()) {
      weights.bias = at::zeros({weights.weight.size(0)}, weights.weight.options());
    }
    weights.weight = packWinograd(weights.weight);
  }
  if (weights.bias.defined()) weights.bias = weights.bias.contiguous();
}

// All that oneDNN may choose a kernel by, or compile it for. `input`, `product`: sizes of what the chain
// takes and what its product gives, for any number of channels.
Digest geometryOf(const FusedChain& chain, StepKernel kernel, const at::Tensor& weight, bool biased,
                  int64_t groups, const std::vector<int64_t>& input, const std::vector<int64_t>& product) {
  Digest digest;
  const auto add = [&](auto value) { digest = followedBy(digest, static_cast<uint64_t>(value)); };
  const auto addAll = [&](at::IntArrayRef values) {
    add(values.size());
    for (const int64_t value : values) add(value);
  };
  add(chain.kind);
  add(kernel);
  add(biased);
  add(groups);
  add(chain.activation.kind);
  add(chain.other != kNoSlot);
  add(at::get_num_threads());
  for (const at::IntArrayRef values :
       {at::IntArrayRef(chain.stride), at::IntArrayRef(chain.padding), at::IntArrayRef(chain.dilation),
        weight.sizes(), at::IntArrayRef(input), at::IntArrayRef(product)}) {
    addAll(values);
  }
  return digest;
}

std::string sizesText(const std::vector<int64_t>& sizes) {
  std::string text;
  for (const int64_t size : sizes) text += "," + std::to_string(size);
  return text;
}

}  // namespace

PreparedProgram::PreparedProgram(std::shared_ptr<const FusionPlan> plan)
    : plan_(std::move(plan)),
      roles_(static_cast<size_t>(plan_->execution().instructionCount()), Role::kItself),
      steps_(roles_.size()),
      amid_(roles_.size() + 1, false) {}

void PreparedProgram::add(const FusedChain& chain, std::unique_ptr<PreparedStep> step) {
  roles_[chain.anchor] = Role::kStep;
  steps_[chain.anchor] = std::move(step);
  for (const int32_t member : chain.absorbed) roles_[member] = Role::kAbsorbed;
  for (int32_t i = chain.anchor + 1; i <= chain.last(); ++i) amid_[i] = true;
}

bool PreparedProgram::isCurrent() const {
  return std::all_of(sources_.begin(), sources_.end(),
                     [](const auto& sources) { return sources.isCurrent(); });
}

ProgramPreparer::ProgramPreparer(std::shared_ptr<const ExecutionPlan> plan,
                                 std::shared_ptr<WeightCache> cache, Norms norms)
    : plan_(std::make_shared<const FusionPlan>(std::move(plan), norms)), cache_(std::move(cache)) {}

void ProgramPreparer::prepare(Bindings& bindings) const {
  const at::NoGradGuard noGrad;
  auto prepared = std::make_shared<PreparedProgram>(plan_);
  std::vector<size_t> preparedUses(bindings.values.size(), 0);
  for (const auto& chain : plan_->chains()) {
    bool finite = true;
    auto step = prepareChain(chain, bindings, prepared->sources_, finite);
    if (!finite) return;
    if (step == nullptr) continue;
    prepared->add(chain, std::move(step));
    ++preparedUses[chain.weight];
  }
  copyNarrow(bindings, preparedUses, &prepared->sources_);
  bindings.prepared = std::move(prepared);
}

std::unique_ptr<PreparedStep> ProgramPreparer::prepareChain(const FusedChain& chain, const Bindings& bindings,
                                                            std::vector<WeightSources>& sources,
                                                            bool& finite) const {
  const auto& slots = plan_->execution().program().slots;
  const auto groups = groupsOf(chain, bindings);
  if (!groups) return nullptr;
  std::optional<Layout> layout;
  if (chain.kind == FusedChain::Kind::kConvolution && plan_->keepsLayout(chain)) {
    layout = recordedLayout(slots[chain.result]);
    if (*layout == Layout::kOther) return nullptr;
  }
  const auto value = [&](SlotId slot) {
    return slot == kNoSlot ? at::Tensor() : bindings.values[slot].detach();
  };
  const at::Tensor weight = value(chain.weight);
  const at::Tensor bias = value(chain.bias);
  const auto& product = slots[chain.product].sizes;
  const ChainSize size = sizeOf(chain, weight, product);
  if (size.macs() == 0) return nullptr;
  const auto& input = slots[chain.input].sizes;
  StepKernel kernel = kernelFor(chain, weight, size, *groups, product);
  const Digest geometry = geometryOf(chain, kernel, weight, bias.defined(), *groups, input, product);
  Verdict verdict = Verdict::kSound;
  if (kernel != StepKernel::kPlain) verdict = verdictOn(geometry);
  StepParts plain;
  plain.groups = *groups;
  plain.layout = layout;
  if (verdict == Verdict::kUnsound) kernel = StepKernel::kPlain;
  if (chain.kind == FusedChain::Kind::kConvolution) {
    plain.contiguous =
        verdict != Verdict::kSound || !mayRunChannelsLast(chain, weight.sizes().vec(), product);
  }
  WeightSources made({weight, bias, value(chain.norm.weight), value(chain.norm.bias), value(chain.norm.mean),
                      value(chain.norm.variance)});
  const std::string key =
      std::to_string(chain.anchor) + (chain.normalized ? "n" : "") +
      (kernel == StepKernel::kPacked ? "p" + std::to_string(size.rows) + sizesText(input) : "") +
      (kernel == StepKernel::kWinograd ? "w" : "");
  const WeightCache::Weights* weights = cache_->find(key, made);
  if (weights == nullptr || verdict == Verdict::kUntried) {
    WeightCache::Weights own = folded(chain, weight, bias, bindings);
    // oneDNN's activations make numbers of what is none, and a ruined model would pass for a poor one.
    finite = std::isfinite(own.weight.sum().item<double>()) &&
             (!own.bias.defined() || std::isfinite(own.bias.sum().item<double>()));
    if (!finite) return nullptr;
    plain.weight = own.weight.contiguous();
    plain.bias = own.bias.defined() ? own.bias.contiguous() : own.bias;
    if (weights == nullptr) {
      pack(own, chain, kernel, size, *groups, input);
      weights = &cache_->add(key, made, std::move(own));
    }
  }
  sources.push_back(std::move(made));
  StepParts parts = plain;
  parts.weight = weights->weight;
  parts.bias = weights->bias;
  auto step = makeStep(chain, kernel, std::move(parts));
  if (verdict != Verdict::kUntried) return step;
  return triedStep(geometry, chain.result, std::move(step),
                   makeStep(chain, StepKernel::kPlain, std::move(plain)));
}

void ProgramPreparer::makeContiguous(Bindings& bindings) const {
  copyNarrow(bindings, std::vector<size_t>(bindings.values.size(), 0), nullptr);
}

// `preparedUses` by slot: by how many prepared steps its weights are held in another form.
void ProgramPreparer::copyNarrow(Bindings& bindings, const std::vector<size_t>& preparedUses,
                                 std::vector<WeightSources>* sources) const {
  const auto& slots = plan_->execution().program().slots;
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto slot = static_cast<SlotId>(i);
    auto& value = bindings.values[i];
    if (!slots[i].isStored() || !value.defined() || value.layout() != at::kStrided || value.dim() < 2 ||
        value.is_contiguous() || !plan_->isFixed(slot) || recordedLayout(slots[i]) != Layout::kContiguous ||
        preparedUses[i] >= plan_->useCount(slot)) {
      continue;
    }
    WeightSources made({value.detach()});
    const std::string key = "c" + std::to_string(i);
    const WeightCache::Weights* weights = cache_->find(key, made);
    if (weights == nullptr) weights = &cache_->add(key, made, {value.detach().contiguous(), {}});
    if (sources != nullptr) sources->push_back(std::move(made));
    value = weights->weight;
  }
}

}  // namespace torchsearch
