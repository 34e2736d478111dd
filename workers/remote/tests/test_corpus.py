"""Packing and splitting of the pre-training corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nagi_worker.corpus import PAD_ID, pack, read_documents, split_documents
from nagi_worker.muon import orthogonalise


def test_packing_keeps_every_token_once() -> None:
    rng = np.random.default_rng(0)
    documents = [list(rng.integers(2, 99, size=length)) for length in rng.integers(1, 40, size=200)]
    rows = pack(documents, 16, np.random.default_rng(1))
    assert np.array_equal(rows.segments == 0, rows.ids == PAD_ID)
    pieces = [tuple(d[i : i + 16]) for d in documents for i in range(0, len(d), 16)]
    found = [
        tuple(ids[segments == number])
        for ids, segments in zip(rows.ids, rows.segments, strict=True)
        for number in range(1, segments.max() + 1)
    ]
    assert sorted(found) == sorted(pieces)
    assert (rows.segments > 0).mean() > 0.8


def test_documents_are_unique_and_split_by_content(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(f"文 {n % 700}" for n in range(1400)), encoding="utf-8")
    (tmp_path / "paragraphs.txt").write_text("一行目\n二行目\n\n別の段落\n", encoding="utf-8")
    documents = read_documents(tmp_path)
    assert len(documents) == 702
    assert "一行目\n二行目" in documents
    train, validation = split_documents(documents)
    again, _ = split_documents(list(reversed(documents)))
    assert set(again) == set(train)
    assert 0 < len(validation) < 30
    assert not set(train) & set(validation)


def test_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_documents(tmp_path)


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (16, 16)])
def test_muon_update_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    singular = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert 0.5 < singular.min() and singular.max() < 1.4
