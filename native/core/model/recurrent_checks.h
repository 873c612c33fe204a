#pragma once

namespace torchsearch {

// PyTorch hands the inputs, states and weights of `aten::lstm` to oneDNN as they are, which reads and writes
// memory beyond tensors that are smaller than it expects: nn.LSTM checks them in Python, and a trace holds no
// such check. From the first call on, every call on the CPU is checked before it runs, in training too.
void checkRecurrentCalls();

}  // namespace torchsearch
