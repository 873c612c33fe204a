"""Writes which operators a TorchScript file may name: native/core/archive/{allowed,refused}_operators.inc.

    python scripts/python/operator_policy.py            # adds the operators of this Python's PyTorch to both lists
    python scripts/python/operator_policy.py NAME …     # adds these, as the C++ test lists them for another PyTorch

A file may name only what is in the allowed list. The rule below sorts the registered operators into the two lists;
what it lets through computes on tensors, numbers, text and containers and nothing else: no files, no network, no
processes, no output, no global state, no memory that is addressed without a check of bounds. A C++ test compares both
lists with what the linked LibTorch has registered, so a new version's operators are reviewed before they may run.
"""

import re
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import torch  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "native" / "core" / "archive"

# Within aten, refused by name. Everything else of aten is allowed.
ATEN_REFUSED = [
    # files, output, and the state of the process
    r"save|from_file|_print|manual_seed|seed|initial_seed|Generator|has_torch_function|record_stream",
    r"_?pin_memory|_cuda_.*|set_num_threads.*|.*_sleep|sleep",
    # storage that is exchanged, or read without a check of bounds
    r"set_?|set_data|_set_(?!item).*|.*_unsafe|_unsafe_(masked_)?index.*|_validate_.*|_embedding_bag.*|.*_from_buffer.*",
    r"_reshape_alias.*|_index_put_impl.*|segment_reduce|_convert_indices.*|.*jagged.*|_sobol.*|_fill_mem_eff.*",
    # what changes a shape before it knows that the storage can grow, and leaves it wrong where it can't
    r"resize_|resize_as_",
    # layouts whose indices can be changed after they were checked
    r".*sparse.*|.*_(csr|csc|bsr|bsc)|(crow|ccol|col|row)_indices.*|_?indices(_copy)?|_values.*|values_copy",
    r"_?coalesced?_?|_spdiags|_spsolve|_nnz|_dim[IV]|hspmm|sspaddmm|smm|_nested_.*|nested_.*|to_padded_tensor",
    # weights packed for one kernel, which trusts what it unpacks
    r"fbgemm_.*|quantized_.*_cell|_convert_weight.*|_weight_int.*|_dyn_quant.*|_cslt.*|_lazy_clone|shallow_copy.*",
    r"_fw_primal.*|_make_dual.*|_unpack_dual|_add_batch_dim|_remove_batch_dim|_foobar|_make_dep_token",
    # training: derivatives trust the indices and statistics that they are handed
    r".*_backward.*|.*_double_backward.*|backward|grad|_foreach_.*|_fused_ada.*|_fused_sgd.*|_amp_.*|_test_.*",
    # kernels of one backend, which dispatch chooses by itself
    r"_?cudnn_.*|_?miopen_.*|.*_mps.*|.*mkldnn.*|_?mkl_.*|_flash_attention.*|_efficient_attention.*|_triton_.*",
    r"_use_(cudnn|miopen).*|_cufft.*|_fft_.*cu.*|_nnpack.*|_wrapped_.*",
    r"_(to_|copy_)?_?functional_.*|_propagate_xla_data|_neg_view_copy|_resize_output.*|_mixed_dtypes.*",
]

# prim: the graph's own structure, and values' properties. The first ones have no schema.
PRIM_ALLOWED = """
Param Return Constant GetAttr SetAttr HasAttr If Loop ListConstruct ListUnpack TupleConstruct TupleUnpack TupleIndex
TupleSlice DictConstruct DictIndex CallMethod CallFunction CreateObject Uninitialized unchecked_cast
unchecked_unwrap_optional isinstance RaiseException annotate fork forkClosure awaitable awaitableClosure awaitable_wait
awaitable_nowait Enter Exit Closure EnumName EnumValue ConstantChunk NumToTensor StringIndex ModuleContainerIndex
IfThenElse AutogradZero abs data device dtype id index is_cpu is_cuda is_ipu is_maia is_meta is_mkldnn is_mps is_mtia
is_nested is_quantized is_sparse is_sparse_csr is_vulkan is_xla is_xpu itemsize layout max min name nbytes rangelist
requires_grad tolist type grad Load Store Drop Break Continue ReturnStmt ListComprehensionScope WithScope BreakStmt
ContinueStmt LoopContinue Placeholder slice range zip enumerate list dict len
""".split()

TORCHVISION_ALLOWED = """
nms roi_align roi_pool ps_roi_align ps_roi_pool deform_conv2d box_iou_rotated qnms
""".split()


def allowed(name: str) -> bool:
    namespace, _, operator = name.partition("::")
    if namespace == "aten":
        return not any(re.fullmatch(pattern, operator) for pattern in ATEN_REFUSED)
    if namespace == "quantized":
        return not re.fullmatch(r".*_out|.*_legacy|int4mm.*", operator)
    if namespace == "prim":
        return operator in PRIM_ALLOWED
    if namespace == "torchvision":
        return operator in TORCHVISION_ALLOWED
    return False


def main() -> None:
    registered = {schema.name for schema in torch._C._jit_get_all_schemas()}
    # Some overloads are registered when they are first asked for.
    registered |= {name for name in torch._C._dispatch_get_all_op_names() if "." not in name and "::" in name}
    registered |= {name.split(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    registered |= set(sys.argv[1:])
    registered |= {f"prim::{name}" for name in PRIM_ALLOWED}
    registered |= {f"torchvision::{name}" for name in TORCHVISION_ALLOWED}
    known = set()
    for file in ("allowed", "refused"):
        path = FOLDER / f"{file}_operators.inc"
        if path.exists():
            known |= set(re.findall(r'^"(.*)",$', path.read_text(), re.M))
    names = sorted(known | registered)
    for file, keep in (("allowed", True), ("refused", False)):
        lines = [f'"{name}",\n' for name in names if allowed(name) == keep]
        path = FOLDER / f"{file}_operators.inc"
        path.write_text(
            f"// Written by scripts/python/operator_policy.py: {len(lines)} operators that a file may "
            f"{'' if keep else 'not '}name.\n" + "".join(lines)
        )
        print(path.name, len(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
