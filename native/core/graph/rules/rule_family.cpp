#include "core/graph/rules/rule_family.h"

namespace torchsearch {

const std::vector<RuleFamily>& ruleFamilies() {
  static const std::vector<RuleFamily> families = {
      {"Activations and arithmetic", "Index by index; what is broadcast is aligned at the last dimension.",
       elementwiseRule,
       "relu relu6 hardtanh hardswish hardsigmoid sigmoid tanh gelu silu leaky_relu elu selu celu mish "
       "softplus "
       "hardshrink softshrink threshold log_sigmoid rrelu logit "
       "dropout feature_dropout alpha_dropout feature_alpha_dropout native_dropout bernoulli "
       "uniform normal neg negative positive exp exp2 expm1 log log2 log10 log1p sqrt rsqrt abs absolute "
       "square reciprocal "
       "sign sgn floor ceil round trunc frac erf erfc erfinv lgamma digamma sinc "
       "sin cos tan asin acos atan sinh cosh asinh acosh atanh arctan "
       "add sub subtract rsub mul multiply div divide true_divide floor_divide remainder fmod pow "
       "float_power "
       "atan2 arctan2 hypot xlogy logaddexp logaddexp2 copysign heaviside "
       "maximum minimum fmax fmin clamp clip clamp_min clamp_max lerp addcmul addcdiv "
       "eq ne gt ge lt le greater greater_equal less less_equal not_equal isnan isinf isfinite isclose "
       "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not "
       "__and__ __or__ __xor__ where masked_fill nan_to_num fill zero copy "
       "softmax log_softmax _softmax _log_softmax complex polar real imag angle conj",
       false, true},
      {"Weight normalization",
       "Magnitudes are tied to the directions' channels. A magnitude that is a parameter follows when inputs "
       "are "
       "dropped, so that the weights that stay are what they were; else they stay whole.",
       weightNormRule, "_weight_norm"},
      {"Copies and conversions", "The result has the first tensor's shape; others only give its type.",
       unaryRule,
       "clone contiguous to type_as detach alias cpu cuda "
       "lift_fresh lift_fresh_copy _to_copy resolve_conj resolve_neg requires_grad "
       "zeros_like ones_like empty_like full_like rand_like randn_like randint_like",
       false, true},
      {"Expansion", "A dimension of size 1 that is expanded follows what it meets.", expandRule,
       "expand broadcast_to"},
      {"Expansion to another's shape", "Like arithmetic of both.", elementwiseRule, "expand_as"},
      {"Expansion of several", "Tensors that are broadcast against each other.", elementwiseRule,
       "broadcast_tensors", true},
      {"New tensors", "Made of numbers alone: they have no channels.", factoryRule,
       "arange eye linspace logspace tensor scalar_tensor rand randn randint randperm tril_indices "
       "triu_indices hann_window"},
      {"New tensors of one value",
       "A dimension whose size does not follow from the inputs follows what it meets.", fillRule,
       "zeros ones full empty new_zeros new_ones new_full new_empty"},
      {"Triangles", "The last two dimensions stay whole; the others pass.", triangleRule, "tril triu", false,
       true},
      {"Convolutions",
       "The input's channels are tied to the weight's; a grouped convolution keeps whole groups, or the same "
       "channels of each group.",
       convolutionRule,
       "conv1d conv2d conv3d _convolution _convolution_mode convolution conv_transpose1d conv_transpose2d "
       "conv_transpose3d"},
      {"Linear layers", "The input's features are tied to the weight's.", linearRule, "linear"},
      {"Matrix products", "The summed dimensions are tied; batches run along each other.", matmulRule,
       "matmul mm bmm mv dot vdot linalg_matmul"},
      {"Sums of a tensor and a product", "Like matrix products; the tensor is broadcast onto the product.",
       addedProductRule, "addmm addmv baddbmm addbmm", false, true},
      {"Distances", "The features that are compared are tied; both sets of vectors pass.", distanceRule,
       "cdist"},
      {"Outer products", "Both vectors' indices pass.", outerRule, "outer ger"},
      {"Chains of products", "The summed dimensions are tied.", chainRule, "chain_matmul linalg_multi_dot"},
      {"Tensor products over given dimensions", "The summed dimensions are tied.", tensordotRule,
       "tensordot"},
      {"Bilinear layers", "Both inputs' features are tied to the weight's.", bilinearRule, "bilinear"},
      {"Einstein sums",
       "A letter, or a dimension of the ellipsis, is one dimension of all operands that have it.", einsumRule,
       "einsum"},
      {"Attention",
       "Queries' and keys' features are tied, and stay whole where the scale is derived from their number.",
       attentionRule,
       "scaled_dot_product_attention _scaled_dot_product_attention_math "
       "_scaled_dot_product_flash_attention_for_cpu"},
      {"Normalization per channel", "Scales, offsets and statistics are tied to the channels.",
       channelNormRule,
       "batch_norm instance_norm native_batch_norm _native_batch_norm_legit "
       "_native_batch_norm_legit_no_training"},
      {"Group normalization", "The channels of a group are kept or dropped together.", groupNormRule,
       "group_norm"},
      {"Layer normalization",
       "Scales and offsets are tied to the features. A subnet normalizes over those that it has.",
       layerNormRule, "layer_norm native_layer_norm rms_norm"},
      {"Parametric ReLU", "The slopes are tied to the channels.", preluRule, "prelu"},
      {"Pooling and resampling", "The resampled dimensions stay whole; the others pass.", spatialRule,
       "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices "
       "max_pool3d_with_indices "
       "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
       "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
       "adaptive_max_pool3d "
       "max_unpool2d max_unpool3d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
       "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d "
       "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa "
       "_upsample_bicubic2d_aa _upsample_lanczos2d_aa"},
      {"Sampling by a grid", "Channels pass.", gridSampleRule,
       "grid_sampler grid_sampler_2d grid_sampler_3d"},
      {"Windows as columns", "Each channel becomes one channel for each place of the window.", windowRule,
       "im2col"},
      {"Columns as windows", "The window's places of one channel are kept or dropped together.", columnsRule,
       "col2im"},
      {"Windows of one dimension", "That dimension stays whole; the others pass.", unfoldRule, "unfold"},
      {"Reshapes",
       "Channels pass where dimensions are merged or split evenly. Of the factors that channels are split "
       "into, "
       "as heads and their width, one is narrowed.",
       reshapeRule, "view reshape _unsafe_view flatten unflatten squeeze unsqueeze view_as reshape_as ravel"},
      {"Permutations", "Dimensions change their places.", permuteRule,
       "permute transpose swapaxes swapdims t numpy_T mT mH adjoint movedim moveaxis"},
      {"Pixel shuffle", "The channels that become one are kept or dropped together.", pixelShuffleRule,
       "pixel_shuffle"},
      {"Pixel unshuffle", "The channels made of one are kept or dropped together.", pixelUnshuffleRule,
       "pixel_unshuffle"},
      {"Channel shuffle", "Channels at one place of each group are kept or dropped together.",
       channelShuffleRule, "channel_shuffle native_channel_shuffle"},
      {"Concatenation", "Channels of one piece change places only among themselves.", concatenateRule,
       "cat concat concatenate"},
      {"Splitting", "Pieces cut by a common size keep equal widths.", splitRule,
       "chunk unsafe_chunk split split_with_sizes", true},
      {"Slices",
       "Channels that are cut out change places only among themselves. Those between two places of a cut "
       "with a "
       "step, up to the dimension's end, go together. With another step, or a bound that follows from the "
       "inputs' sizes, the dimension stays whole.",
       sliceRule, "slice narrow"},
      {"Selection", "The dimension selected from stays whole; the others pass.", selectRule, "select"},
      {"Stacking", "The tensors' dimensions run along each other; the new one has no channels.", stackRule,
       "stack"},
      {"Unbinding", "The dimension taken apart stays whole; the others pass.", unbindRule, "unbind", true},
      {"Gated linear units", "Value and gate keep equal widths.", gluRule, "glu"},
      {"Padding",
       "Constants are added beside the channels; a channel dimension padded in another way stays whole.",
       padRule,
       "pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
       "replication_pad2d "
       "replication_pad3d"},
      {"Repetition",
       "A channel's copies are kept or dropped together. Copies of what has no channels, as many for all "
       "inputs, "
       "follow what they meet.",
       repeatRule, "repeat tile"},
      {"Repetition of single indices", "The same.", repeatInterleaveRule, "repeat_interleave"},
      {"Grids of coordinates", "Each vector's indices run along one dimension.", meshgridRule, "meshgrid",
       true},
      {"Complex numbers as pairs", "The last dimension, of two, comes or goes; the others pass.",
       complexViewRule, "view_as_complex view_as_real"},
      {"Flips", "Channels pass, in reverse order.", flipRule, "flip"},
      {"Rolls", "Rolled dimensions stay whole; the others pass.", rollRule, "roll"},
      {"Indexing by tensors",
       "Indexed dimensions stay whole; the others pass. Where one vector of constants is given, the channels "
       "that "
       "it names stay.",
       indexRule, "index"},
      {"Writing by index tensors", "Indexed dimensions stay whole; the others pass.", indexPutRule,
       "index_put", false, true},
      {"Selection by a vector", "The dimension selected from stays whole; the others pass.", indexSelectRule,
       "index_select"},
      {"Gathering", "The dimension gathered from stays whole; the others pass.", gatherRule,
       "gather take_along_dim"},
      {"Scattering", "The dimension scattered along stays whole; the others pass.", scatterRule,
       "scatter scatter_add scatter_reduce index_add index_copy index_fill", false, true},
      {"Embeddings", "The rows stay whole; the features pass.", embeddingRule, "embedding"},
      {"Bags of embeddings", "The rows stay whole; the features pass.", embeddingBagRule,
       "embedding_bag _embedding_bag _embedding_bag_forward_only"},
      {"Reductions", "The dimensions that are left pass. A subnet reduces over the channels that it has.",
       reduceRule,
       "mean sum nanmean nansum prod amax amin aminmax logsumexp all any count_nonzero norm linalg_norm "
       "linalg_vector_norm linalg_matrix_norm frobenius_norm"},
      {"Variances", "Like reductions; with Bessel's correction the reduced dimensions stay whole.",
       varianceRule, "var std var_mean std_mean"},
      {"Extrema", "For two tensors, index by index; for one, like reductions if the places are not used.",
       extremumRule, "max min median nanmedian mode"},
      {"Places of extrema", "The reduced dimension stays whole; the others pass.", positionRule,
       "argmax argmin kthvalue"},
      {"Similarity", "Two tensors are broadcast against each other, then reduced.", similarityRule,
       "cosine_similarity"},
      {"Running sums, sorting, Fourier transforms",
       "A dimension whose order matters stays whole; the others pass.", orderedRule,
       "cumsum cumprod logcumsumexp cummax cummin sort argsort topk fft_fft fft_ifft fft_rfft fft_irfft "
       "fft_hfft "
       "fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_fftshift "
       "fft_ifftshift",
       false, true},
      {"Recurrent layers",
       "A unit goes with its row of each gate. Units are tied over all layers and directions, whose states "
       "lie "
       "in one tensor.",
       recurrentRule, "lstm gru rnn_tanh rnn_relu"},
      {"Recurrent cells", "A unit goes with its row of each gate.", recurrentCellRule,
       "lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"},
  };
  return families;
}

}  // namespace torchsearch
