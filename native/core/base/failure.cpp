#include "core/base/failure.h"

#include <c10/util/Exception.h>

#include <array>
#include <cctype>
#include <new>
#include <stdexcept>
#include <string_view>

#include "core/base/error.h"

namespace torchsearch {
namespace {

constexpr size_t kMaxMessage = 800;

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return std::string(text);
}

// Start of the last line of the form "SomeError: ...", which ends a TorchScript traceback; npos if there is
// none.
size_t lastErrorLine(const std::string& text) {
  for (size_t end = text.size(); end != std::string::npos && end > 0;) {
    const size_t newline = text.rfind('\n', end - 1);
    const size_t start = newline == std::string::npos ? 0 : newline + 1;
    size_t at = start;
    while (at < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '.' || text[at] == '_')) {
      ++at;
    }
    const std::string_view word(text.data() + start, at - start);
    if (text.compare(at, 2, ": ") == 0 && (word.ends_with("Error") || word.ends_with("Exception")))
      return start;
    end = newline;
  }
  return std::string::npos;
}

// The innermost `File "...", line N, in f` of a TorchScript traceback, or an empty string.
std::string innermostFrame(const std::string& text, size_t before) {
  const size_t at = text.rfind("File \"", before);
  if (at == std::string::npos) return "";
  return text.substr(at, text.find('\n', at) - at);
}

bool isOutOfMemory(const std::string& text) {
  constexpr std::array<std::string_view, 5> signs{"DefaultCPUAllocator: can't allocate",
                                                  "DefaultCPUAllocator: not enough memory", "out of memory",
                                                  "Cannot allocate memory", "std::bad_alloc"};
  for (const std::string_view sign : signs) {
    if (text.find(sign) != std::string::npos) return true;
  }
  return false;
}

Failure outOfMemory(const std::string& detail) {
  return {"ERR_OUT_OF_MEMORY",
          "There is not enough memory for this operation; use a smaller batch or model, or close tensors and "
          "modules "
          "that are no longer needed. (" +
              usefulMessage(detail) + ")"};
}

}  // namespace

std::string usefulMessage(const std::string& text) {
  std::string body = text;
  if (const size_t cut = body.find("\nException raised from"); cut != std::string::npos) body.resize(cut);
  std::string frame;
  if (const size_t error = lastErrorLine(body); error != std::string::npos) {
    frame = innermostFrame(body, error);
    body = body.substr(body.find(": ", error) + 2);
  }
  body = trimmed(body);
  if (body.size() > kMaxMessage) body = body.substr(0, kMaxMessage) + "...";
  if (!frame.empty()) body += " (" + frame + ")";
  return body;
}

Failure describeFailure(const std::exception_ptr& exception, const std::string& fallbackCode) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc& error) {
    return outOfMemory(error.what());
  } catch (const std::length_error& error) {  // more than a container can ever hold
    return outOfMemory(error.what());
  } catch (const c10::OutOfMemoryError& error) {
    return outOfMemory(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (isOutOfMemory(text)) return outOfMemory(text);
    return {fallbackCode, usefulMessage(text)};
  } catch (const std::exception& error) {
    const std::string text = error.what();
    if (isOutOfMemory(text)) return outOfMemory(text);
    return {fallbackCode, usefulMessage(text)};
  } catch (...) {
    return {fallbackCode, "An unknown C++ exception was thrown."};
  }
}

}  // namespace torchsearch
