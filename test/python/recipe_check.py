"""Models as users write them, for recipes. Each argument is a task in JSON: ["write", name, form, file] saves one, as
torch.jit.trace, torch.jit.script or torch.export make it of the same seed; ["apply", name, form, recipe, exported,
options] applies a recipe to the eager model and compares it with the exported subnet, at another batch size too, then
trains a step. Prints the results as JSON."""
import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))
from torchsearch_recipe import RecipeError, apply_recipe

warnings.filterwarnings("ignore")


class Residual(nn.Module):
    def __init__(self, width, groups=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, 24, 3, padding=1, groups=groups), nn.BatchNorm2d(24)
        self.conv2, self.bn2 = nn.Conv2d(24, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + x)


class Net(nn.Module):
    """Residual blocks, a depthwise convolution, a gate, a group norm, a transposed convolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.blocks = nn.Sequential(Residual(16), Residual(16))
        self.expand, self.depthwise = nn.Conv2d(16, 32, 1), nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.squeeze, self.excite = nn.Linear(32, 8), nn.Linear(8, 32)
        self.up, self.norm = nn.ConvTranspose2d(32, 24, 2, stride=2), nn.GroupNorm(8, 24)
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        x = F.relu(self.depthwise(self.expand(self.blocks(F.relu(self.stem(x))))))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))[:, :, None, None]
        return self.head(F.gelu(self.norm(self.up(x))).mean((2, 3)))


class SelfAttention(nn.Module):
    """As timm writes it, with the width as a number of the module."""

    def __init__(self, dim, heads):
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, dim // heads, dim
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, self.attn_dim)
        return self.proj(x)


class Block(nn.Module):
    """Pre-norm, with learned scales as parameters of its own (as ConvNeXt and CaiT have them)."""

    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), SelfAttention(dim, heads), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.gamma1, self.gamma2 = nn.Parameter(torch.rand(dim)), nn.Parameter(torch.rand(dim))

    def forward(self, x):
        x = x + self.gamma1 * self.attn(self.norm1(x))
        return x + self.gamma2 * self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 4, 4)
        self.position = nn.Parameter(torch.randn(1, 16, 32) * 0.1)
        self.blocks = nn.Sequential(*[Block(32, 4) for _ in range(3)])
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


class BertSelf(nn.Module):
    """Post-norm, with a tuple as result and a mask, as transformers writes it."""

    def __init__(self, dim, heads):
        super().__init__()
        self.num_attention_heads, self.attention_head_size, self.all_head_size = heads, dim // heads, dim
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x, mask=None):
        shape = (*x.shape[:-1], -1, self.attention_head_size)
        q, k, v = (layer(x).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = q @ k.transpose(-1, -2) / self.attention_head_size**0.5
        weights = (scores if mask is None else scores + mask).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2), weights


class BertLayer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attention, self.dense, self.norm1 = BertSelf(dim, heads), nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.up, self.down, self.norm2 = nn.Linear(dim, 96), nn.Linear(96, dim), nn.LayerNorm(dim)

    def forward(self, x, mask=None):
        x = self.norm1(self.dense(self.attention(x, mask)[0]) + x)
        return self.norm2(self.down(F.gelu(self.up(x))) + x)


class Bert(nn.Module):
    """The embeddings' weights are the head's, too."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(50, 32)
        self.layer = nn.ModuleList([BertLayer(32, 4) for _ in range(2)])
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.embeddings.weight

    def forward(self, ids, mask):
        bias = (1.0 - mask[:, None, None, :].float()) * -1e4
        x = self.embeddings(ids)
        for layer in self.layer:
            x = layer(x, bias)
        return self.head(x)


