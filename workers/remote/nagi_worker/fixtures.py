"""Small files and numbers of Python's own libraries that the TypeScript tests are held against.

    python -m nagi_worker.fixtures

rewrites workers/engine/{io,data}/fixtures and src/shared/stats/fixtures. Deterministic up to library versions, the
order of metadata in dtypes.safetensors and the object ids in legacy.bin. The committed files are what the tests read,
so running this is needed only to change a case.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from safetensors.torch import save_file
from scipy import stats as scipy_stats
from sklearn.calibration import calibration_curve
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

REPOSITORY = Path(__file__).resolve().parents[3]
IO = REPOSITORY / "workers/engine/io/fixtures"
DATA = REPOSITORY / "workers/engine/data/fixtures"
STATS = REPOSITORY / "src/shared/stats/fixtures"
REVIEWS = REPOSITORY / "public/datasets/reviews-ja"
BASE = REPOSITORY / "public/models/nagi-base"


def write_json(path: Path, value: Any) -> None:
    """Write compact JSON; NaN is an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n", encoding="utf-8")


def read_reviews(split: str) -> tuple[list[str], list[int]]:
    """Sentences and labels (1 = positive) of a bundled split."""
    rows = [json.loads(line) for line in (REVIEWS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["sentence"] for row in rows], [int(row["label"] == "positive") for row in rows]


def numbers(tensor: torch.Tensor) -> dict[str, Any]:
    """Shape and values of a tensor, row-major."""
    return {"shape": list(tensor.shape), "values": tensor.to(torch.float32).flatten().tolist()}


def write_safetensors() -> None:
    """One tensor of each type in a file by Hugging Face's writer."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(3, 5, generator=generator)
    tensors = {
        "f32": drawn,
        "f16": (drawn * 100).to(torch.float16),
        "bf16": (drawn * 1e20).to(torch.bfloat16),
        "f64": drawn.to(torch.float64) / 3,
        "i64": torch.tensor([-(2**40), 0, 7]),
        "i32": torch.tensor([-5, 2**30], dtype=torch.int32),
        "i16": torch.tensor([[-300], [300]], dtype=torch.int16),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "重み.weight": torch.tensor([1.5, -0.0]),
    }
    save_file(tensors, IO / "dtypes.safetensors", metadata={"format": "pt", "注": "凪"})
    save_file({"a.weight": drawn, "b": drawn[0].clone()}, IO / "plain.safetensors", metadata={"format": "pt"})
    write_json(IO / "dtypes.json", {name: numbers(tensor) for name, tensor in tensors.items()})


def write_halves() -> None:
    """Digests of numpy's conversions for all 16-bit patterns and for a spread of float32 patterns.

    NaNs become one pattern first: which NaN a conversion gives is nobody's business.
    """

    def digest(values: np.ndarray, nan: int) -> str:
        bits = values.view(np.uint32 if values.dtype.itemsize == 4 else np.uint16).copy()
        bits[np.isnan(values.astype(np.float32))] = nan
        return hashlib.sha256(bits.tobytes()).hexdigest()

    patterns = np.arange(65_536, dtype=np.uint16)
    bf16 = torch.from_numpy(patterns.astype(np.int32).astype(np.int16)).view(torch.bfloat16)
    spread = (np.arange(200_000, dtype=np.uint64) * 2_654_435_761 % 2**32).astype(np.uint32)
    singles = spread.view(np.float32)
    ties = np.concatenate([np.arange(1, 4096, dtype=np.float32) * np.float32(2.0**-26), np.float32(65_519) + np.arange(3, dtype=np.float32)])
    with np.errstate(over="ignore"):
        halves = np.concatenate([singles, ties]).astype(np.float16)
    to_bf16 = torch.from_numpy(np.concatenate([singles, ties])).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16).copy()
    to_bf16[(to_bf16 & 0x7FFF) > 0x7F80] = 0x7FC0
    write_json(
        IO / "halves.json",
        {
            "f16_to_f32": digest(patterns.view(np.float16).astype(np.float32), 0x7FC00000),
            "bf16_to_f32": digest(bf16.to(torch.float32).numpy(), 0x7FC00000),
            "f32_to_f16": digest(halves, 0x7E00),
            "f32_to_bf16": hashlib.sha256(to_bf16.tobytes()).hexdigest(),
        },
    )


class Attack:
    """Runs a shell command when a careless reader unpickles it."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch /tmp/nagi-was-attacked",)


