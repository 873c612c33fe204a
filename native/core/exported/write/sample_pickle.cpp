#include "core/exported/write/sample_pickle.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

namespace torchsearch::exported {

std::string pickleSamples(const c10::IValue& value) {
  std::string bytes;
  torch::jit::Pickler pickler([&](const char* data, size_t size) { bytes.append(data, size); },
                              /*tensor_table=*/nullptr, /*type_renamer=*/nullptr,
                              /*memoized_class_types=*/nullptr, /*get_tensor_id=*/nullptr,
                              /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(value);
  pickler.stop();
  std::string archive;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    archive.append(static_cast<const char*>(data), size);
    return size;
  });
  size_t number = 0;
  for (const at::Tensor& tensor : pickler.tensorData()) {
    const auto size = static_cast<int64_t>(tensor.storage().nbytes());
    const at::Tensor bytes =
        at::empty({0}, tensor.options().dtype(at::kByte)).set_(tensor.storage(), 0, {size}, {1}).cpu();
    writer.writeRecord("data/" + std::to_string(number++), bytes.data_ptr(), static_cast<size_t>(size));
  }
  writer.writeRecord("data.pkl", bytes.data(), bytes.size());
  writer.writeRecord("byteorder", "little", 6);
  writer.writeEndOfFile();
  return archive;
}

}  // namespace torchsearch::exported
