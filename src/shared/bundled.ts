/** What ships under public/: a static server lists nothing, so the files are named here. */
import type { DatasetEntry, ModelEntry } from "./protocol/library";

export const BUNDLED_DATASETS: readonly DatasetEntry[] = [
  {
    id: "reviews-ja",
    name: "reviews-ja",
    source: "bundled",
    data: {
      train: "bundled:reviews-ja/train",
      validation: "bundled:reviews-ja/validation",
      test: "bundled:reviews-ja/test",
    },
    files: ["train.jsonl", "validation.jsonl", "test.jsonl"],
    split: null,
    bytes: 1_494_402,
    created: 0,
  },
];

export const BUNDLED_MODELS: readonly ModelEntry[] = [
  {
    id: "nagi-base",
    name: "nagi-base",
    source: "bundled",
    reference: "bundled:nagi-base",
    files: [
      "README.md",
      "config.json",
      "model.safetensors",
      "nagi_credit.json",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ],
    bytes: 11_482_923,
    created: 0,
    origin: null,
    credit: { name: "nagi-base", license: "cc-by-4.0", holder: "The Nagi authors", url: null },
  },
];
