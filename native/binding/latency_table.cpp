#include "binding/latency_table.h"

#include <string>
#include <utility>

#include "binding/translate.h"

namespace torchsearch::binding {

namespace {

void readOperator(const Napi::Value& value, LatencyTable& table) {
  const auto refuse = [&]() {
    fail(value.Env(), "ERR_ARGUMENT", "A latency table's operator is malformed.");
  };
  if (!value.IsObject()) refuse();
  const Napi::Object object = value.As<Napi::Object>();
  const Napi::Value key = object.Get("key");
  const Napi::Value count = object.Get("variables");
  const Napi::Value points = object.Get("points");
  if (!key.IsString() || !count.IsNumber() || !points.IsTypedArray() ||
      points.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    refuse();
  }
  const std::string name = key.As<Napi::String>();
  const auto variables = static_cast<size_t>(count.As<Napi::Number>().Uint32Value());
  const Napi::Float64Array rows = points.As<Napi::Float64Array>();
  if (rows.ElementLength() % (variables + 1) != 0) refuse();
  for (size_t start = 0; start < rows.ElementLength(); start += variables + 1) {
    LatencyTable::Sizes sizes;
    for (size_t v = 0; v < variables; ++v) sizes.push_back(static_cast<int64_t>(rows[start + v]));
    table.add(name, std::move(sizes), rows[start + variables]);
  }
}

}  // namespace

LatencyTable readLatencyTable(const Napi::Value& value) {
  LatencyTable table;
  if (!value.IsArray()) fail(value.Env(), "ERR_ARGUMENT", "A latency table must be an array of operators.");
  const Napi::Array operators = value.As<Napi::Array>();
  for (uint32_t i = 0; i < operators.Length(); ++i) readOperator(operators.Get(i), table);
  return table;
}

Napi::Array toJs(Napi::Env env, const LatencyTable& table) {
  Napi::Array out = Napi::Array::New(env, table.all().size());
  uint32_t position = 0;
  for (const auto& [key, points] : table.all()) {
    const size_t variables = points.begin()->first.size();
    Napi::Float64Array rows = Napi::Float64Array::New(env, points.size() * (variables + 1));
    size_t next = 0;
    for (const auto& [sizes, ms] : points) {
      for (const int64_t size : sizes) rows[next++] = static_cast<double>(size);
      rows[next++] = ms;
    }
    Napi::Object item = Napi::Object::New(env);
    item.Set("key", key);
    item.Set("variables", static_cast<double>(variables));
    item.Set("points", rows);
    out.Set(position++, item);
  }
  return out;
}

LatencyOptions readLatencyOptions(const Napi::Value& value) {
  LatencyOptions options;
  if (!value.IsObject()) return options;
  const Napi::Object object = value.As<Napi::Object>();
  const auto read = [&](const char* name, int32_t& target) {
    if (const Napi::Value given = object.Get(name); given.IsNumber())
      target = given.As<Napi::Number>().Int32Value();
  };
  read("warmup", options.warmup);
  read("repeats", options.repeats);
  read("threads", options.threads);
  return options;
}

}  // namespace torchsearch::binding
