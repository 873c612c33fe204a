#include "tests/support/doctest.h"
#include "tests/support/rule_case.h"

namespace torchsearch::testing {

TEST_CASE("rules of operators index by index") {
  std::vector<RuleCase> cases = {
      {"a 3 4 | b 4", "y = self.a + self.b", "a p q | b q | y p q"},
      {"a 3 1 | b 4", "y = torch.atan2(self.a, self.b)", "a p . | b q | y p q"},
      {"a 3 4 | b 3 4 | c 4", "y = torch.where(self.a > self.b, self.a, self.c)",
       "a p q | b p q | c q | y p q"},
      {"a 3 4 | b 4 | c 3 1", "y = torch.addcmul(self.a, self.b, self.c)", "a p q | b q | c p . | y p q"},
      {"a 3 4 | b 4", "y = torch.lerp(self.a, self.b, 0.3)", "a p q | b q | y p q"},
      {"a 3 4 | b 4", "y = torch.pow(self.a.abs(), self.b)", "a p q | b q | y p q", RuleCase::kNoMask},
      {"a 3 4 | b 4", "y = torch.max(self.a, self.b)", "a p q | b q | y p q"},
      {"a 3 4 | b 3 4", "y = torch.remainder(self.a, self.b)", "a p q | b p q | y p q", 1.0},
      {"a 3 4 | b 3 4", "y = (self.a > self.b) | (self.a < 0)", "a p q | b p q | y p q"},
      {"a 3 4", "y = torch.logical_not(self.a > 0)", "a p q | y p q"},
      {"a 3 4", "y = torch.masked_fill(self.a, self.a > 0, 2.0)", "a p q | y p q"},
      {"a 3 4 | b 7 2", "y = self.a.to(self.b)\nz = self.b * 1", "a p q | b r s | y p q | z r s"},
      {"a 3 4 | b 3 4", "y = self.a.type_as(self.b) + 1\nz = self.b * 1", "a p q | b r s | y p q | z r s"},
      {"a 3 4 | b 4", "y = self.a.clone()\ny.add_(self.b)", "a p q | b q | y p q"},
      {"a 3 4", "y = torch.empty_like(self.a).fill_(1.5) * self.a", "a p q | y p q"},
      {"a 3 4 | b 3 4", "y = self.a.clone()\ny.copy_(self.b)", "a p q | b p q | y p q"},
      {"a 3 4", "y = torch.softmax(self.a, 1)", "a p q | y p q", RuleCase::kMinusInfinity},
      {"a 3 4", "y = torch.log_softmax(self.a, 1)", "a p q | y p q", RuleCase::kMinusInfinity},
      {"a 3 4 | g 3 1", "y = torch._weight_norm(self.a, self.g, 0)", "a p q | g p . | y p q"},
      {"a 2 4 3 | w 4", "y = torch.prelu(self.a, self.w)", "a p q r | w q | y p q r"},
  };
  // Each of a value alone, so that what becomes of dropped ones doesn't matter.
  for (const char* activation : {"relu(self.a)",
                                 "hardtanh(self.a)",
                                 "sigmoid(self.a)",
                                 "gelu(self.a)",
                                 "celu(self.a)",
                                 "selu(self.a)",
                                 "hardshrink(self.a)",
                                 "threshold(self.a, 0.1, 0.2)",
                                 "rrelu(self.a)",
                                 "exp(self.a)",
                                 "log1p(self.a.abs())",
                                 "rsqrt(self.a.abs())",
                                 "floor(self.a)",
                                 "sign(self.a)",
                                 "nan_to_num(self.a)",
                                 "clamp(self.a, -1.0, 1.0)",
                                 "dropout(self.a, 0.5, False)",
                                 "alpha_dropout(self.a, 0.5, False)",
                                 "feature_alpha_dropout(self.a, 0.5, False)",
                                 "isnan(self.a)",
                                 "erf(self.a)",
                                 "square(self.a)",
                                 "bitwise_not(self.a > 0)",
                                 "fmod(self.a, 0.7)",
                                 "silu(self.a)",
                                 "mish(self.a)",
                                 "hardswish(self.a)",
                                 "hardsigmoid(self.a)",
                                 "softshrink(self.a)",
                                 "log_sigmoid(self.a)",
                                 "softplus(self.a)",
                                 "elu(self.a)",
                                 "leaky_relu(self.a)",
                                 "relu6(self.a)",
                                 "detach(self.a) * 2"}) {
    cases.push_back({"a 3 4", std::string("y = torch.") + activation, "a p q | y p q"});
  }
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of reductions") {
  const double lowest = RuleCase::kMinusInfinity;
  std::vector<RuleCase> cases = {
      {"a 3 4 5", "y = torch.sum(self.a)", "a p q r | y"},
      {"a 3 4 5", "y = torch.sum(self.a, [1])", "a p q r | y p r"},
      {"a 3 4 5", "y = torch.sum(self.a, [0, -1], True)", "a p q r | y . q ."},
      {"a 3 4 5", "y = torch.mean(self.a)", "a p q r | y", RuleCase::kNoMask},
      {"a 3 4 5", "y = torch.mean(self.a, [1], True)", "a p q r | y p . r", RuleCase::kNoMask},
      {"a 3 4 5", "y = torch.prod(self.a, 1)", "a p q r | y p r", 1.0},
      {"a 3 4 5", "y = torch.amax(self.a, [1])", "a p q r | y p r", lowest},
      {"a 3 4 5", "y = torch.amin(self.a, [1, 2])", "a p q r | y p", -lowest},
      {"a 3 4 5", "y = torch.logsumexp(self.a, [1])", "a p q r | y p r", lowest},
      {"a 3 4 5", "y = torch.any(self.a > 0, 1)", "a p q r | y p r"},
      {"a 3 4 5", "y = torch.all(self.a > 0)", "a p q r | y", 1.0},
      {"a 3 4 5", "y = torch.norm(self.a)", "a p q r | y"},
      {"a 3 4 5", "y = torch.norm(self.a, 2.0, [1], True)", "a p q r | y p . r"},
      {"a 3 4 5", "y = torch.linalg_vector_norm(self.a, 2.0, [1, 2], True)", "a p q r | y p . ."},
      {"a 3 4 5", "y = torch.count_nonzero(self.a, 1)", "a p q r | y p r"},
      {"a 3 4 5", "y = torch.var(self.a, [1], False)", "a p q r | y p r", RuleCase::kNoMask},
      {"a 3 4 5", "y = torch.var(self.a, [1])", "a p . r | y p r"},
      {"a 3 4 5", "y = torch.std(self.a, [1], correction=1, keepdim=True)", "a p . r | y p . r"},
      {"a 3 4 5", "y, z = torch.var_mean(self.a, [1], False)", "a p q r | y p r | z p r", RuleCase::kNoMask},
      {"a 3 4 5", "y = torch.max(self.a)", "a p q r | y", lowest},
      {"a 3 4 5", "y = torch.max(self.a, 1)[0]", "a p q r | y p r", lowest},
      {"a 3 4 5", "y, z = torch.max(self.a, 1)", "a p . r | y p r | z p r"},
      {"a 3 4 5", "y, z = torch.min(self.a, 1, True)", "a p . r | y p . r | z p . r"},
      {"a 3 4 5", "y = torch.median(self.a, 2)[0]", "a p q r | y p q", RuleCase::kNoMask},
      {"a 3 4 5", "y = torch.argmax(self.a, 1)", "a p . r | y p r"},
      {"a 3 4 5", "y = torch.argmax(self.a)", "a . . . | y"},
      {"a 3 4 5", "y, z = torch.kthvalue(self.a, 2, 1)", "a p . r | y p r | z p r"},
      {"a 3 4 5", "y, z = torch.aminmax(self.a, dim=1)", "a p q r | y p r | z p r", RuleCase::kNoMask},
      {"a 3 4 | b 3 4", "y = torch.cosine_similarity(self.a, self.b, 1)", "a p q | b p q | y p"},
      // The order along a dimension matters.
      {"a 3 4 5", "y = torch.cumsum(self.a, 1)", "a p . r | y p . r"},
      {"a 3 4 5", "y, z = torch.sort(self.a, 1)", "a p . r | y p . r | z p . r"},
      {"a 3 4 5", "y = torch.argsort(self.a, -1)", "a p q . | y p q ."},
      {"a 3 4 5", "y, z = torch.topk(self.a, 2, 1)", "a p . r | y p . r | z p . r"},
      {"a 3 4 5", "y = torch.real(torch.fft_rfft2(self.a, None, [1, 2]))", "a p . . | y p . ."},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of normalization") {
  const std::string stats = "w 4 | b 4 | m 4 | v 4 | ";
  const std::vector<RuleCase> cases = {
      {"a 2 4 3 | " + stats,
       "y = torch.batch_norm(self.a, self.w, self.b, self.m, self.v.abs(), False, 0.1, 1e-5, False)",
       "a n c l | w c | b c | m c | v c | y n c l"},
      {"a 5 4 | " + stats,
       "y = torch.batch_norm(self.a, self.w, self.b, self.m, self.v.abs(), False, 0.1, 1e-5, False)",
       "a n c | w c | b c | m c | v c | y n c"},
      {"a 5 4 | w 4 | b 4",
       "y, m, s = torch.native_batch_norm(self.a, self.w, self.b, None, None, True, 0.1, 1e-5)",
       "a n c | w c | b c | y n c | m c | s c", RuleCase::kNoMask},
      {"a 2 4 3 6 | w 4 | b 4",
       "y = torch.instance_norm(self.a, self.w, self.b, None, None, True, 0.1, 1e-5, False)",
       "a n c h l | w c | b c | y n c h l", RuleCase::kNoMask},
      {"a 2 12 3 | w 12 | b 12", "y = torch.group_norm(self.a, 4, self.w, self.b)",
       "a n g*3 l | w g*3 | b g*3 | y n g*3 l", RuleCase::kNoMask, true},
      {"a 3 4 | w 4 | b 4", "y = torch.layer_norm(self.a, [4], self.w, self.b)", "a n c | w c | b c | y n c",
       RuleCase::kNoMask, true},
      {"a 2 3 4", "y = torch.layer_norm(self.a, [3, 4])", "a n c d | y n c d", RuleCase::kNoMask, true},
      {"a 3 4 | w 4", "y, m, s = torch.native_layer_norm(self.a, [4], self.w, None, 1e-5)",
       "a n c | w c | y n c | m n . | s n .", RuleCase::kNoMask, true},
      {"a 3 4 | w 4", "y = torch.rms_norm(self.a, [4], self.w, 1e-5)", "a n c | w c | y n c",
       RuleCase::kNoMask, true},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of pooling and resampling") {
  const std::vector<RuleCase> cases = {
      {"a 2 3 6 8", "y = torch.max_pool2d(self.a, [2, 2])", "a n c . . | y n c . ."},
      // Without a batch the channels come first.
      {"a 3 6 8", "y = torch.max_pool2d(self.a, [2, 2])", "a c . . | y c . ."},
      {"a 3 8", "y = torch.avg_pool1d(self.a, [2])", "a c . | y c ."},
      {"a 2 3 4 6 8", "y = torch.adaptive_avg_pool3d(self.a, [1, 2, 2])", "a n c . . . | y n c . . ."},
      {"a 2 3 6 8", "y, z = torch.adaptive_max_pool2d(self.a, [2, 2])", "a n c . . | y n c . . | z n c . ."},
      {"a 2 3 6 8",
       "h, i = torch.max_pool2d_with_indices(self.a, [2, 2])\ny = torch.max_unpool2d(h, i, [6, 8])",
       "a n c . . | y n c . ."},
      {"a 2 3 6 8", "y = torch.upsample_bilinear2d(self.a, [9, 9], False)", "a n c . . | y n c . ."},
      {"a 2 3 6 8", "y = torch._upsample_bicubic2d_aa(self.a, [4, 4], False)", "a n c . . | y n c . ."},
      {"a 2 3 6", "y = torch.upsample_linear1d(self.a, [9], False)", "a n c . | y n c ."},
      {"a 2 3 6 8 | g 2 4 5 2", "y = torch.grid_sampler(self.a, self.g, 0, 0, False)",
       "a n c . . | g n h w . | y n c h w"},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("operators that keep what passes through them whole") {
  const std::vector<RuleCase> cases = {
      {"a 4 4", "y = torch.diagonal(self.a)", "a . . | y ."},
      {"a 4 6", "y = torch.as_strided(self.a, [2, 3], [1, 2])", "a . . | y . ."},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of recurrent layers and cells") {
  const std::vector<RuleCase> cases = {
      {"a 4 6 | h 1 1 3 | w 9 6 | v 9 3",
       "y, z = torch.gru(self.a.unsqueeze(1), self.h, [self.w, self.v], False, 1, 0.0, False, False, False)",
       "a . i | h . . u | w 3*u i | v 3*u u | y . . u"},
      {"a 3 2 5 | h 2 2 4 | w 4 5 | v 4 4 | p 4 5 | q 4 4",
       "y, z = torch.rnn_tanh(self.a, self.h, [self.w, self.v, self.p, self.q], False, 1, 0.0, False, True, "
       "False)",
       "a . . i | h . . u | w u i | v u u | p u i | q u u | y . . 2*u"},
      {"a 3 2 5 | h 2 3 3 | c 2 3 3 | w 12 5 | v 12 3 | b 12 | d 12 | p 12 3 | q 12 3 | e 12 | f 12",
       "y, z, s = torch.lstm(self.a, [self.h, self.c], [self.w, self.v, self.b, self.d, self.p, self.q, "
       "self.e, self.f], True, 2, 0.0, False, False, True)",
       "a . . i | h . . u | c . . u | w 4*u i | v 4*u u | b 4*u | d 4*u | p 4*u u | q 4*u u | e 4*u | f 4*u "
       "| y . . u"},
      {"a 2 5 | h 2 3 | c 2 3 | w 12 5 | v 12 3",
       "y, z = torch.lstm_cell(self.a, [self.h, self.c], self.w, self.v)",
       "a . i | h . u | c . u | w 4*u i | v 4*u u | y . u"},
      {"a 2 5 | h 2 3 | w 9 5 | v 9 3 | b 9 | d 9",
       "y = torch.gru_cell(self.a, self.h, self.w, self.v, self.b, self.d)",
       "a . i | h . u | w 3*u i | v 3*u u | b 3*u | d 3*u | y . u"},
  };
  for (const auto& test : cases) checkRule(test);
}

}  // namespace torchsearch::testing
