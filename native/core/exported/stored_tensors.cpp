#include "core/exported/stored_tensors.h"

#include <utility>

#include "core/exported/scalar_types.h"

namespace torchsearch::exported {
namespace {

constexpr size_t kMaxDimensions = 64;
constexpr int64_t kMaxElements = int64_t{1} << 48;

int64_t sizeNumber(const Json& value) {
  const auto [kind, number] = memberOf(value);
  if (kind != "as_int") refuseProgram("a stored tensor has a size that is not a number");
  const int64_t size = intOf(number);
  if (size < 0 || size > kMaxElements) refuseProgram("a stored tensor has an impossible size");
  return size;
}

std::vector<int64_t> sizeNumbers(const Json& values) {
  if (arrayOf(values).size() > kMaxDimensions) refuseProgram("a stored tensor has too many dimensions");
  std::vector<int64_t> sizes;
  for (const Json& value : values) sizes.push_back(sizeNumber(value));
  return sizes;
}

}  // namespace

StoredTensors::StoredTensors(const ExportedArchive& archive, const std::string& model)
    : archive_(archive),
      weights_(readConfig("data/weights/", model + "_weights_config.json")),
      constants_(readConfig("data/constants/", model + "_constants_config.json")) {}

StoredTensors::Places StoredTensors::readConfig(const std::string& folder, const std::string& config) const {
  Places places;
  const Json root = parseJson(archive_.text(folder + config), "the record \"" + config + "\"");
  for (const auto& [name, payload] : objectOf(field(root, "config")).items()) {
    places.emplace(name, readPlace(folder, name, payload));
  }
  return places;
}

StoredTensors::Place StoredTensors::readPlace(const std::string& folder, const std::string& name,
                                              const Json& payload) const {
  const std::string& file = textOf(field(payload, "path_name"));
  if (file.starts_with("custom_obj")) {
    refuseFeature("the object \"" + name + "\" of a custom class (torchbind)",
                  "export a model that holds tensors only.");
  }
  if (boolOf(field(payload, "use_pickle"))) {
    refuseFeature("the tensor \"" + name + "\" as a pickle, which could hold a program of its own",
                  "make it a plain tensor (no subclass) and export again.");
  }
  const Json& meta = field(payload, "tensor_meta");
  Place place;
  place.record = folder + file;
  place.type = scalarTypeOf(intOf(field(meta, "dtype")));
  layoutOf(intOf(field(meta, "layout")));
  place.sizes = sizeNumbers(field(meta, "sizes"));
  place.strides = sizeNumbers(field(meta, "strides"));
  place.offset = sizeNumber(field(meta, "storage_offset"));
  place.requiresGrad = boolOf(field(meta, "requires_grad")) && at::isFloatingType(place.type);
  if (place.sizes.size() != place.strides.size())
    refuseProgram("the tensor \"" + name + "\" has other strides than sizes");
  bool empty = false;
  int64_t last = place.offset;
  for (size_t i = 0; i < place.sizes.size(); ++i) {
    if (place.sizes[i] == 0) empty = true;
    if (place.sizes[i] < 2) continue;
    if (place.strides[i] > (kMaxElements - last) / (place.sizes[i] - 1)) {
      refuseProgram("the tensor \"" + name + "\" reaches beyond its record");
    }
    last += place.strides[i] * (place.sizes[i] - 1);
  }
  const std::optional<uint64_t> bytes = archive_.sizeOf(place.record);
  if (!bytes) refuseProgram("the record \"" + place.record + "\" of the tensor \"" + name + "\" is missing");
  const uint64_t needed = empty ? 0 : (static_cast<uint64_t>(last) + 1) * c10::elementSize(place.type);
  if (needed > *bytes) {
    refuseProgram("the record of the tensor \"" + name + "\" has " + std::to_string(*bytes) +
                  " bytes where it needs " + std::to_string(needed));
  }
  return place;
}

at::Tensor StoredTensors::weight(const std::string& name) {
  return load(weights_, name);
}

at::Tensor StoredTensors::constant(const std::string& name) {
  return load(constants_, name);
}

void StoredTensors::fill() {
  for (auto& [record, storage] : storages_) archive_.fill(record, storage);
}

at::Tensor StoredTensors::load(const Places& places, const std::string& name) {
  const auto found = places.find(name);
  if (found == places.end()) refuseProgram("the tensor \"" + name + "\" is not among those stored");
  const Place& place = found->second;
  at::Tensor& tensor = tensors_[place];
  if (tensor.defined()) return tensor;
  auto storage = storages_.find(place.record);
  if (storage == storages_.end())
    storage = storages_.emplace(place.record, archive_.storage(place.record)).first;
  tensor = at::empty({0}, at::TensorOptions().dtype(place.type));
  tensor.set_(storage->second, place.offset, place.sizes, place.strides);
  tensor.set_requires_grad(place.requiresGrad);
  return tensor;
}

}  // namespace torchsearch::exported
