"""Applies a recipe (`torchsearch export … --to recipe`) to the nn.Module that the model's file was made of; see
docs/recipes.md. `model = apply_recipe(torchvision.models.resnet18(weights="DEFAULT"), "recipe.json")`"""
import base64
import copy
import json
import os
import re
import traceback

import torch
from torch import nn
from torch.nn import functional as F

# Attributes that repeat a size: of which parameter, and which of its dimensions.
SIZES = {
    nn.Linear: {"out_features": ("weight", 0), "in_features": ("weight", 1)},
    nn.Embedding: {"num_embeddings": ("weight", 0), "embedding_dim": ("weight", 1)},
    nn.modules.batchnorm._NormBase: {"num_features": ("running_mean", 0)},
    nn.GroupNorm: {"num_channels": ("weight", 0)},
    nn.RNNBase: {"input_size": ("weight_ih_l0", 1)},
    nn.RNNCellBase: {"input_size": ("weight_ih", 1), "hidden_size": ("weight_hh", 1)},
    "Conv1D": {"nx": ("weight", 0), "nf": ("weight", 1)},  # of transformers
}
COUNTS = re.compile(r"head|dim|size|shape|channel|feature|width|embed|inner|group|hidden|planes|model|split|^n[xf]$")
OF_ONE_HEAD = re.compile(r"head_?(dim|size|width)|dim_?head|^d_kv?$|key_dim|kdim|vdim")


class RecipeError(Exception):
    """The recipe doesn't fit the model, or the model's source can't follow it: the message says where."""


def apply_recipe(model, recipe, weights=None, call=None, tolerance=1e-3):
    """A copy of `model` as the recipe's subnet. What it gives is compared with what the subnet gave (not so where
    `weights` are given), by `tolerance` as a part of the largest output.
    `recipe`: the JSON file's path. `weights`: a state dict for the result, such as that of the exported file, trained
    or not. `call(model, *args, **kwargs)`: how to run it, where its file was made of a wrapper. Raises RecipeError."""
    with open(recipe, encoding="utf-8") as file:
        recipe = json.load(file)
    if not isinstance(recipe, dict) or (recipe.get("format"), recipe.get("version")) != ("torchsearch recipe", 1):
        raise RecipeError("This file is no torchsearch recipe of version 1.")
    model, check = copy.deepcopy(model), recipe["check"]
    call = call or (lambda net, *args, **kwargs: net(*args, **kwargs))
    modes = {path: module.training for path, module in model.named_modules()}
    device = next((tensor.device for tensor in model.parameters()), "cpu")
    run = lambda: call(model.eval(), *_value(check["args"], device), **_value(check["kwargs"], device))
    own = _names(model, [tensor["name"] for tensor in recipe["tensors"]])
    tensors = {own(tensor["name"]): tensor for tensor in recipe["tensors"]}
    modules, done, left = dict(model.named_modules()), set(), []
    before = {module: dict(vars(module)) for module in modules.values()}
    for number in recipe["numbers"]:
        module = modules.get(own(number["module"]))
        if module is None or not _follow(module, before[module], number, done):
            whole, narrow = number["whole"], number["narrow"]
            left.append(f"\n  {number['operator']} has {whole}, the subnet {narrow}: {number['place']}")
    hint = f" No attribute of the module holds these numbers:{''.join(left)}" if left else ""
    _narrow(model, tensors, recipe["indices"], weights is not None)
    for path, module in list(model.named_modules()):
        _resize(model, path, module, modes)
    try:
        with torch.no_grad():
            _leave_out(model, tensors, [own(block["module"]) for block in recipe["blocks"]], run)
            outputs = _tensors(run())
    except Exception as error:
        library = os.path.dirname(torch.__file__) + os.sep
        at = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(library)][-1]
        raise RecipeError(f"{at.filename}:{at.lineno} (`{at.line}`) can't follow the recipe: {error}.{hint}") from error
    if weights is not None:
        _load(model, {own(name): value for name, value in weights.items()})
    if weights is None:
        _compare(outputs, check["outputs"], tolerance, hint)
    for path, module in model.named_modules():
        module.training = modes.get(path, modes[""])
    return model


def _names(model, names):
    """From the recipe's names to the model's; a file that was made of a wrapper has one part more, or one less."""
    has = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    heads = {name.split(".")[0] + "." for name in names}
    for cut, add in [("", ""), *((head, "") for head in heads), *(("", name.split(".")[0] + ".") for name in has)]:
        if all(name.startswith(cut) and add + name[len(cut):] in has for name in names):
            return lambda name: (add + (name + ".")[len(cut):]).rstrip(".")
    missing = [name for name in names if name not in has]
    raise RecipeError(f"It isn't the recipe's model: it has no '{missing[0]}', nor {len(missing) - 1} others.")


