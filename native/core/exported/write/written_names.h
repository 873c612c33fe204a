#pragma once

#include <cctype>
#include <set>
#include <string>

namespace torchsearch::exported {

// Gives each value of a written program a name of its own, which Python takes for a variable.
class WrittenNames {
 public:
  // `wanted`, or `wanted` with a number.
  std::string unique(std::string wanted) {
    for (char& c : wanted) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
    if (wanted.empty() || std::isdigit(static_cast<unsigned char>(wanted[0])) != 0) wanted.insert(0, "_");
    std::string name = wanted;
    for (int number = 1; !taken_.insert(name).second; ++number) name = wanted + "_" + std::to_string(number);
    return name;
  }

 private:
  std::set<std::string> taken_;
};

}  // namespace torchsearch::exported
