#include "core/space/subnet_run.h"

#include <memory>

#include "core/call/arguments.h"
#include "core/model/output_check.h"
#include "core/space/subnet_bindings.h"

namespace torchsearch {

void runSubnet(const ConvertedModel& model, const std::vector<int64_t>& widths, const std::vector<bool>& kept,
               ExecutionObserver& observer, const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  const auto program = std::make_shared<const Program>(withoutBlocks(*model.program, model.blocks, kept));
  Subnet subnet;
  subnet.widths = widths;
  subnet.kept = kept;
  const auto& module = model.module->jit();
  const Bindings bindings = bindSubnet(*program, *model.dependencies, module, subnet, {});
  RunOptions options;
  options.observer = &observer;
  Executor executor(std::make_shared<const ExecutionPlan>(program));
  outputsWithoutTrace(module, [&] {
    return executor.run(bindings, inputTensors(*model.graph, copied(model.dummyInput)), cancel, options);
  });
}

}  // namespace torchsearch
