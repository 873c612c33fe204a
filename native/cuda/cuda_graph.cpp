// PyTorch's CUDA graphs behind its device-generic interface, for the versions of PyTorch that have both and
// do not join them. A library of its own, opened after LibTorch's CUDA part: the addon itself knows no CUDA.
#include <ATen/core/GraphImplInterface.h>
#include <ATen/cuda/CUDAGraph.h>

#include <memory>
#include <string>

namespace torchsearch {

namespace {

class CudaGraph final : public at::GraphImplInterface {
 public:
  explicit CudaGraph(const at::GraphImplArgs& args) : graph_(args.keep_graph) {}

  void capture_begin(at::MempoolId_t pool, at::GraphCaptureMode mode) override {
    graph_.capture_begin(pool, modeOf(mode));
  }
  void capture_end() override { graph_.capture_end(); }
  void instantiate() override { graph_.instantiate(); }
  void replay() override { graph_.replay(); }
  void reset() override { graph_.reset(); }
  at::MempoolId_t pool() const override { return graph_.pool(); }
  void enable_debug_mode() override { graph_.enable_debug_mode(); }
  void debug_dump(const std::string& path) override { graph_.debug_dump(path); }

 private:
  static cudaStreamCaptureMode modeOf(at::GraphCaptureMode mode) {
    switch (mode) {
      case at::GraphCaptureMode::ThreadLocal:
        return cudaStreamCaptureModeThreadLocal;
      case at::GraphCaptureMode::Relaxed:
        return cudaStreamCaptureModeRelaxed;
      default:
        return cudaStreamCaptureModeGlobal;
    }
  }

  mutable at::cuda::CUDAGraph graph_;
};

// A PyTorch that has joined the two has done so by now: its CUDA library is loaded before this one.
[[maybe_unused]] const bool registered = [] {
  if (at::has_graph_impl(c10::DeviceType::CUDA)) return false;
  at::GraphImplRegistry()->Register(
      c10::DeviceTypeName(c10::DeviceType::CUDA, /*lower_case=*/false),
      [](const at::GraphImplArgs& args) -> std::unique_ptr<at::GraphImplInterface> {
        return std::make_unique<CudaGraph>(args);
      });
  return true;
}();

}  // namespace

}  // namespace torchsearch
