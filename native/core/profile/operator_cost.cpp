#include "core/profile/operator_cost.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <unordered_map>

#include "core/profile/einsum_cost.h"
#include "core/profile/operand.h"

namespace torchsearch {

namespace {

using Terms = std::vector<CostTerm>;
using Rule = Terms (*)(const Operands&);

// Rows x inner x columns, for operands whose last two dimensions are multiplied.
CostTerm product(std::initializer_list<std::vector<DimensionReference>> groups, int64_t coefficient = 1) {
  CostTerm term;
  term.coefficient = coefficient;
  for (const auto& group : groups) term.factors.insert(term.factors.end(), group.begin(), group.end());
  return term;
}

// Every output position multiplies the whole filter: batch x output positions x all of the weight. Groups are
// in the weight's second dimension already. A transposed convolution does so for every input position.
Terms convolutionTerms(const Operand& input, const Operand& weight, const Operand& output, bool transposed) {
  const int64_t spatial = weight.rank() - 2;
  const Operand& positions = transposed ? input : output;
  CostTerm term =
      product({weight.dimensions(0, weight.rank()), positions.dimensions(-spatial, positions.rank())});
  if (input.rank() == weight.rank()) term.factors.push_back(input.at(0));
  return {term};
}

Terms convolution(const Operands& of) {
  return convolutionTerms(of.tensor("input"), of.tensor("weight"), of.result(), false);
}

Terms transposedConvolution(const Operands& of) {
  return convolutionTerms(of.tensor("input"), of.tensor("weight"), of.result(), true);
}

Terms generalConvolution(const Operands& of) {
  return convolutionTerms(of.tensor("input"), of.tensor("weight"), of.result(), of.flag("transposed"));
}

Terms linear(const Operands& of) {
  const Operand input = of.tensor("input");
  const Operand weight = of.tensor("weight");
  return {product({input.dimensions(0, -1), weight.dimensions(0, weight.rank())})};
}

// Batch dimensions are broadcast from the right: each comes from the operand in which it is largest.
std::vector<DimensionReference> broadcast(const std::vector<Operand>& operands, int64_t skipLast) {
  int64_t rank = 0;
  for (const auto& operand : operands) rank = std::max(rank, operand.rank() - skipLast);
  std::vector<DimensionReference> dimensions;
  for (int64_t fromRight = rank; fromRight >= 1; --fromRight) {
    const Operand* widest = nullptr;
    for (const auto& operand : operands) {
      if (operand.rank() - skipLast < fromRight) continue;
      if (widest == nullptr || operand.size(-skipLast - fromRight) > widest->size(-skipLast - fromRight)) {
        widest = &operand;
      }
    }
    dimensions.push_back(widest->at(-skipLast - fromRight));
  }
  return dimensions;
}

Terms matmulTerms(const Operand& left, const Operand& right) {
  if (left.rank() == 0 || right.rank() == 0) return {};
  // A vector on the right is one column.
  if (right.rank() == 1) return {product({left.dimensions(0, left.rank())})};
  if (left.rank() == 1)
    return {product({left.dimensions(0, 1), right.dimensions(0, -2), right.dimensions(-1, 0)})};
  return {product({broadcast({left, right}, 2), left.dimensions(-2, 0), right.dimensions(-1, 0)})};
}

Terms matmul(const Operands& of) {
  return matmulTerms(of.tensor("self"), of.tensor("other"));
}
Terms matrixProduct(const Operands& of) {
  return matmulTerms(of.tensor("self"), of.tensor("mat2"));
}
Terms addedProduct(const Operands& of) {
  return matmulTerms(of.tensor("mat1"), of.tensor("mat2"));
}
Terms vectorProduct(const Operands& of) {
  return matmulTerms(of.tensor("self"), of.tensor("vec"));
}
Terms addedVectorProduct(const Operands& of) {
  return matmulTerms(of.tensor("mat"), of.tensor("vec"));
}
Terms dotProduct(const Operands& of) {
  return matmulTerms(of.tensor("self"), of.tensor(of.has("tensor") ? "tensor" : "other"));
}

// A column times a row.
Terms outer(const Operands& of) {
  return {product({of.tensor("self").dimensions(0, 1), of.tensor("vec2").dimensions(0, 1)})};
}
Terms addedOuter(const Operands& of) {
  return {product({of.tensor("vec1").dimensions(0, 1), of.tensor("vec2").dimensions(0, 1)})};
}

Terms bilinear(const Operands& of) {
  return {product({of.tensor("input1").dimensions(0, -1), of.tensor("weight").dimensions(0, 3)})};
}

// Steps and batch of the output x the whole filter, whose sides are width, inputs, outputs.
Terms timeConvolution(const Operands& of) {
  return {product({of.result().dimensions(0, 2), of.tensor("weight").dimensions(0, 3)})};
}

// Matrices that are multiplied one after the other, and all orders in which they can be.
class Chain {
 public:
  explicit Chain(const Operands& of) : matrices_(of.tensors(of.has("tensors") ? "tensors" : "matrices")) {
    // Where each matrix begins, its rows; in the end the columns of the last. A vector is one row, or one
    // column.
    for (size_t i = 0; i < matrices_.size(); ++i) {
      const bool isRow = i == 0 && matrices_[i].rank() == 1;
      sides_.push_back(isRow ? Side() : matrices_[i].dimensions(0, 1));
    }
    const Operand& last = matrices_.back();
    sides_.push_back(last.rank() == 1 ? Side() : last.dimensions(1, 2));
  }

