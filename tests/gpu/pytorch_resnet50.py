#!/usr/bin/env python3
"""Images per second of torchvision's ResNet-50 training on one GPU: channels last, autocast to bf16, compiled, SGD; synthetic images on the device.

Usage: pytorch_resnet50.py [--batch 256] [--steps 60]      prints JSON; the best third of the steps counts, as the others may still compile
"""

import argparse
import json
import time

import torch
import torchvision


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    compiled = torch.compile(model)
    images = torch.randn(arguments.batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(1000, (arguments.batch,), device="cuda")
    times = []
    for _ in range(arguments.steps):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(compiled(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    best = sorted(times)[: max(1, len(times) // 3)]
    print(json.dumps({"images_per_s": arguments.batch * len(best) / sum(best), "torch": torch.__version__, "batch": arguments.batch,
                      "gpu": torch.cuda.get_device_name()}))


if __name__ == "__main__":
    main()
