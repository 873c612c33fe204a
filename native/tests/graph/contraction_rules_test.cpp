#include "tests/support/doctest.h"
#include "tests/support/rule_case.h"

namespace torchsearch::testing {

TEST_CASE("rules of products") {
  const std::vector<RuleCase> cases = {
      {"a 4 6 | b 6 5", "y = torch.matmul(self.a, self.b)", "a m k | b k n | y m n"},
      {"a 3 4 6 | b 6 5", "y = torch.matmul(self.a, self.b)", "a b m k | b k n | y b m n"},
      {"a 4 6 | b 3 6 5", "y = torch.matmul(self.a, self.b)", "a m k | b b k n | y b m n"},
      {"a 2 1 4 6 | b 3 6 5", "y = torch.matmul(self.a, self.b)", "a p . m k | b q k n | y p q m n"},
      {"a 6 | b 3 6 5", "y = torch.matmul(self.a, self.b)", "a k | b b k n | y b n"},
      {"a 3 4 6 | b 6", "y = torch.matmul(self.a, self.b)", "a b m k | b k | y b m"},
      {"a 6 | b 6", "y = torch.matmul(self.a, self.b)", "a k | b k | y"},
      {"a 4 6 | b 6 5", "y = torch.mm(self.a, self.b)", "a m k | b k n | y m n"},
      {"a 3 4 6 | b 3 6 5", "y = torch.bmm(self.a, self.b)", "a b m k | b b k n | y b m n"},
      {"a 4 6 | b 6", "y = torch.mv(self.a, self.b)", "a m k | b k | y m"},
      {"a 6 | b 6", "y = torch.dot(self.a, self.b)", "a k | b k | y"},
      {"@x 2 6 | b 6 5", "y = torch.matmul(x, self.b)", "b . n | y . n"},
      // What is multiplied by a constant along the summed dimension can't lose indices of it.
      {"a 4 6", "y = torch.matmul(self.a, torch.arange(18.0).view([6, 3]))", "a m . | y m ."},
      {"b 5 | c 4 6 | d 6 5", "y = torch.addmm(self.b, self.c, self.d)", "b n | c m k | d k n | y m n"},
      {"b 4 5 | c 4 6 | d 6 5", "y = torch.addmm(self.b, self.c, self.d, beta=0.5, alpha=2)",
       "b m n | c m k | d k n | y m n"},
      {"b 4 1 | c 4 6 | d 6 5", "y = torch.addmm(self.b, self.c, self.d)", "b m . | c m k | d k n | y m n"},
      {"b 4 | c 4 6 | d 6", "y = torch.addmv(self.b, self.c, self.d)", "b m | c m k | d k | y m"},
      {"b 3 4 5 | c 3 4 6 | d 3 6 5", "y = torch.baddbmm(self.b, self.c, self.d)",
       "b b m n | c b m k | d b k n | y b m n"},
      {"b 4 5 | c 3 4 6 | d 3 6 5", "y = torch.addbmm(self.b, self.c, self.d)",
       "b m n | c b m k | d b k n | y m n"},
      {"a 4 | b 6", "y = torch.outer(self.a, self.b)", "a m | b n | y m n"},
      {"a 4 | b 6", "y = torch.ger(self.a, self.b)", "a m | b n | y m n"},
      {"a 4 6 | b 6 5 | c 5 3", "y = torch.chain_matmul([self.a, self.b, self.c])",
       "a m k | b k l | c l n | y m n"},
      {"a 6 | b 6 5 | c 5", "y = torch.linalg_multi_dot([self.a, self.b, self.c])", "a k | b k l | c l | y"},
      {"a 3 4 6 | b 6 4 5", "y = torch.tensordot(self.a, self.b, [1, 2], [1, 0])",
       "a m k l | b l k n | y m n"},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of linear layers") {
  const std::vector<RuleCase> cases = {
      {"@x 2 6 | w 5 6 | b 5 | v 3 5",
       "h = torch.linear(x, self.w, self.b)\ny = torch.linear(h, self.v, None)",
       "w n . | b n | v m n | y . m"},
      {"a 4 6 | w 5 6", "y = torch.linear(self.a, self.w)", "a m k | w n k | y m n"},
      {"a 6 | w 5 6 | b 5", "y = torch.linear(self.a, self.w, self.b)", "a k | w n k | b n | y n"},
      {"a 3 4 6 | w 6", "y = torch.linear(self.a, self.w)", "a b m k | w k | y b m"},
      {"a 4 3 | b 4 5 | w 6 3 5 | c 6", "y = torch.bilinear(self.a, self.b, self.w, self.c)",
       "a m p | b m q | w n p q | c n | y m n"},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of convolutions") {
  const std::vector<RuleCase> cases = {
      {"@x 2 3 5 5 | w 6 3 3 3 | b 6 | v 4 6 1 1",
       "h = torch.conv2d(x, self.w, self.b)\ny = torch.conv2d(h, self.v)",
       "w c . . . | b c | v d c . . | y . d . ."},
      {"a 5 3 7 | w 6 3 3", "y = torch.conv1d(self.a, self.w)", "a n k . | w c k . | y n c ."},
      // Without a batch the channels come first.
      {"a 3 5 5 | w 6 3 3 3 | b 6", "y = torch.conv2d(self.a, self.w, self.b, [1, 1], [1, 1])",
       "a k . . | w c k . . | b c | y c . ."},
      {"a 3 4 5 6 | w 6 3 1 2 3", "y = torch.conv3d(self.a, self.w)", "a k . . . | w c k . . . | y c . . ."},
      {"a 2 8 5 5 | w 12 2 3 3 | b 12", "y = torch.conv2d(self.a, self.w, self.b, [1, 1], [0, 0], [1, 1], 4)",
       "a n g*2 . . | w g*3 . . . | b g*3 | y n g*3 . .", 0.0, true},
      {"a 8 5 5 | w 12 2 3 3", "y = torch.conv2d(self.a, self.w, None, [1, 1], [0, 0], [1, 1], 4)",
       "a g*2 . . | w g*3 . . . | y g*3 . .", 0.0, true},
      {"a 2 8 5 5 | w 8 1 3 3", "y = torch.conv2d(self.a, self.w, None, [1, 1], [1, 1], [1, 1], 8)",
       "a n g . . | w g . . . | y n g . .", 0.0, true},
      {"a 5 3 4 4 | w 3 6 3 3 | b 6", "y = torch.conv_transpose2d(self.a, self.w, self.b, [2, 2])",
       "a n k . . | w k c . . | b c | y n c . ."},
      {"a 2 8 4 4 | w 8 3 3 3 | b 12",
       "y = torch.conv_transpose2d(self.a, self.w, self.b, [2, 2], [0, 0], [0, 0], 4)",
       "a n g*2 . . | w g*2 . . . | b g*3 | y n g*3 . .", 0.0, true},
      {"a 2 6 4 | w 6 1 3", "y = torch.conv_transpose1d(self.a, self.w, None, [1], [0], [0], 6)",
       "a n g . | w g . . | y n g .", 0.0, true},
      // A filter that is the same for every channel is made for that many.
      {"a 2 4 5 5",
       "y = torch.conv2d(self.a, torch.arange(36.0).view([4, 1, 3, 3]), None, [1, 1], [0, 0], [1, 1], 4)",
       "a n . . . | y n . . ."},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of einsum") {
  const std::vector<RuleCase> cases = {
      {"a 4 6 | b 6 5", "y = torch.einsum('mk,kn->nm', [self.a, self.b])", "a m k | b k n | y n m"},
      {"a 4 6 | b 6 5", "y = torch.einsum('ik, kj', [self.a, self.b])", "a m k | b k n | y m n"},
      // An implicit output is in the order of the alphabet.
      {"a 4 6 | b 6 5", "y = torch.einsum('zk,ka', [self.a, self.b])", "a m k | b k n | y n m"},
      {"a 2 3 4 5 | b 2 3 6 5", "y = torch.einsum('bhqd,bhkd->bhqk', [self.a, self.b])",
       "a b h q d | b b h k d | y b h q k"},
      {"a 2 3 6 | b 6 4 3", "y = torch.einsum('...k,knm->...nm', [self.a, self.b])",
       "a p q k | b k n m | y p q n m"},
      {"a 2 3 4 | b 3 5", "y = torch.einsum('...i,...j->...ij', [self.a, self.b])",
       "a p q i | b q j | y p q i j"},
      {"a 2 1 4 | b 3 5", "y = torch.einsum('...i,...j->...ij', [self.a, self.b])",
       "a p . i | b q j | y p q i j"},
      {"a 2 3 4", "y = torch.einsum('...i->i', [self.a])", "a p q i | y i"},
      {"a 5 5 3", "y = torch.einsum('iij->ij', [self.a])", "a i i j | y i j"},
      {"a 5 5", "y = torch.einsum('ii', [self.a])", "a i i | y"},
      {"a 4 6 | b 6 5 | c 4 5", "y = torch.einsum('ik,kj,ij->i', [self.a, self.b, self.c])",
       "a i k | b k j | c i j | y i"},
      {"a 4 6", "y = torch.einsum('ik,kj->ij', [self.a, torch.arange(12.0).view([6, 2])])", "a i . | y i ."},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of distances") {
  const std::vector<RuleCase> cases = {
      {"a 4 6 | b 5 6", "y = torch.cdist(self.a, self.b)", "a p k | b q k | y p q"},
      {"a 2 4 6 | b 5 6", "y = torch.cdist(self.a, self.b, 1.0)", "a b p k | b q k | y b p q"},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of scaled_dot_product_attention") {
  const std::vector<RuleCase> cases = {
      {"q 2 3 4 5 | k 2 3 6 5 | v 2 3 6 7",
       "y = torch.scaled_dot_product_attention(self.q, self.k, self.v, None, 0.0, False, scale=0.5)",
       "q b h l d | k b h s d | v b h s e | y b h l e", RuleCase::kNoMask},
      // The default scale is the root of the features' number.
      {"q 2 3 4 5 | k 2 3 6 5 | v 2 3 6 7", "y = torch.scaled_dot_product_attention(self.q, self.k, self.v)",
       "q b h l . | k b h s . | v b h s e | y b h l e", RuleCase::kNoMask},
      {"q 3 4 5 | k 3 6 5 | v 3 6 7 | m 4 6",
       "y = torch.scaled_dot_product_attention(self.q, self.k, self.v, self.m)",
       "q h l . | k h s . | v h s e | m l s | y h l e", RuleCase::kNoMask},
      {"q 2 3 4 5 | k 2 3 6 5 | v 2 3 6 7 | m 3 1 6",
       "y = torch.scaled_dot_product_attention(self.q, self.k, self.v, self.m)",
       "q b h l . | k b h s . | v b h s e | m h . s | y b h l e", RuleCase::kNoMask},
      {"q 2 3 4 5 | k 2 3 4 5 | v 2 3 4 7",
       "y = torch.scaled_dot_product_attention(self.q, self.k, self.v, None, 0.0, True)",
       "q b h . . | k b h . . | v b h . e | y b h . e", RuleCase::kNoMask},
      {"q 2 6 4 5 | k 2 3 6 5 | v 2 3 6 7",
       "y = torch.scaled_dot_product_attention(self.q, self.k, self.v, None, 0.0, False, enable_gqa=True)",
       "q b h*2 l . | k b h s . | v b h s e | y b h*2 l e", RuleCase::kNoMask},
      // A mask per head that is no parameter keeps the heads.
      {"q 3 4 5 | k 3 6 5 | v 3 6 7",
       "y = torch.scaled_dot_product_attention(self.q, self.k, self.v, torch.arange(3.0).view([3, 1, 1]))",
       "q . l . | k . s . | v . s e | y . l e", RuleCase::kNoMask},
  };
  for (const auto& test : cases) checkRule(test);
}

}  // namespace torchsearch::testing