  size_t length() const { return matrices_.size(); }

  // Of the products from one matrix to another, both included.
  std::vector<Terms> orders(size_t first, size_t last) const {
    if (first == last) return {Terms()};
    std::vector<Terms> all;
    for (size_t middle = first; middle < last; ++middle) {
      const CostTerm outermost = product({sides_[first], sides_[middle + 1], sides_[last + 1]});
      for (const Terms& left : orders(first, middle)) {
        for (const Terms& right : orders(middle + 1, last)) {
          Terms terms = left;
          terms.insert(terms.end(), right.begin(), right.end());
          terms.push_back(outermost);
          all.push_back(std::move(terms));
        }
      }
    }
    return all;
  }

 private:
  using Side = std::vector<DimensionReference>;
  std::vector<Operand> matrices_;
  std::vector<Side> sides_;
};

bool isChain(const std::string& name) {
  return name == "aten::linalg_multi_dot" || name == "aten::chain_matmul";
}

// Squares and products of squares, as LibTorch computes it.
Terms matrixPower(const Operands& of) {
  const Operand matrix = of.tensor("self");
  auto exponent = static_cast<uint64_t>(std::abs(of.integer("n")));
  int64_t products = -1;
  for (; exponent > 0; exponent >>= 1) products += exponent % 2 == 1 ? 2 : 1;
  // The first bit squares nothing, and the first one multiplies nothing.
  products -= 1;
  if (products <= 0) return {};
  return {product({matrix.dimensions(0, matrix.rank()), matrix.dimensions(-1, 0)}, products)};
}

Terms addedBatchProduct(const Operands& of) {
  return matmulTerms(of.tensor("batch1"), of.tensor("batch2"));
}

// Dot products along one dimension, the others broadcast.
Terms vectorsAlong(const Operands& of) {
  const Operand left = of.tensor("x");
  const Operand right = of.tensor("y");
  if (left.rank() == 0 || right.rank() == 0) return {};
  return {product({broadcast({left, right}, 0)})};
}

Terms inner(const Operands& of) {
  const Operand left = of.tensor("self");
  const Operand right = of.tensor("other");
  if (left.rank() == 0 || right.rank() == 0) return {};
  return {product({left.dimensions(0, left.rank()), right.dimensions(0, -1)})};
}

Terms tensordot(const Operands& of) {
  const Operand left = of.tensor("self");
  const Operand right = of.tensor("other");
  std::vector<bool> contracted(right.rank(), false);
  for (const int64_t dimension : of.integers("dims_other")) {
    contracted[dimension < 0 ? dimension + right.rank() : dimension] = true;
  }
  CostTerm term = product({left.dimensions(0, left.rank())});
  for (int64_t dimension = 0; dimension < right.rank(); ++dimension) {
    if (!contracted[dimension]) term.factors.push_back(right.at(dimension));
  }
  return {term};
}

Terms einsum(const Operands& of) {
  return einsumTerms(of.text("equation"), of.tensors("tensors"), of.integers("path"));
}

// query x key, then the scores x value. Masks and causality change nothing.
Terms scaledDotProductAttention(const Operands& of) {
  const Operand query = of.tensor("query");
  const Operand key = of.tensor("key");
  const Operand value = of.tensor("value");
  const auto batch = broadcast({query, key, value}, 2);
  return {product({batch, query.dimensions(-2, 0), key.dimensions(-2, -1)}),
          product({batch, query.dimensions(-2, -1), value.dimensions(-2, 0)})};
}

// The three projections, the two products of attention over all heads together, and the output's projection.
Terms nativeMultiHeadAttention(const Operands& of) {
  const Operand query = of.tensor("query");
  const Operand key = of.tensor("key");
  const Operand value = of.tensor("value");
  const Operand packed = of.tensor("qkv_weight");
  const Operand projection = of.tensor("proj_weight");
  Terms terms;
  for (const Operand& source : {query, key, value}) {
    terms.push_back(
        product({source.dimensions(0, -1), packed.dimensions(1, 2), projection.dimensions(1, 2)}));
  }
  terms.push_back(product({query.dimensions(0, -1), key.dimensions(-2, -1), projection.dimensions(1, 2)}, 2));
  terms.push_back(product({query.dimensions(0, -1), projection.dimensions(0, 2)}));
  return terms;
}

Terms transformerEncoderLayer(const Operands& of) {
  const Operand source = of.tensor("src");
  const Operand packed = of.tensor("qkv_weight");
  const Operand projection = of.tensor("proj_weight");
  const auto tokens = source.dimensions(0, -1);
  return {product({tokens, packed.dimensions(0, 2)}),
          product({tokens, source.dimensions(-2, -1), projection.dimensions(1, 2)}, 2),
          product({tokens, projection.dimensions(0, 2)}),
          product({tokens, of.tensor("ffn_weight_1").dimensions(0, 2)}),
          product({tokens, of.tensor("ffn_weight_2").dimensions(0, 2)})};
}

// Each step multiplies each weight matrix once, for each sequence of the batch.
Terms recurrent(const Operands& of) {
  // A packed sequence has its steps and its batch in one dimension; a plain one has them in its first two.
  const auto steps =
      of.has("batch_sizes") ? of.tensor("data").dimensions(0, -1) : of.tensor("input").dimensions(0, -1);
  Terms terms;
  for (const Operand& weight : of.tensors("params")) {
    if (weight.rank() == 2) terms.push_back(product({steps, weight.dimensions(0, 2)}));
  }
  return terms;
}

Terms recurrentCell(const Operands& of) {
  const auto rows = of.tensor("input").dimensions(0, -1);
  return {product({rows, of.tensor("w_ih").dimensions(0, 2)}),
          product({rows, of.tensor("w_hh").dimensions(0, 2)})};
}

const std::unordered_map<std::string, Rule>& rules() {
  static const std::unordered_map<std::string, Rule> table = {
      {"aten::conv1d", convolution},
      {"aten::conv2d", convolution},
      {"aten::conv3d", convolution},
      {"aten::_convolution_mode", convolution},
      {"aten::conv_transpose1d", transposedConvolution},
      {"aten::conv_transpose2d", transposedConvolution},
      {"aten::conv_transpose3d", transposedConvolution},
      {"aten::convolution", generalConvolution},
      {"aten::_convolution", generalConvolution},
      {"aten::linear", linear},
      {"aten::mm", matrixProduct},
      {"aten::bmm", matrixProduct},
      {"aten::matmul", matmul},
      {"aten::linalg_matmul", matmul},
      {"aten::addmm", addedProduct},
      {"aten::addmm_", addedProduct},
      {"aten::baddbmm", addedBatchProduct},
      {"aten::baddbmm_", addedBatchProduct},
      {"aten::addbmm", addedBatchProduct},
      {"aten::addbmm_", addedBatchProduct},
      {"aten::mv", vectorProduct},
      {"aten::addmv", addedVectorProduct},
      {"aten::addmv_", addedVectorProduct},
      {"aten::dot", dotProduct},
      {"aten::vdot", dotProduct},
      {"aten::linalg_vecdot", vectorsAlong},
      {"aten::outer", outer},
      {"aten::ger", outer},
      {"aten::addr", addedOuter},
      {"aten::addr_", addedOuter},
      {"aten::bilinear", bilinear},
      {"aten::conv_tbc", timeConvolution},
      {"aten::matrix_power", matrixPower},
      {"aten::linalg_matrix_power", matrixPower},
      {"aten::inner", inner},
      {"aten::tensordot", tensordot},
      {"aten::einsum", einsum},
      {"aten::scaled_dot_product_attention", scaledDotProductAttention},
      {"aten::_native_multi_head_attention", nativeMultiHeadAttention},
      {"aten::_transformer_encoder_layer_fwd", transformerEncoderLayer},
      {"aten::lstm", recurrent},
      {"aten::gru", recurrent},
      {"aten::rnn_tanh", recurrent},
      {"aten::rnn_relu", recurrent},
      {"aten::lstm_cell", recurrentCell},
      {"aten::gru_cell", recurrentCell},
      {"aten::rnn_tanh_cell", recurrentCell},
      {"aten::rnn_relu_cell", recurrentCell},
  };
  return table;
}

}  // namespace

std::vector<Terms> multiplyAddOrders(const Program& program, const Instruction& instruction) {
  if (instruction.schema == nullptr || !isChain(instruction.schema->name())) {
    return {multiplyAddTerms(program, instruction)};
  }
  const Chain chain{Operands(program, instruction)};
  return chain.orders(0, chain.length() - 1);
}

Terms multiplyAddTerms(const Program& program, const Instruction& instruction) {
  if (instruction.schema == nullptr) return {};
  if (isChain(instruction.schema->name())) {
    const auto orders = multiplyAddOrders(program, instruction);
    return *std::min_element(orders.begin(), orders.end(), [&](const Terms& a, const Terms& b) {
      return evaluateTerms(a, program) < evaluateTerms(b, program);
    });
  }
  const auto rule = rules().find(instruction.schema->name());
  if (rule == rules().end()) return {};
  return rule->second(Operands(program, instruction));
}

int64_t evaluateTerms(const Terms& terms, const Program& program) {
  int64_t total = 0;
  for (const auto& term : terms) {
    int64_t value = term.coefficient;
    for (const auto& factor : term.factors) value *= program.slots[factor.slot].sizes[factor.dimension];
    total += value;
  }
  return total;
}

}  // namespace torchsearch
