#include "tests/support/doctest.h"
#include "tests/support/rule_case.h"

namespace torchsearch::testing {

TEST_CASE("rules of permutations") {
  const std::vector<RuleCase> cases = {
      {"a 3 4 5", "y = self.a.permute(2, 0, 1)", "a p q r | y r p q"},
      {"a 3 4 5", "y = self.a.permute(-1, 0, -2)", "a p q r | y r p q"},
      {"a 3 4 5", "y = self.a.transpose(0, -1)", "a p q r | y r q p"},
      {"a 3 4 5", "y = torch.swapaxes(self.a, 0, 1)", "a p q r | y q p r"},
      {"a 3 4 5", "y = torch.swapdims(self.a, 1, 2)", "a p q r | y p r q"},
      {"a 3 4 5", "y = torch.movedim(self.a, 0, 2)", "a p q r | y q r p"},
      {"a 3 4 5 2", "y = torch.movedim(self.a, [0, 3], [-1, 0])", "a p q r s | y s q r p"},
      {"a 3 4 5 2", "y = torch.moveaxis(self.a, [3], [1])", "a p q r s | y p s q r"},
      {"a 3 4", "y = self.a.t()", "a p q | y q p"},
      {"a 3 4 5", "y = torch.mT(self.a)", "a p q r | y p r q"},
      {"a 3 4 5", "y = torch.adjoint(self.a)", "a p q r | y p r q"},
      {"a 3 4 5", "y = torch.flip(self.a, [1, -1])", "a p q r | y p ~q ~r"},
      {"a 3 4 2", "y = torch.view_as_real(torch.view_as_complex(self.a) * 2)", "a p q . | y p q ."},
      {"a 3 4 5", "y = torch.roll(self.a, [1], [1])", "a p . r | y p . r"},
      {"a 3 4 5", "y = torch.roll(self.a, [1, 4, -2], [0, 1, 2])", "a . . . | y . . ."},
      {"a 3 4 5", "y = torch.roll(self.a, [1, 0], [0, 1])", "a . q r | y . q r"},
      {"a 3 4", "y = torch.roll(self.a, [1])", "a . . | y . ."},
      {"a 3 4 5", "y = torch.rot90(self.a)", "a . . . | y . . ."},
      {"a 3 4 4", "y = torch.tril(self.a)", "a p . . | y p . ."},
      {"a 3 4 4", "y = torch.triu(self.a, 1)", "a p . . | y p . ."},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of shuffles and windows") {
  const std::vector<RuleCase> cases = {
      {"a 2 12 3 5", "y = torch.pixel_shuffle(self.a, 2)", "a n c*4 h w | y n c h*2 w*2"},
      {"a 12 3 5", "y = torch.pixel_shuffle(self.a, 2)", "a c*4 h w | y c h*2 w*2"},
      {"a 2 3 4 10", "y = torch.pixel_unshuffle(self.a, 2)", "a n c h*2 w*2 | y n c*4 h w"},
      {"a 2 12 3 5", "y = torch.channel_shuffle(self.a, 3)", "a n 3*c h w | y n c*3 h w"},
      {"a 2 12 3 5", "y = torch.native_channel_shuffle(self.a, 2)", "a n 2*c h w | y n c*2 h w"},
      {"a 2 3 5 7", "y = torch.im2col(self.a, [2, 3], [1, 1], [1, 0], [2, 1])", "a n c . . | y n c*6 ."},
      {"a 3 5 7", "y = torch.im2col(self.a, [2, 3], [1, 1], [0, 0], [1, 1])", "a c . . | y c*6 ."},
      {"a 2 18 20", "y = torch.col2im(self.a, [5, 7], [2, 3], [1, 1], [0, 0], [1, 1])",
       "a n c*6 . | y n c . ."},
      {"a 3 7 4", "y = self.a.unfold(1, 3, 2)", "a p . r | y p . r ."},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of pieces") {
  const std::vector<RuleCase> cases = {
      {"a 3 4 | b 3 5", "y = torch.cat([self.a, self.b], 1)", "a p q | b p r | y p q+r"},
      {"a 3 4 | b 3 5", "y = torch.cat([self.a, torch.arange(6.0).view([3, 2]), self.b], -1)",
       "a . q | b . r | y . q+.2+r"},
      {"a 3 4", "y = torch.cat([self.a, self.a], 1)", "a p q | y p 2*q"},
      {"a 3 4 | b 3 4", "y = torch.stack([self.a, self.b], 1)", "a p q | b p q | y p . q"},
      {"a 3 4 | b 3 4", "y = torch.stack([self.a, self.b], -1)", "a p q | b p q | y p q ."},
      {"a 3 4 5", "y, z, w = torch.unbind(self.a)", "a . q r | y q r | z q r | w q r"},
      {"a 3 2 5", "y, z = torch.unbind(self.a, -2)", "a p . r | y p r | z p r"},
      {"a 3 8", "y = torch.glu(self.a)", "a p 2*c | y p c"},
      {"a 8 3", "y = torch.glu(self.a, 0)", "a 2*c p | y c p"},
      {"a 3 8", "y, z = torch.chunk(self.a, 2, 1)", "a p 2*c | y p c | z p c"},
      {"a 3 4", "y = torch.pad(self.a, [2, 1])", "a p q | y p .2+q+.1"},
      {"a 3 4", "y = torch.pad(self.a, [0, 0, 1, 0])", "a p q | y .1+p q"},
      {"a 3 4", "y = torch.constant_pad_nd(self.a, [1, 1], 0.5)", "a p q | y p .1+q+.1"},
      {"a 3 4", "y = torch.constant_pad_nd(self.a, [-1, 1], 0.5)", "a p . | y p ."},
      {"a 2 3 4 5", "y = torch.reflection_pad2d(self.a, [1, 1, 0, 2])", "a p q . . | y p q . ."},
      {"a 2 3 4 5", "y = torch.replication_pad2d(self.a, [1, 1, 0, 0])", "a p q r . | y p q r ."},
      {"a 2 3 4 5", "y = torch.pad(self.a, [1, 1, 0, 0], 'circular')", "a p q r . | y p q r ."},
      {"a 3 4", "y = self.a.repeat(2, 1, 3)", "a p q | y . p 3*q"},
      {"a 1 4", "y = self.a.repeat(2, 3)", "a . q | y . 3*q"},
      {"a 3 4", "y = torch.tile(self.a, [2])", "a p q | y p 2*q"},
      {"a 3 4", "y = torch.repeat_interleave(self.a, 3, 1)", "a p q | y p q*3"},
      {"a 3 4", "y = torch.repeat_interleave(self.a, 2)", "a . . | y ."},
      // Copies of what has no channels follow what they meet, and are counted anew.
      {"@x 2 1 4 | b 3 4", "y = x.repeat(1, 3, 1) * self.b", "b p . | y . p .", 0.0, true},
      {"@x 2 2 4 | b 6 4", "y = x.repeat(1, 3, 1) * self.b", "b p*2 . | y . p*2 .", 0.0, true},
      {"@x 2 4 | b 3 1 4", "y = x.repeat(3, 1, 1) * self.b", "b p . . | y p . .", 0.0, true},
      {"@x 2 2 4 | b 6 4", "y = torch.repeat_interleave(x, 3, 1) * self.b", "b 2*p . | y . 2*p .", 0.0, true},
      {"@x 2 2 4 | b 12", "y = torch.tile(x, [3]) * self.b", "b p*4 | y . . p*4", 0.0, true},
      {"@x 2 4 | b 8", "y = x.repeat(1, x.size(1) // 2) * self.b", "b . | y . ."},
      {"a 3 | b 4", "y, z = torch.meshgrid([self.a, self.b])", "a p | b q | y p q | z p q"},
      {"a 3 1 | b 4", "y, z = torch.broadcast_tensors([self.a, self.b])", "a p . | b q | y p q | z p q"},
      {"a 4 1", "y = self.a.expand(3, 4, 5)", "a q . | y . q .", 0.0, true},
      {"a 1 4 | b 5 4", "y = self.a.expand(5, 4) * self.b", "a . q | b p q | y p q", 0.0, true},
      {"a 3 4", "y = self.a + torch.zeros([3, 4])", "a p q | y p q", 0.0, true},
      {"a 3 4", "y = self.a * torch.full([4], 2.0)", "a p q | y p q", 0.0, true},
      {"a 3 4 | b 3 6", "y = torch.cat([self.a, self.a.new_zeros([3, 6]) + self.b], 1)",
       "a p q | b p r | y p q+r", 0.0, true},
      {"a 3 4 | @x 2 3 4", "y = self.a + x.new_zeros([x.size(0), 3, 4])", "a p q | y . p q", 0.0, true},
      {"a 3 4 | @x 3", "y = self.a[:x.size(0)]", "a . q | y . q"},
      {"a 5 4 | @x 3", "y = self.a[-x.size(0):]\nz = self.a.narrow(0, 1, x.size(0))",
       "a . q | y . q | z . q"},
      {"a 4 1", "y = self.a.expand(3, -1, 5)", "a q . | y . q ."},
      {"a 4 1 | b 4 5", "y = self.a.expand_as(self.b)", "a p . | b p q | y p q"},
      {"a 4 1", "y = torch.broadcast_to(self.a, [3, 4, 5])", "a q . | y . q .", 0.0, true},
      {"a 3 9", "y = self.a[:, 2:5]\nz = self.a[:, -4:]\nw = self.a[:, :2]",
       "a p q+r+s | y p r | z p s | w p q", 0.0, true},
      // What two slices share is a piece of its own.
      {"a 9", "y = self.a[:5]\nz = self.a[2:]\nu = self.a[:2]\nv = self.a[2:5]\nw = self.a[5:]",
       "a q+r+s | y q+r | z r+s | u q | v r | w s", 0.0, true},
      // One index alone can't be dropped.
      {"a 3 4", "y = self.a[:, 1:]\nz = self.a[:, :1]", "a p .1+q | y p q | z p .", 0.0, true},
      {"a 3 6", "y = torch.narrow(self.a, 1, 2, 4)\nz = torch.narrow(self.a, 1, 0, 2)",
       "a p q+r | y p r | z p q", 0.0, true},
      {"a 3 6", "y = torch.narrow(self.a, 1, 0, 6)", "a p q | y p q", 0.0, true},
      {"a 4 6 | b 3", "y = self.a.clone()\ny[:, 1:4].add_(self.b)\nu = self.a[:, :1]\nv = self.a[:, 4:]",
       "a p .1+q+r | b q | y p .1+q+r | u p . | v p r", 0.0, true},
      {"a 3 6", "y = self.a[:, 2]", "a p . | y p"},
      // What lies between two places of a cut with a step goes with them; the last ones may be fewer.
      {"a 3 6", "y = self.a[:, ::2]", "a p q*2 | y p q"},
      {"a 3 6", "y = self.a[:, 1::2]\nz = self.a[:, ::2]", "a p q*2 | y p q | z p q"},
      {"a 9 3", "y = self.a[2::3]", "a p*3 q | y p q"},
      {"a 3 7", "y = self.a[:, 1::3]\nz = self.a[:, 6:]", "a p q*3+.1 | y p q | z p .", 0.0, true},
      {"a 3 6", "y = self.a[:, 1:5:2]", "a p . | y p ."},
      {"a 3 6", "y = self.a[:, 2::2]", "a p . | y p ."},
      {"a 3 6", "y = self.a[:, 0:self.a.size(1):2]", "a p q*2 | y p q"},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("rules of lookups") {
  const std::vector<RuleCase> cases = {
      {"a 6 4", "y = self.a[torch.tensor([0, 2, 5])]", "a . q | y . q"},
      {"a 4 6", "y = self.a[:, torch.tensor([0, 2, 5])]", "a q . | y q ."},
      {"a 3 6 5 4", "y = self.a[:, torch.tensor([0, 2]), torch.tensor([1, 3])]", "a p . . q | y p . q"},
      {"a 3 6 5 4", "y = self.a[torch.tensor([0, 2]), :, torch.tensor([1, 3])]", "a . p . q | y . p q"},
      {"a 3 6 5", "y = self.a[:, torch.tensor([[0], [2]]), torch.tensor([1, 3, 0])]", "a p . . | y p . ."},
      {"a 6 4", "y = self.a[torch.arange(6) > 2]", "a . q | y . q"},
      {"a 3 6 4", "y = self.a[:, torch.ones([6, 4]) > 0]", "a p . . | y p ."},
      // A table of positions is itself a tensor of the module.
      {"a 6 4 | %i<6 3 5", "y = self.a[self.i]", "a . q | i p r | y p r q"},
      {"a 6 4 | %i<6 3 | %j<4 3", "y = self.a[self.i, self.j]", "a . . | i p | j p | y p"},
      {"a 6 4", "y = torch.index_select(self.a, 0, torch.tensor([0, 2, 5]))", "a . q | y . q"},
      {"a 4 6 | %i<6 3", "y = torch.index_select(self.a, 1, self.i)", "a q . | i p | y q p"},
      {"a 3 6 | %i<6 3 4", "y = torch.gather(self.a, 1, self.i)", "a p . | i p q | y p q"},
      {"a 3 6 | %i<6 3 4", "y = torch.take_along_dim(self.a, self.i, 1)", "a p . | i p q | y p q"},
      {"a 3 6 | %i<6 1 4", "y = torch.take_along_dim(self.a, self.i, 1)", "a p . | i . q | y p q"},
      {"a 3 6", "y = torch.masked_select(self.a, torch.ones([6]) > 0)", "a . . | y ."},
      {"a 3 6 | %i<6 3 2 | b 3 2", "y = torch.scatter(self.a, 1, self.i, self.b)",
       "a p . | i p . | b p . | y p ."},
      {"a 3 6 | %i<6 3 2 | b 3 2", "y = torch.scatter_add(self.a, 1, self.i, self.b)",
       "a p . | i p . | b p . | y p ."},
      {"a 6 3 | %i<6 2 | b 2 3", "y = torch.index_add(self.a, 0, self.i, self.b)",
       "a . p | i . | b . p | y . p"},
      {"a 6 3 | b 3", "y = torch.index_put(self.a, [torch.tensor([0, 4])], self.b)", "a . p | b p | y . p"},
      {"w 6 4 | %i<6 2 3", "y = torch.embedding(self.w, self.i)", "w . q | i p r | y p r q"},
      {"w 6 4", "y = torch.embedding(self.w, torch.tensor([[0, 5, 2]]), 2)", "w . q | y . . q"},
      {"w 6 4", "y, a, b, c = torch.embedding_bag(self.w, torch.tensor([0, 5, 2]), torch.tensor([0, 2]))",
       "w . q | y . q"},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("new tensors of one value follow what they meet") {
  const std::vector<RuleCase> cases = {
      {"a 3 4", "y = self.a + torch.ones([3, 1])", "a p q | y p q", 0.0, true},
      {"a 4 6", "y = torch.matmul(self.a, torch.ones([6, 3]))", "a m k | y m .", 0.0, true},
      {"a 2 4 5 5", "y = torch.conv2d(self.a, torch.ones([4, 1, 3, 3]), None, [1, 1], [0, 0], [1, 1], 4)",
       "a n c . . | y n c . .", 0.0, true},
      {"a 4 6", "y = torch.einsum('ik,kj->ij', [self.a, torch.ones([6, 2])])", "a i k | y i .", 0.0, true},
  };
  for (const auto& test : cases) checkRule(test);
}

TEST_CASE("new tensors fix nothing and have no channels") {
  const std::vector<RuleCase> cases = {
      {"a 3 4", "y = self.a * torch.arange(12).view(3, 4)[0, 1]", "a p q | y p q"},
      {"a 3 4", "y = self.a.new_zeros([5, 6])\nz = self.a * 2", "a p q | y . . | z p q"},
      {"a 3 4", "y = torch.zeros_like(self.a) + self.a", "a p q | y p q"},
      {"a 3 4", "y = torch.full_like(self.a, 2.0) * self.a", "a p q | y p q"},
      {"a 3 4", "y = self.a + torch.arange(3).view([3, 1])", "a . q | y . q"},
  };
  for (const auto& test : cases) checkRule(test);
}

}  // namespace torchsearch::testing
