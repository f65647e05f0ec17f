"""Parameters in the layout of PyTorch's `nn.Sequential`, without importing torch.

A dense layer becomes `nn.Linear` and the module of its activation (`nn.Identity` for identity), and `nn.Dropout` where the
layer has dropout. Torch keeps a weight as (n_out, n_in), the transpose of fastnet's. A convolution likewise becomes `nn.Conv1d`
or `nn.Conv2d`, with ``groups=channels`` for a depthwise one. BatchNorm and Residual become one module, and the module of their
activation if it is not identity; Parametric becomes one, and `nn.Dropout` where it has dropout; GlobalPool one, followed by
`nn.Flatten`. Every other layer is one module. Recurrent layers and attention return tuples in PyTorch, so a module of your own
has to call them. Modules that torch.nn does not have, such as that of Residual, are defined in docs/exchange.md.

The channels of torch's convolutions come first: it flattens (channels, height, width), and the parameters of layers after Flatten
are in that order. In networks with recurrent layers, embeddings of ids or attention the channels come last, as with
``batch_first=True``.
"""

from fastnet.torch._export import to_torch_state_dict
from fastnet.torch._import import from_torch_state_dict

__all__ = ["from_torch_state_dict", "to_torch_state_dict"]