def write_pickles() -> None:
    """State dicts as torch.save writes them, and two that must be refused."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
    state: OrderedDict[str, Any] = OrderedDict(
        f32=base,
        f16=(base * 3).to(torch.float16),
        bf16=(base * 1e10).to(torch.bfloat16),
        f64=base.double() / 3,
        i64=torch.tensor([2**40, -1]),
        bool=torch.tensor([True, False]),
        transposed=base.t(),
        shared_rows=base[1:3],
        strided=base[:, ::2],
        one=base[2, 3],
        empty=torch.zeros(2, 0),
        parameter=torch.nn.Parameter(torch.tensor([1.0, 2.0])),
    )
    expected = {name: numbers(tensor.detach()) for name, tensor in state.items()}
    torch.save(state, IO / "state.bin")
    write_json(IO / "state.json", expected)
    module = torch.nn.Linear(2, 3)
    with torch.no_grad():
        for value, parameter in enumerate(module.parameters()):
            parameter.fill_(value + 0.5)
    torch.save(module.state_dict(), IO / "module.bin")  # an OrderedDict with _metadata
    torch.save({"weight": base[:1], "extra": Attack()}, IO / "malicious.bin")
    torch.save({"weight": base[:1]}, IO / "legacy.bin", _use_new_zipfile_serialization=False)
    (IO / "bare.pkl").write_bytes(pickle.dumps({"weight": Attack()}, protocol=4))


def write_zip() -> None:
    """An archive by Python's zipfile, without compression and with UTF-8 names."""
    with zipfile.ZipFile(IO / "stored.zip", "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("模型/config.json", b"{}"), ("空", b""), ("重み.bin", bytes(range(256)) * 3)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)


ODD_TEXTS = [
    "", " ", "  ", "\n", "\n\n\n", "\t", "\r\n", "a", "あ", "　", "　全角空白　", "  先頭と末尾の空白  ",
    "Hello, World! 123", "can't won't I'll we've he'd they're it's", "CAN'T I'LL", "’smart’ quotes “here”",
    "絵文字😀と👩‍👩‍👧と🇯🇵と👍🏽", "😀😀😀", "ｶﾞﾊﾟﾝﾄﾞ 半角ｶﾅ", "全角ＡＢＣ１２３！？", "①②③㍿㌔ﷺ",
    "か\u3099(結合文字)が", "が\u3099", "は\u309aぱ", "é e\u0301", "Ａ\u0301", "髙﨑𠮷野家", "𠮟る𩸽", "\u200b零幅\u200d結合\ufeff",
    "改行\r\nタブ\t終わり", "行一\n行二\n\n行四", "\x00\x01\x02制御\x7f\x80\x9f", "\x1b[31m赤\x1b[0m", "\x0b\x0c\x1c\x1d\x1e\x1f\x85",
    "<|endoftext|>", "<|endoftext|>途中<|endoftext|>", "<|padding|>", "< |endoftext| >", "<|endoftext|", "前 <|endoftext|> 後",
    "a1b2c3 3.14159", "１２３４５6789", "2024年4月1日（月）午前10時30分", "価格は¥1,980（税込）→￥1,800", "http://example.com/?q=日本語&x=1#y",
    "user@example.com", "C:\\path\\to\\file", "{\"key\": [1, 2.5, null]}", "<p>タグ</p>", "if (a && b) { return c[0]; }",
    "ーーーー〜～〰", "……。。。、、、", "「『（【〔［｛〈《》〉｝］〕】）』」", "！？!?⁉‼", "w w w ｗｗｗ 笑", "(^_^;) ( ´∀｀) orz",
    "한국어 텍스트", "中文文本，简体。繁體。", "Русский текст", "العربية", "हिन्दी", "ไทย", "עברית", "Ελληνικά Σς", "İstanbul ıI",
    "ﬁ ﬂ ﬀ", "²³¹½¼¾", "∑∫√∞≠≤≥", "\u2028\u2029", "\u00a0nbsp\u00a0", "\u3000\u3000字下げ", "a\u0300\u0301\u0302\u0303", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "あ" * 400, "ABC" * 300, "商品が届きました。" * 60, "1" * 257, " " * 100 + "x", "\n".join("行" + str(i) for i in range(80)), "良い" * 1200,
]


def write_tokenizer() -> None:
    """Ids by `tokenizers` for bundled reviews (by index) and odd texts, and a tiny tokenizer for the saved model."""
    tokenizer = Tokenizer.from_file(str(BASE / "tokenizer.json"))
    sentences, _ = read_reviews("test")

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    write_json(
        DATA / "tokenizer.json",
        {
            "train_tokens": sum(len(encode(sentence)) for sentence in read_reviews("train")[0]),
            "reviews": [encode(sentence) for sentence in sentences[:300]],
            "odd": [
                {"text": text, "ids": encode(text), "decoded": tokenizer.decode(encode(text), skip_special_tokens=False)}
                for text in ODD_TEXTS
            ],
        },
    )
    tiny = Tokenizer(models.BPE())
    tiny.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tiny.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tiny.train_from_iterator(sentences, trainer)
    folder = IO / "tiny-tokenizer"
    folder.mkdir(exist_ok=True)
    tiny.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "GPTNeoXTokenizer",
            "unk_token": "<|endoftext|>",
            "add_prefix_space": False,
            "model_max_length": 64,
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|padding|>",
        },
    )