def _value(value, device):
    """An input as the recipe has it."""
    if isinstance(value, list):
        return [_value(item, device) for item in value]
    if not isinstance(value, dict):
        return value
    if "dtype" not in value or "shape" not in value:
        return {key: _value(item, device) for key, item in value.items()}
    dtype, shape = getattr(torch, value["dtype"]), value["shape"]
    if "pattern" in value:
        count = torch.Size(shape).numel()
        return (torch.arange(count).mul(7919).remainder(1000).double() / 1000).to(dtype).reshape(shape).to(device)
    data = bytearray(base64.b64decode(value["base64"]))
    return (torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)).reshape(shape).to(device)


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in items for tensor in _tensors(item)]


class LeftOut(nn.Module):
    """Stands for a module whose block is left out: zeros, to be added to what the block was given."""

    batch_first = False  # so that nn.TransformerEncoderLayer takes no fused path

    def __init__(self, given, result):
        super().__init__()
        self.given, self.result = given, result

    def forward(self, *args, **kwargs):
        first = next(iter(_tensors([*args, *kwargs.values()])))
        return self._zeros(self.result, first)

    def _zeros(self, result, first):
        if isinstance(result, (tuple, list)):
            return type(result)(self._zeros(item, first) for item in result)
        if not isinstance(result, torch.Tensor):
            return result
        same = result.dim() == len(self.given)
        follows = lambda d: (same or d == 0) and d < len(self.given) and result.size(d) == self.given[d]
        shape = [first.size(d) if follows(d) else result.size(d) for d in range(result.dim())]
        return torch.zeros(shape, dtype=result.dtype, device=first.device)


def _leave_out(model, tensors, sums, run):
    """Puts something in the place of each module that goes with a block, learned from a run with all blocks."""
    if not sums:
        return
    gone = {}
    for path, module in model.named_modules():
        held = [f"{path}.{name}" for name, _ in [*module.named_parameters(), *module.named_buffers()]]
        held = [name for name in held if name in tensors]
        inside = any(path.startswith(parent + ".") for parent in gone)
        adds = any((place + ".").startswith(path + ".") for place in sums)
        if path and held and not inside and not adds and all(tensors[name].get("leftOut") for name in held):
            gone[path] = nn.Identity()

    def learn(path):
        def hook(_, args, kwargs, result):
            given = _tensors([*args, *kwargs.values()])
            gone[path] = LeftOut(tuple(given[0].shape), _emptied(result)) if given else nn.Identity()
        return hook

    fast = torch.backends.mha.get_fastpath_enabled()  # which calls no submodule
    torch.backends.mha.set_fastpath_enabled(False)
    hooks = [model.get_submodule(path).register_forward_hook(learn(path), with_kwargs=True) for path in gone]
    try:
        run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for hook in hooks:
            hook.remove()
    for path, module in gone.items():
        _put(model, path, module)
    for path, module in model.named_modules():
        for table in (module._parameters, module._buffers):
            for name in [n for n in table if tensors.get(f"{path}.{n}".lstrip("."), {}).get("leftOut")]:
                del table[name]
                object.__setattr__(module, name, torch.zeros(()))


def _emptied(value):
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(_emptied(item) for item in value)
    return torch.empty_like(value, device="meta") if isinstance(value, torch.Tensor) else None


def _put(model, path, module):
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _follow(module, before, number, done):
    """Whether an attribute of the module held the number `before`, and now holds the subnet's."""
    whole, narrow = number["whole"], number["narrow"]
    if isinstance(module, (nn.MultiheadAttention, nn.RNNBase)) or (module, whole, narrow) in done:
        return True
    for name, value in before.items():
        if not COUNTS.search(name) or OF_ONE_HEAD.search(name) or isinstance(value, bool):
            continue
        if value == whole and isinstance(value, int):
            setattr(module, name, narrow)
            done.add((module, whole, narrow))
        elif isinstance(value, (tuple, list)) and whole in value:
            present = zip(value, getattr(module, name))
            setattr(module, name, tuple(narrow if was == whole else item for was, item in present))
            done.add((module, whole, narrow))
    return (module, whole, narrow) in done


def _narrow(model, tensors, indices, has_weights):
    """Gives each parameter and buffer the subnet's indices; those that are shared stay so."""
    made = {}
    slots = [(path, module, table, name) for path, module in model.named_modules()
             for table in (module._parameters, module._buffers) for name in table if table[name] is not None]
    for path, module, table, name in slots:
        full, old = f"{path}.{name}".lstrip("."), table[name]
        tensor = tensors.get(full)
        if tensor is None:
            continue
        if list(old.shape) != tensor["shape"]:
            raise RecipeError(f"It isn't the recipe's model: '{full}' is {list(old.shape)}, not {tensor['shape']}.")
        new = old.detach()
        for dimension, kept in tensor.get("keep", {}).items():
            new = new.index_select(int(dimension), torch.tensor(indices[kept], device=old.device))
        values = tensor.get("ownValues", False)
        if values is True and not has_weights:
            raise RecipeError(f"The subnet's '{full}' has values of its own: give the exported file's as weights.")
        if isinstance(values, dict):
            new = _value(values, old.device).to(old.dtype)
        new = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
        made[id(old)] = new
    for _, _, table, name in slots:
        table[name] = made.get(id(table[name]), table[name])


