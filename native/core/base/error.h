#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace torchsearch {

// The one exception type of the core. `code` is stable and public (`ERR_...`, listed in docs/errors.md); the
// message is a sentence that says what to change.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

}  // namespace torchsearch
