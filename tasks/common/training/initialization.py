"""Initial values of the parameters."""

from torch import nn

from tasks.common.training.config import InitName
from tasks.common.training.optimization import pretrained_modules

NUM_GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


def init_weights(model: nn.Module, init: InitName) -> None:
    """Fill every matrix from the named distribution and every bias with zero, except in pretrained modules.

    "xavier": Glorot & Bengio 2010; "he": He et al. 2015; "uniform": (-0.08, 0.08), Sutskever et al. 2014; "orthogonal":
    Saxe et al. 2014; "default": torch's own values. The stacked gates of an RNN are filled one by one, since their
    matrices only share memory. The forget gate of an LSTM starts open, with a bias of one (Jozefowicz et al. 2015).
    Embeddings are normal with a standard deviation of dim^-1/2, so that a tied output layer starts with logits of
    variance one.
    """
    if init == "default":
        return
    fill = {
        "xavier": nn.init.xavier_uniform_,
        "he": nn.init.kaiming_uniform_,
        "uniform": lambda matrix: nn.init.uniform_(matrix, -0.08, 0.08),
        "orthogonal": nn.init.orthogonal_,
    }[init]
    spared = {part for frontend in pretrained_modules(model) for part in frontend.modules()}
    for module in model.modules():
        if module in spared:
            continue
        if type(module) in NUM_GATES:
            for name, parameter in module.named_parameters():
                if parameter.dim() == 1:
                    nn.init.zeros_(parameter)
                else:
                    for gate in parameter.data.chunk(NUM_GATES[type(module)]):
                        fill(gate)
                if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
                    nn.init.ones_(parameter.data[module.hidden_size : 2 * module.hidden_size])
        elif isinstance(module, nn.Linear):
            fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():  # last, since an output matrix may be an embedding
        if isinstance(module, nn.Embedding) and module not in spared:
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
