#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace torchsearch::exported {

using Json = nlohmann::json;

// ERR_EXPORTED_PROGRAM: the file isn't what torch.export.save writes.
[[noreturn]] void refuseProgram(const std::string& why);
// ERR_UNSUPPORTED_EXPORT: a sound file with something that this reader doesn't know.
[[noreturn]] void refuseFeature(const std::string& what, const std::string& remedy);

// ERR_EXPORTED_WRITE: a model that has what a written program can't have.
[[noreturn]] void refuseWriting(const std::string& what, const std::string& remedy);

// Parses a text. Nesting is bounded before anything is made of it. ERR_EXPORTED_PROGRAM
Json parseJson(const std::string& text, const std::string& what);

// The value, checked to be of the kind that is asked for. ERR_EXPORTED_PROGRAM
const Json& field(const Json& object, const char* key);
// Null where the object has no such key.
const Json* findField(const Json& object, const char* key);
const Json& arrayOf(const Json& value);
const Json& objectOf(const Json& value);
const std::string& textOf(const Json& value);
int64_t intOf(const Json& value);
bool boolOf(const Json& value);
// A number, or the text that stands for one that JSON doesn't have ("Infinity", "-Infinity", "NaN").
double floatOf(const Json& value);
// PyTorch writes a union as an object with one key, which names the member.
std::pair<const std::string&, const Json&> memberOf(const Json& value);

}  // namespace torchsearch::exported
