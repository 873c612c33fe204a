// What nearly every file of the core includes, precompiled once for all of them (CMakeLists.txt). No file
// relies on it: each includes what it uses.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>
