"""Computes loss, gradients and logits of a graph in PyTorch, from files that the test wrote: the reference for the network on processors.

Usage: torch_reference.py DIRECTORY
DIRECTORY holds graph.json (layers and tensors), input.f32, labels.i32, one NAME.f32 per tensor; results computed in float64 go to NAME.grad.f64, loss.f64, and
NAME.mean.f64 / NAME.variance.f64 with the moving averages of each batch norm after one step. NAME.error.f64 tells how far PyTorch's own float32 is from
them: the root of the mean square, relative.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F


def run(directory, dtype):
    """Loss, gradients by tensor name, moving averages by layer name; all as float64 arrays."""
    graph = json.loads((directory / "graph.json").read_text())
    images = graph["images"]
    tensors = {}
    for t in graph["tensors"]:
        values = np.fromfile(directory / f"{t['name']}.f32", dtype=np.float32).reshape(t["dims"])
        tensors[t["layer"], t["role"]] = (t["name"], torch.tensor(values, dtype=dtype, requires_grad=True))
    shape = [images] + graph["input"]
    x = torch.tensor(np.fromfile(directory / "input.f32", dtype=np.float32).reshape(shape), dtype=dtype)
    labels = torch.tensor(np.fromfile(directory / "labels.i32", dtype=np.int32).astype(np.int64))
    values, averages = [], {}
    for layer in graph["layers"]:
        kind, i = layer["kind"], layer["id"]
        a = values[layer["inputs"][0]] if layer["inputs"] else None

        def p(role):
            return tensors[i, role][1] if (i, role) in tensors else None

        if kind == "input":
            y = x
        elif kind == "conv":
            y = F.conv2d(a, p("weight"), p("bias"), stride=layer["stride"], padding=layer["pad"], groups=layer["groups"])
        elif kind == "norm":
            mean, variance = torch.zeros(a.shape[1], dtype=dtype), torch.ones(a.shape[1], dtype=dtype)
            y = F.batch_norm(a, mean, variance, p("gamma"), p("beta"), training=True, momentum=0.1, eps=1e-5)
            averages[layer["name"]] = (mean.numpy(), variance.numpy())
            if layer["add"]:
                y = y + values[layer["inputs"][1]]
            if layer["relu"]:
                y = F.relu(y)
        elif kind == "relu":
            y = F.relu(a)
        elif kind == "add":
            y = a + values[layer["inputs"][1]]
        elif kind == "maxpool":
            y = F.max_pool2d(a, layer["r"], layer["stride"], layer["pad"])
        elif kind == "avgpool":
            y = F.adaptive_avg_pool2d(a, 1)
        elif kind == "lrn":
            y = F.local_response_norm(a, 5, alpha=5e-4, beta=0.75, k=2.0)
        elif kind == "linear":
            y = F.linear(a.flatten(1), p("weight"), p("bias"))
        elif kind == "loss":
            y = F.cross_entropy(a, labels, reduction="sum", label_smoothing=graph["smoothing"], ignore_index=-1)
        else:
            sys.exit(f"unknown layer kind {kind}")
        values.append(y)
    values[-1].backward()
    return values[-1].item(), {name: tensor.grad.numpy().astype(np.float64) for name, tensor in tensors.values()}, averages


def main(directory):
    torch.set_num_threads(2)
    loss, gradients, averages = run(directory, torch.float64)
    _, single, _ = run(directory, torch.float32)
    np.array([loss]).tofile(directory / "loss.f64")
    for name, (mean, variance) in averages.items():
        mean.tofile(directory / f"{name}.mean.f64")
        variance.tofile(directory / f"{name}.variance.f64")
    for name, gradient in gradients.items():
        gradient.tofile(directory / f"{name}.grad.f64")
        error = np.sqrt(np.sum((single[name] - gradient) ** 2) / max(np.sum(gradient**2), 1e-30))
        np.array([error]).tofile(directory / f"{name}.error.f64")
    difference = sum(np.sum((single[name] - gradient) ** 2) for name, gradient in gradients.items())
    size = sum(np.sum(gradient**2) for gradient in gradients.values())
    np.array([np.sqrt(difference / size)]).tofile(directory / "whole.error.f64")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
