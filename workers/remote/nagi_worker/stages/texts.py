"""Text to token ids and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from ..errors import NagiError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class Texts:
    """Text to token ids and back, exactly as tokenizer.json says.

    transformers' GPTNeoXTokenizer forces an NFC normaliser on files that have none, so `tokenizers` reads the file.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise NagiError(
                "model.file_missing", f"{folder.name} has no tokenizer.json.", {"file": "tokenizer.json", "found": ""}
            )
        self.folder = folder
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.eos_id = self._special("eos_token", "<|endoftext|>")
        # The id 0 is an id like any other: open-calm's end of text.
        if self.eos_id is None:
            details = {"file": "tokenizer_config.json", "reason": "names no eos_token that the vocabulary has"}
            raise NagiError(
                "model.bad_tokenizer", "tokenizer_config.json names no eos_token that the vocabulary has.", details
            )
        self.pad_id = self._special("pad_token", "<|padding|>")
        #: never the end of text: a classifier reads the last token that is not padding
        if self.pad_id is None or self.pad_id == self.eos_id:
            self.pad_id = 1 if self.eos_id == 0 else 0

    def _special(self, field: str, fallback: str) -> int | None:
        path = self.folder / "tokenizer_config.json"
        value = json.loads(path.read_text(encoding="utf-8")).get(field) if path.is_file() else None
        token = value.get("content") if isinstance(value, dict) else value
        return self._tokenizer.token_to_id(token or fallback)

    @property
    def vocabulary(self) -> int:
        """One more than the highest id."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def token(self, token_id: int) -> str:
        return self._tokenizer.id_to_token(token_id)

    def encode(self, text: str) -> list[int]:
        """Ids without any special token added."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_text(self, text: str, max_length: int) -> tuple[list[int], bool]:
        """At most `max_length` ids, the closing EOS included, and whether the end was cut off."""
        ids = self.encode(text)
        return [*ids[: max_length - 1], self.eos_id], len(ids) > max_length - 1

    def decode(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def copy_files(self, target: Path) -> None:
        for name in TOKENIZER_FILES:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, target / name)