class Encoder(nn.Module):
    """PyTorch's own transformer layers."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        return self.head(self.encoder(x))


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.lstm = nn.Linear(8, 24), nn.LSTM(24, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        return self.head(self.lstm(F.relu(self.inner(x)))[0])


class WrittenIn(nn.Module):
    """The number of heads stands in `forward`, where no recipe reaches it."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 4)

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(x.shape[0], x.shape[1], 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
        result = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v
        return self.proj(result.transpose(1, 2).reshape(-1, x.shape[1], 32))


class Wrapper(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *args):
        return self.model(*args)


def images(batch):
    return (torch.randn(batch, 3, 16, 16),)


def tokens(batch):
    return torch.randint(0, 50, (batch, 9)), torch.ones(batch, 9).long()


def sequences(width):
    return lambda batch: (torch.randn(batch, 9, width),)


MODELS = {
    "net": (Net, images), "vit": (ViT, images), "bert": (Bert, tokens), "encoder": (Encoder, sequences(32)),
    "tagger": (Tagger, sequences(8)), "written_in": (WrittenIn, sequences(32)),
}


def without_library():
    """torchvision's wheel for CUDA has no library that a PyTorch for the CPU can load; importing it asks for these."""
    if hasattr(without_library, "library"):
        return
    without_library.library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision
    except RuntimeError:
        for module in [key for key in sys.modules if key.startswith("torchvision")]:
            del sys.modules[module]
        for operator in ("nms", "qnms"):
            without_library.library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class Keyed(nn.Module):
    """Arguments of transformers by their names, and the first of its results."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return keyed(self.model, ids, mask)


def keyed(model, ids, mask):
    return model(input_ids=ids, attention_mask=mask)[0]


def transformer(name):
    without_library()
    import transformers

    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    if name == "bert":
        config = transformers.BertConfig(**sizes, intermediate_size=64, max_position_embeddings=16)
        return transformers.BertForSequenceClassification(config)
    if name == "gpt2":
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, n_positions=16, use_cache=False))
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**sizes, intermediate_size=64, num_key_value_heads=2, use_cache=False))


def model_of(name):
    torch.manual_seed(0)
    if name in MODELS:
        make, inputs = MODELS[name]
        model = make()
    elif name.startswith("transformers/"):
        model, inputs = transformer(name.split("/")[1]), tokens
    elif name.startswith("timm/"):
        without_library()
        import timm
        model = timm.create_model(name[5:])
        size = model.pretrained_cfg["input_size"]
        inputs = lambda batch: (torch.randn(batch, *size),)
    else:
        without_library()
        import torchvision
        model = torchvision.models.get_model(name)
        size = 299 if name == "inception_v3" else 224
        inputs = lambda batch: (torch.randn(batch, 3, size, size),)
    for module in model.modules():  # fresh statistics and scales say nothing about an order of channels
        for value in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            if value.is_floating_point() and value.dim() == 1:
                value.data.add_(0.2 * torch.rand_like(value))
    return model.eval(), inputs


def write(name, form, file):
    model, inputs = model_of(name)
    if name.startswith("transformers/"):
        model = Keyed(model)
    example = inputs(2)
    with torch.no_grad():
        if form == "pt2":
            torch.export.save(torch.export.export(model, example, dynamic_shapes=tuple(
                {0: torch.export.Dim("batch")} for _ in example)), file)
        elif form == "scripted":
            torch.jit.script(model).save(file)
        else:
            torch.jit.trace(Wrapper(model) if form == "wrapped" else model, example, check_trace=False).save(file)


def load(file):
    if file.endswith(".pt2"):
        return torch.export.load(file).module()
    return torch.jit.load(file)


def apply(name, form, recipe, exported, other_weights=False, weights=False):
    model, inputs = model_of(name)
    if other_weights:
        torch.nn.init.normal_(next(model.parameters()))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    keys = name.startswith("transformers/")
    call = keyed if keys else lambda net, *given: net(*given)
    state = load(exported).state_dict() if weights else None
    subnet = apply_recipe(model, recipe, weights=state, call=keyed if keys else None)
    untouched = all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    wanted = load(exported)
    result = {"untouched": untouched, "params": sum(p.numel() for p in subnet.parameters())}
    result["exportedParams"] = sum(p.numel() for p in wanted.parameters())
    torch.manual_seed(1)
    differences = []
    for batch in (2, 3):
        given = inputs(batch)
        with torch.no_grad():
            expected = wanted(*[value.clone() for value in given])
            actual = call(subnet, *given)
        differences.append(((actual - expected).abs().max() / expected.abs().max()).item())
    result["difference"] = max(differences)
    cut = "model." if form == "wrapped" or keys else ""
    states = {key.removeprefix(cut): value for key, value in wanted.state_dict().items()}
    own = subnet.state_dict()
    result["otherTensors"] = [key for key, value in states.items() if key in own and (
        own[key].shape != value.shape or not torch.equal(own[key], value))]
    subnet.train()
    loss = call(subnet, *inputs(2)).square().mean()
    loss.backward()
    torch.optim.SGD(subnet.parameters(), 1e-3).step()
    result["loss"] = loss.item()
    return result


def done(kind, *given):
    if kind == "write":
        return write(*given)
    try:
        return apply(*given)
    except RecipeError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps([done(*json.loads(task)) for task in sys.argv[1:]]))