def write_ngram() -> None:
    """scikit-learn's character n-gram model on a slice of the reviews: decision values of texts it has not seen.

    Run to convergence: at its default tolerance scikit-learn stops up to 0.05 away from its own optimum.
    """
    sentences, labels = read_reviews("train")
    texts, targets = sentences[:400], labels[:400]
    extra = ["", "  二重  空白\t\n です ", "ＡＢＣ abc ÀÉ İ", "😀 絵文字👩‍👩‍👧", "が か\u3099"]
    validation, validation_labels = read_reviews("validation")
    probes = validation[:100] + extra
    settings = {"analyzer": "char", "ngram_range": (1, 3), "min_df": 2, "sublinear_tf": True}
    vectorizer = TfidfVectorizer(**settings)
    features = vectorizer.fit_transform(texts)
    converged = LogisticRegression(C=10, max_iter=10_000, tol=1e-10).fit(features, targets)
    probe = vectorizer.transform(probes)
    full_features = TfidfVectorizer(**settings)
    full = LogisticRegression(C=10, max_iter=10_000, tol=1e-8).fit(full_features.fit_transform(sentences), labels)
    scores = {}
    for split in ("validation", "test"):
        split_texts, split_labels = read_reviews(split)
        decision = full.decision_function(full_features.transform(split_texts))
        scores[split] = {
            "accuracy": accuracy_score(split_labels, decision > 0),
            "auc": roc_auc_score(split_labels, decision),
        }
    write_json(
        DATA / "ngram.json",
        {
            "train_rows": len(texts),
            "features": features.shape[1],
            "extra": extra,
            "first_row": {
                term: features[0, column]
                for term, column in sorted(vectorizer.vocabulary_.items())
                if features[0, column] > 0
            },
            "decision": converged.decision_function(probe).tolist(),
            "intercept": float(converged.intercept_[0]),
            "accuracy": accuracy_score(validation_labels[:100], converged.predict(probe[:100])),
            "auc": roc_auc_score(validation_labels[:100], converged.decision_function(probe[:100])),
            "full": scores,
        },
    )


def expected_calibration_error(probability: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Mean gap between share and prediction over equal-width bins, weighted by their rows (Guo et al., 2017)."""
    index = np.minimum((probability * bins).astype(int), bins - 1)
    return sum(
        abs(probability[index == b].mean() - labels[index == b].mean()) * (index == b).mean()
        for b in range(bins)
        if (index == b).any()
    )


def write_stats() -> None:
    """Values of scikit-learn and scipy for src/shared/stats."""
    rng = np.random.default_rng(3)
    cases = []
    for rows, ties in ((2, False), (7, True), (60, False), (500, True)):
        labels = rng.integers(0, 2, rows)
        labels[0], labels[-1] = 0, 1
        scores = rng.normal(size=rows) + labels
        if ties:
            scores = np.round(scores)
        other = np.round(scores * rng.normal(size=rows), 1)
        probability = 1 / (1 + np.exp(-scores))
        share, predicted = calibration_curve(labels, probability, n_bins=10)
        case = {
            "labels": labels.tolist(),
            "scores": scores.tolist(),
            "other": other.tolist(),
            "probability": probability.tolist(),
            "auc": roc_auc_score(labels, scores),
            "accuracy": accuracy_score(labels, scores > 0),
            "majority": max(labels.mean(), 1 - labels.mean()),
            "calibration": {"share_positive": share.tolist(), "mean_predicted": predicted.tolist()},
            "expected_calibration_error": expected_calibration_error(probability, labels, 10),
            "pearson": scipy_stats.pearsonr(scores, other).statistic,
            "spearman": scipy_stats.spearmanr(scores, other).statistic,
            "histogram": np.histogram(np.abs(scores * 10), bins=np.arange(0, 81, 8))[0].tolist(),
        }
        cases.append(case)
    write_json(STATS / "stats.json", cases)


def main() -> None:
    for folder in (IO, DATA, STATS):
        folder.mkdir(parents=True, exist_ok=True)
    write_safetensors()
    write_halves()
    write_pickles()
    write_zip()
    write_tokenizer()
    write_ngram()
    write_stats()


if __name__ == "__main__":
    main()
