"""The same training steps in PyTorch on the CPU, as the peer of step.bench.ts.

usage: python peer_torch.py '{"config": {...}, "texts": 8, "length": 64, "steps": 5}'
Prints {"milliseconds": median of three measurements, "threads": n}.
"""

import json
import statistics
import sys
import time

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM


def main() -> None:
    case = json.loads(sys.argv[1])
    torch.manual_seed(0)
    settings = {key: value for key, value in case["config"].items() if key not in ("architectures", "model_type")}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**settings)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    ids = torch.randint(0, model.config.vocab_size, (case["texts"], case["length"]))

    def measure(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
        return (time.perf_counter() - start) * 1000 / steps

    measure(2)
    milliseconds = statistics.median(measure(case["steps"]) for _ in range(3))
    print(json.dumps({"milliseconds": milliseconds, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