def _resize(model, path, module, modes):
    """Attributes that repeat the sizes of a module's own parameters."""
    if isinstance(module, nn.MultiheadAttention):
        weight = module.in_proj_weight if module.in_proj_weight is not None else module.q_proj_weight
        width = module.embed_dim
        if weight.size(0) not in (width, 3 * width) or module.out_proj.weight.size(0) != width:
            modes[path] = module.training
            _put(model, path, Attention(module))
    for kind, rows in SIZES.items():
        if type(module).__name__ == kind if isinstance(kind, str) else isinstance(module, kind):
            for name, (parameter, dimension) in rows.items():
                tensor = getattr(module, parameter, None)
                if isinstance(tensor, torch.Tensor) and hasattr(module, name):
                    setattr(module, name, tensor.size(dimension))
    weight = vars(module)["_parameters"].get("weight")
    if weight is not None and isinstance(getattr(module, "normalized_shape", None), (tuple, list)):
        module.normalized_shape = tuple(weight.shape)
    if weight is not None and isinstance(module, nn.modules.conv._ConvNd):
        sizes = (weight.size(0), weight.size(1) * module.groups)
        module.in_channels, module.out_channels = sizes if module.transposed else sizes[::-1]
    if isinstance(module, nn.RNNBase):
        hidden = {getattr(module, name).size(1) for name in module._flat_weights_names if "weight_hh" in name}
        if not module.proj_size and len(hidden) > 1:
            raise RecipeError(f"nn.{type(module).__name__} '{path}' has one width; the subnet's layers have {hidden}.")
        if not module.proj_size:
            module.hidden_size = hidden.pop()
        module._flat_weights = [getattr(module, name, None) for name in module._flat_weights_names]


class Attention(nn.Module):
    """nn.MultiheadAttention whose heads needn't fill its width; its parameters keep their names."""

    batch_first = False  # so that nn.TransformerEncoderLayer takes no fused path

    def __init__(self, whole):
        super().__init__()
        if whole.bias_k is not None or whole.add_zero_attn or whole.in_proj_weight is None:
            raise RecipeError("nn.MultiheadAttention with bias_k, add_zero_attn, kdim or vdim can't have fewer heads.")
        self.first, self.dropout, self.head_dim = whole.batch_first, whole.dropout, whole.head_dim
        self.in_proj_weight, self.in_proj_bias, self.out_proj = whole.in_proj_weight, whole.in_proj_bias, whole.out_proj
        self.num_heads = self.in_proj_weight.size(0) // 3 // self.head_dim

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        inputs = [x if x.dim() == 3 else x.unsqueeze(0 if self.first else 1) for x in (query, key, value)]
        inputs = [x if self.first else x.transpose(0, 1) for x in inputs]
        biases = self.in_proj_bias.chunk(3) if self.in_proj_bias is not None else (None,) * 3
        projected = [F.linear(x, w, b) for x, w, b in zip(inputs, self.in_proj_weight.chunk(3), biases)]
        q, k, v = (x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in projected)
        scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
        for mask, shape in ((attn_mask, None), (key_padding_mask, (-1, 1, 1, k.size(2)))):
            if mask is not None:
                mask = mask.reshape(shape) if shape else mask
                mask = mask.unflatten(0, (q.size(0), -1)) if mask.dim() == 3 else mask
                scores = scores.masked_fill(mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        result = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        result = result if self.first else result.transpose(0, 1)
        weights = (weights.mean(1) if average_attn_weights else weights) if need_weights else None
        if query.dim() == 2:
            result, weights = result.squeeze(0 if self.first else 1), weights if weights is None else weights.squeeze(0)
        return result, weights


def _load(model, weights):
    state = model.state_dict(keep_vars=True)
    model.load_state_dict({name: value for name, value in weights.items() if name in state}, strict=False)
    loaded = {id(state[name]) for name in weights if name in state}
    missing = [name for name, value in state.items() if id(value) not in loaded]
    if missing:
        raise RecipeError(f"The weights have no '{missing[0]}', nor {len(missing) - 1} others.")


def _compare(outputs, expected, tolerance, hint):
    if len(outputs) != len(expected):  # a file that was made of a wrapper may give a part
        outputs = [next((o for o in outputs if list(o.shape) == one["shape"]), torch.empty(0)) for one in expected]
    for output, one in zip(outputs, expected):
        if list(output.shape) != one["shape"]:
            raise RecipeError(f"The model gives {list(output.shape)}, the subnet {one['shape']}.{hint}")
        flat = (torch.view_as_real(output) if output.is_complex() else output).reshape(-1)
        flat = flat[:: max(1, -(-flat.numel() // 4096))].double().cpu()
        data = bytearray(base64.b64decode(one["base64"]))
        wanted = torch.frombuffer(data, dtype=torch.float64) if data else flat
        difference = (flat - wanted).abs().max().item() if flat.numel() else 0
        if not difference <= tolerance * max(1e-6, wanted.abs().max().item() if flat.numel() else 0):
            raise RecipeError(f"The model differs from the subnet by {difference:.3g}: other weights than the file had "
                              f"(then give `weights`), or a block that its source computes otherwise.{hint}")
