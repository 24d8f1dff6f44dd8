#!/usr/bin/env python3
"""The same training step in PyTorch on processors, for comparison with train_bench in the same minutes on the same machine.

Usage: pytorch_step.py [--threads 2] [--seconds 5]     prints images/s (best and median step) for NCHW and NHWC
"""

import argparse
import statistics
import time

import torch
import torch.nn as nn


class Block(nn.Module):
    """Basic (two 3x3) or bottleneck (1x1, 3x3, 1x1; stride on the 3x3) with a projection where shapes change."""

    def __init__(self, cin, width, cout, stride, bottleneck):
        super().__init__()
        if bottleneck:
            convs = [(cin, width, 1, 1), (width, width, 3, stride), (width, cout, 1, 1)]
        else:
            convs = [(cin, width, 3, stride), (width, cout, 3, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, k, s, k // 2, bias=False) for i, o, k, s in convs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _, _ in convs)
        self.short = None
        if stride != 1 or cin != cout:
            self.short = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            y = norm(conv(y))
            if i + 1 < len(self.convs):
                y = torch.relu(y)
        return torch.relu(y + (x if self.short is None else self.short(x)))


def resnet20():
    layers, cin = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for b in range(3):
            layers.append(Block(cin, width, width, stride if b == 0 else 1, False))
            cin = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), (128, 3, 32, 32), 10


def resnet50():
    layers, cin = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for b in range(blocks):
            layers.append(Block(cin, width, 4 * width, stride if b == 0 else 1, True))
            cin = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000)), (16, 3, 224, 224), 1000


def measure(build, channels_last, seconds):
    net, shape, classes = build()
    x, y = torch.rand(shape), torch.randint(0, classes, (shape[0],))
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 1e-6, momentum=0.9, weight_decay=1e-4)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 4:
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    times = times[1:]
    return shape[0] / min(times), shape[0] / statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for build in (resnet20, resnet50):
        for last in (False, True):
            best, median = measure(build, last, arguments.seconds)
            print(f"{build.__name__} {'NHWC' if last else 'NCHW'}: best {best:.1f}, median {median:.1f} images/s", flush=True)


if __name__ == "__main__":
    main()
